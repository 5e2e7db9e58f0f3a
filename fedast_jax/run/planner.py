"""Segments of a run, planned one after another, and one ahead of what the device works on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..algorithms.log import Mark
from ..engine.planning.pool import LanePool, PoolPlan
from ..engine.planning.schedule import OutOfRows
from .replicate import Replicate
from .standing import Standing


class Segment(NamedTuple):
    """What has been planned and waits to be carried out."""

    before: Standing
    plans: list[PoolPlan]  # one a pool


class Ahead(NamedTuple):
    """A segment planned while the one before it is carried out, as if no test there mattered."""

    uncommitted: Standing  # at the end of the one before it, none of whose rows was given back
    segment: Segment


class Planner:
    """Lays out the replicates that are resident and schedules what they train."""

    def __init__(
        self, resident: Sequence[Replicate], pools: Sequence[LanePool], step_updates: int
    ) -> None:
        """Plan nothing yet.

        Args:
            resident: the replicates that run; the list changes as they come and go.
            pools: with their capacity set.
            step_updates: most updates that one step may aggregate.
        """
        self.resident, self.pools, self.step_updates = resident, pools, step_updates
        self.ahead: Ahead | None = None

    @property
    def standing(self) -> Standing:
        """How all stands after the last segment that was carried out."""
        return self.ahead.segment.before if self.ahead else self._present()

    @property
    def marks(self) -> dict[int, Mark]:
        """The replicates' part of ``standing``, by their numbers."""
        if self.ahead:
            return self.ahead.segment.before.marks
        return {one.number: one.timeline.mark() for one in self.resident}

    def next(self, window: int) -> Segment:
        """The segment that follows: the one planned ahead, where there is one."""
        if self.ahead is None:
            return self.plan(window)
        segment, self.ahead = self.ahead.segment, None
        return segment

    def plan(self, window: int) -> Segment:
        """Lay out the next ``window`` events of every resident replicate and schedule them.

        Where the rows do not suffice the window is halved; a pool in which not even one event
        fits gets more rows.
        """
        before = self._present()
        while True:
            plans: list[PoolPlan] = []
            try:
                self._lay_out(window, plans)
            except OutOfRows:
                self.put_back(before)
                if window == 1:
                    pool = self.pools[len(plans)]
                    pool.grow(pool.capacity[0] * 5 // 4 + 8, pool.capacity[1] * 5 // 4 + 8)
                    before = self._present()
                window = max(1, window // 2)
            else:
                return Segment(before, plans)

    def plan_ahead(self, window: int) -> None:
        """Plan the segment after the one that is being carried out.

        Not where something is to be measured or to be let out in between, and not where the rows
        do not suffice.
        """
        logs = [replicate.timeline for replicate in self.resident]
        if any(log.end_reason or log.must_measure for log in logs):
            return
        uncommitted, plans = self._present(), []
        for replicate in self.resident:
            self.commit(replicate)
        before = self._present()
        try:
            self._lay_out(window, plans)
        except OutOfRows:
            self.put_back(uncommitted)
        else:
            self.ahead = Ahead(uncommitted, Segment(before, plans))

    def drop_ahead(self) -> None:
        """Take back what was planned ahead, and what was committed for it."""
        if self.ahead:
            self.put_back(self.ahead.uncommitted)

    def settle(self) -> None:
        """Take back what was planned ahead: all stands as after the last segment carried out."""
        if self.ahead:
            self.put_back(self.ahead.segment.before)

    def commit(self, replicate: Replicate, num_requests: int | None = None) -> None:
        """Free what nothing after a replicate's present event needs; as of ``LanePool.commit``."""
        for lane in replicate.lanes:
            self.pools[lane.pool].commit(lane, num_requests)

    def put_back(self, standing: Standing) -> None:
        """Let all stand as it did; what was planned since is forgotten."""
        standing.put_back(self.resident, self.pools)
        self.ahead = None

    def _present(self) -> Standing:
        return Standing.of(self.resident, self.pools)

    def _lay_out(self, window: int, plans: list[PoolPlan]) -> None:
        """Lay out a segment and append the plan of each pool.

        Raises:
            OutOfRows: of the pool whose plan is missing.
        """
        for replicate in self.resident:
            replicate.timeline.advance(replicate.timeline.num_arrivals + window)
        for pool in self.pools:
            plans.append(pool.plan(self.step_updates))
