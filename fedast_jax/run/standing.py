"""How replicates and pools stand between two segments, to come back to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from ..algorithms.log import Mark
from ..engine.planning.pool import LanePool, PoolMark
from .replicate import Replicate


class Standing(NamedTuple):
    """Where all replicates and pools stand; their rows hold what they held until then."""

    marks: dict[int, Mark]  # by the replicate's number
    pools: list[PoolMark]

    @classmethod
    def of(cls, replicates: Sequence[Replicate], pools: Sequence[LanePool]) -> Self:
        """The present standing."""
        marks = {replicate.number: replicate.timeline.mark() for replicate in replicates}
        return cls(marks, [pool.mark() for pool in pools])

    def put_back(self, replicates: Sequence[Replicate], pools: Sequence[LanePool]) -> None:
        """Forget all that was laid out and planned since; the same replicates must be there."""
        for replicate in replicates:
            replicate.timeline.rewind(self.marks[replicate.number])
        for pool, mark in zip(pools, self.pools, strict=True):
            pool.rewind(mark)
