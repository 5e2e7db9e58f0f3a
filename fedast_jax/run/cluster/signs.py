"""Signs of life of blocks on a Ray cluster, so that a worker that hangs is noticed.

A worker gives one when it begins a block and between calls of its device; an actor of the cluster
counts them; ``Watch`` has the clock, which is this program's alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

SIGN_SECONDS = 5.0  # from one sign of a block to the next, and from one look to the next
Counts = Mapping[int, tuple[int, str]]  # by block: signs so far, and the node of the last one


def make_counter() -> type:
    """The actor's class; it is sent as it stands, as the package may be missing where it runs."""

    class Counter:
        def __init__(self) -> None:
            self.counts: dict[int, tuple[int, str]] = {}

        def count(self, block: int, node: str) -> None:
            self.counts[block] = (self.counts.get(block, (0, ""))[0] + 1, node)

        def all(self) -> dict[int, tuple[int, str]]:
            return self.counts

    return Counter


class Sign:
    """What a run asks between calls of the device; it never ends the run.

    Args:
        give: tells the counter; it does not wait.
        clock: in seconds.
    """

    def __init__(
        self, give: Callable[[], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._give, self._clock, self._next = give, clock, 0.0

    def __call__(self) -> bool:
        """Give a sign if the last one is a while ago."""
        if self._clock() >= self._next:
            self._give()
            self._next = self._clock() + SIGN_SECONDS
        return False


class Silent(NamedTuple):
    """A block of which nothing has been heard for long."""

    block: int
    node: str
    seconds: float


class Watch:
    """When each block was last heard of."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Before the first sign."""
        self._clock, self._counts = clock, dict[int, tuple[int, str]]()
        self._heard: dict[int, float] = {}
        self._begun = clock()

    def hear(self, counts: Counts) -> None:
        """Take in what the counter has; a block of which it has lost count has given no sign."""
        for block, count in counts.items():
            if self._counts.get(block) != count:
                self._counts[block], self._heard[block] = count, self._clock()

    def forget(self, block: int) -> None:
        """It is given away anew, and will be heard of once it is begun."""
        self._heard.pop(block, None)

    def silent(self, blocks: Collection[int], seconds: float) -> list[Silent]:
        """Those that were begun and then not heard of for so long."""
        silences = [
            Silent(block, self._counts[block][1], self._clock() - self._heard[block])
            for block in blocks
            if block in self._heard
        ]
        return [one for one in silences if one.seconds >= seconds]

    @property
    def idle_seconds(self) -> float:
        """How long no block has been begun; 0 once one was."""
        return 0.0 if self._counts else self._clock() - self._begun


class SignCounter:
    """The actor, asked without waiting: should it hang itself, nothing is lost but the signs."""

    def __init__(self, ray: Any, clock: Callable[[], float] = time.monotonic) -> None:
        """Start it; it takes no CPU from the blocks."""
        self._ray, self._clock = ray, clock
        self.actor = ray.remote(num_cpus=0, max_restarts=-1)(make_counter()).remote()
        self._asked, self._next = self.actor.all.remote(), 0.0

    def look(self) -> Counts | None:
        """What it has counted, if that has come and is new."""
        if self._clock() < self._next or not self._ray.wait([self._asked], timeout=0)[0]:
            return None
        asked, self._asked = self._asked, self.actor.all.remote()
        self._next = self._clock() + SIGN_SECONDS
        try:
            return self._ray.get(asked)
        except self._ray.exceptions.RayError:  # its machine is lost; it starts anew elsewhere
            return None
