"""Lanes of one kind that share a compiled program: their rows, their plan, their commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..algorithms.log import EventLog
from ..clients.holdings import draw_holdings
from ..config.settings import TaskConfig
from ..data.task_data import Clients, TaskData
from ..engine.spec import EngineSpec
from .pack import LaneColumns, Shapes
from .schedule import FreeRows, LaneRows, LaneWork, Schedule, schedule


@dataclass
class Lane:
    """One task of one replicate."""

    replicate: int  # its number among all of the run
    task: int
    pool: int
    seed: int
    name: str
    settings: TaskConfig
    num_clients: int
    data: TaskData
    timeline: EventLog
    one_mix: bool = False  # as of ``draw_holdings``
    pending: list[int] = field(default_factory=list)  # as of the last ``work``
    rows: LaneRows = field(default_factory=lambda: LaneRows(0, {}, {}))

    @cached_property
    def holdings(self) -> Clients:
        """Which samples each client holds."""
        return draw_holdings(
            self.data,
            self.settings,
            self.num_clients,
            seed=self.seed,
            task=self.task,
            one_mix=self.one_mix,
        )

    def work(self, start: LaneRows) -> LaneWork:
        """What the lane does between its version ``start`` and the timeline's present event."""
        rounds = self.timeline.rounds[self.task]
        used = rounds.end[start.version - 1] if start.version else 0
        self.pending = self.timeline.pending(self.task)
        requests = rounds.arrived[used : rounds.num_used].tolist() + self.pending
        base_round = self.timeline.requests.base_round
        ends = [end - used for end in rounds.end[start.version :]]
        needed = len(rounds.arrived) - used if self.timeline.is_waiting else 0
        return LaneWork(requests, [base_round[request] for request in requests], ends, needed)


class Test(NamedTuple):
    """A version that must be tested."""

    lane: Lane
    round: int
    row: int
    event: int  # arrivals of the replicate when the round closed


class PoolPlan(NamedTuple):
    """One segment of one pool, planned."""

    schedule: Schedule
    lanes: list[Lane]
    tests: list[Test]


class LanePool:
    """Rows of one pool on the host's side."""

    def __init__(self, spec: EngineSpec, data: TaskData) -> None:
        self.spec, self.data = spec, data
        self.lanes: list[Lane] = []
        self.capacity = (0, 0)  # version rows, update rows
        self.free = FreeRows([], [])
        self.peak = (0, 0)  # most rows in use
        self.most_held = (0, 0)  # most rows in use between two segments

    def grow(self, num_versions: int, num_updates: int) -> None:
        """Add rows, so that there are at least so many."""
        old_versions, old_updates = self.capacity
        self.capacity = max(old_versions, num_versions), max(old_updates, num_updates)
        self.free.versions.extend(range(old_versions, self.capacity[0]))
        self.free.updates.extend(range(old_updates, self.capacity[1]))

    def admit(self, lane: Lane) -> int:
        """Give a new lane the row of its initial version."""
        row = self.free.versions.pop()
        lane.rows = LaneRows(0, {0: row}, {})
        self.lanes.append(lane)
        return row

    def release(self, lane: Lane) -> None:
        """Take a lane's rows back."""
        self.free.versions.extend(lane.rows.versions.values())
        self.free.updates.extend(lane.rows.updates.values())
        self.lanes.remove(lane)

    def plan(self, step_updates: int) -> PoolPlan:
        """Plan a segment up to the present event of every lane's timeline.

        Raises:
            OutOfRows: the pool has too few rows; nothing has changed.
        """
        works = [lane.work(lane.rows) for lane in self.lanes]
        starts = [lane.rows for lane in self.lanes]
        free = self.free.copy()
        self.most_held = self._most(self.most_held, free)
        plan, rows = schedule(works, starts, free, self.spec.width, step_updates)
        tests = [
            test
            for lane, start, end in zip(self.lanes, starts, rows, strict=True)
            for test in _tests(lane, start, end)
        ]
        self.free = free
        for lane, end in zip(self.lanes, rows, strict=True):
            lane.rows = end
        self.peak = self._most(self.peak, free)
        return PoolPlan(plan, list(self.lanes), tests)

    def _most(self, most: tuple[int, int], free: FreeRows) -> tuple[int, int]:
        return (
            max(most[0], self.capacity[0] - len(free.versions)),
            max(most[1], self.capacity[1] - len(free.updates)),
        )

    def commit(self, lane: Lane, num_requests: int | None = None) -> None:
        """Free what nothing after the timeline's present event needs.

        Args:
            lane: a lane of this pool, whose timeline may have been cut.
            num_requests: with a cut, updates of requests from this number on are dropped.
        """
        is_cut = num_requests is not None
        pending = lane.timeline.pending(lane.task) if is_cut else lane.pending
        base_round = lane.timeline.requests.base_round
        limit = num_requests if num_requests is not None else len(lane.timeline.requests)
        old, version = lane.rows, len(lane.timeline.rounds[lane.task])
        updates = {
            request: old.updates[request]
            for request in dict.fromkeys(lane.timeline.kept_updates(lane.task) + pending)
            if request < limit and request in old.updates
        }
        needed = {base_round[request] for request in pending if request not in updates}
        versions = {number: old.versions[number] for number in sorted(needed | {version})}
        kept_versions, kept_updates = set(versions.values()), set(updates.values())
        self.free.versions.extend(row for row in old.versions.values() if row not in kept_versions)
        self.free.updates.extend(row for row in old.updates.values() if row not in kept_updates)
        lane.rows = LaneRows(version, versions, updates)

    def columns(self, lanes: Sequence[Lane]) -> LaneColumns:
        """Numbers of the lanes, for ``program.pack``."""
        settings = [lane.settings for lane in lanes]
        return LaneColumns(
            seed=np.array([lane.seed for lane in lanes], np.uint32),
            task=np.array([lane.task for lane in lanes], np.uint32),
            client_lr=np.array([task.client_lr for task in settings]),
            weight_decay=np.array([task.weight_decay for task in settings]),
            server_lr=np.array([task.server_lr for task in settings]),
        )

    def samples(self, plan: PoolPlan) -> np.ndarray:
        """The data of every slot's client, ``int32[slots, row length]``."""
        lane_of = np.asarray(plan.schedule.slot_lane, np.int64)
        requests = np.asarray(plan.schedule.slot_request, np.int64)
        out = np.zeros((len(requests), self.spec.work.row_length), np.int32)
        for index, lane in enumerate(plan.lanes):
            mine = np.flatnonzero(lane_of == index)
            if len(mine):
                client_of = lane.timeline.requests.client
                clients = np.array([client_of[request] for request in requests[mine]])
                out[mine] = lane.holdings.samples(clients)
        return out

    @property
    def shapes(self) -> Shapes:
        """The fixed shape of this pool's programs."""
        spec = self.spec
        return Shapes(spec.steps, spec.width, spec.work.row_length, spec.ticks, spec.rounds_at_once)


def _tests(lane: Lane, start: LaneRows, end: LaneRows) -> list[Test]:
    every, events = lane.settings.test_every, lane.timeline.rounds[lane.task].event
    first = start.version + every - start.version % every
    return [
        Test(lane, number, end.versions[number], events[number - 1])
        for number in range(first, end.version + 1, every)
    ]
