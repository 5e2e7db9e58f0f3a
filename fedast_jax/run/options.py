"""How a run goes about its work: what it keeps, whom it tells, where its state is saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..results.records import Progress
from .checkpoint import Checkpoints


def _say_nothing(progress: Progress) -> None:
    del progress


def _never() -> bool:
    return False


@dataclass(frozen=True)
class RunOptions:
    """Nothing in it changes what is simulated.

    Attributes:
        keep_models: whether the result holds the initial and final models.
        keep_requests: whether it holds every request; a megabyte for each 20,000 of them.
        on_progress: told how far the run is, after each segment.
        is_stopped: asked between calls of the device; True ends the run in order, with the results
            so far.
        checkpoints: where the run's state is kept now and then, every
            ``config.machine.checkpoint_seconds``; where there is one already, the run goes on from
            it.
    """

    keep_models: bool = False
    keep_requests: bool = True
    on_progress: Callable[[Progress], None] = _say_nothing
    is_stopped: Callable[[], bool] = _never
    checkpoints: Checkpoints | None = None

    @property
    def keeps(self) -> dict[str, bool]:
        """What the result holds beside its tables."""
        return {"keep_models": self.keep_models, "keep_requests": self.keep_requests}
