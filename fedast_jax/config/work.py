"""How much a request trains: the shapes of one client's work."""

from __future__ import annotations

from typing import NamedTuple


class LocalWork(NamedTuple):
    """The shapes of one request, all static.  Exactly one of the two local counts is given."""

    batch_size: int
    local_epochs: int | None  # passes over the client's samples, reshuffled each time
    local_steps: int | None  # or: this many steps, each on a freshly drawn batch
    num_samples: int | None  # of one client; None: differs from client to client

    @property
    def row_length(self) -> int:
        """Numbers that say what a client holds: its samples, or a first one and how many."""
        return 2 if self.num_samples is None else self.num_samples

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in one pass; the last partial batch is dropped."""
        if self.num_samples is None:
            raise ValueError(f"passes need one number of samples for all clients, got {self}")
        return self.num_samples // self.batch_size

    @property
    def num_steps(self) -> int:
        """tau: mini-batch steps of one request.

        Raises:
            ValueError: if the counts do not describe at least one step.
        """
        if (self.local_epochs is None) == (self.local_steps is None):
            raise ValueError(f"give one of local_epochs and local_steps, got {self}")
        if self.local_steps is not None:
            num_steps = self.local_steps
        else:
            num_steps = self.steps_per_epoch * (self.local_epochs or 0)
        if num_steps < 1:
            raise ValueError(f"a request must have at least one local step, got {self}")
        return num_steps

    def pooled(self) -> LocalWork:
        """As many steps, each on a batch drawn from one span of examples: all of them."""
        return LocalWork(self.batch_size, None, self.num_steps, None)
