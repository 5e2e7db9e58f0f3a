"""Lanes of one kind that share a compiled program: their rows, their plan, their commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ...algorithms.log import EventLog
from ...algorithms.methods.bound import Bound
from ...clients.holdings import draw_holdings
from ...config.settings import TaskConfig
from ...data.task_data import Clients, TaskData
from ..spec import EngineSpec
from .marks import RoundsToMark, mark_requests
from .pack import LaneColumns, Shapes
from .schedule import FreeRows, LaneRows, LaneWork, Schedule
from .segment import scheduler


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
    method: Bound
    one_mix: bool = False  # as of ``draw_holdings``
    pending: list[int] = field(default_factory=list)  # as of the last ``work``
    rows: LaneRows = field(default_factory=lambda: LaneRows(0, {}, {}))
    _last_used: tuple[int, dict[int, int]] | None = None  # at the last commit; None: not known

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
        ahead = self.timeline.buffered(self.task) if self.method.may_drop else self.pending
        requests = rounds.arrived[used : rounds.num_used].tolist() + ahead
        base_round = self.timeline.requests.base_round
        bases = [base_round[request] for request in requests]
        ends = [end - used for end in rounds.end[start.version :]]
        needed = len(rounds.arrived) - used if self.timeline.is_waiting else 0
        if self.method.is_plain:
            return LaneWork(requests, bases, ends, needed)
        rounds_marked = RoundsToMark(start.version, ends, rounds.num_active[start.version :])
        used = requests[: ends[-1] if ends else 0]
        sees_previous = "previous" in self.method.method.needs  # only then their rows are kept
        previous = self.previous(used) if sees_previous else [None] * len(used)
        marks = mark_requests(self.method, rounds_marked, bases, previous)
        return LaneWork(requests, bases, ends, needed, marks)

    def previous(self, used: Sequence[int]) -> list[int | None]:
        """Of each request: the one of the same client that a round has used before it."""
        client_of, last, found = self.timeline.requests.client, dict(self.last_used()), []
        for request in used:
            found.append(last.get(client_of[request]))
            last[client_of[request]] = request
        return found

    def last_used(self, version: int | None = None) -> dict[int, int]:
        """Each client's last request that a round had used at the last commit.

        Args:
            version: the lane is being committed at this version.
        """
        if self._last_used is None:  # between two segments: ``rows`` are those of the last commit
            self._last_used = self.rows.version, self._used(0, self.rows.version)
        old, last = self._last_used
        if version is not None:
            self._last_used = version, last | self._used(old, version)
        return self._last_used[1]

    def mark(self) -> LaneMark:
        """The present point, for ``rewind``."""
        return LaneMark(self.rows, self.pending, self._last_used)

    def rewind(self, mark: LaneMark) -> None:
        """Forget what was planned and committed after ``mark``."""
        self.rows, self.pending, self._last_used = mark

    def _used(self, first: int, stop: int) -> dict[int, int]:
        """The last request of each client that the rounds from one number to another used."""
        rounds, client_of = self.timeline.rounds[self.task], self.timeline.requests.client
        start, end = (rounds.end[number - 1] if number else 0 for number in (first, stop))
        return {client_of[request]: request for request in rounds.arrived[start:end]}


class LaneMark(NamedTuple):
    """A lane to come back to."""

    rows: LaneRows
    pending: list[int]
    last_used: tuple[int, dict[int, int]] | None


class PoolMark(NamedTuple):
    """A pool to come back to, with the lanes that it has."""

    free: FreeRows
    peak: tuple[int, int]
    most_held: tuple[int, int]
    lanes: list[LaneMark]


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
        self.peak = (0, 0)  # most rows in use, beside those of the clients' last updates
        self.most_held = (0, 0)  # the same between two segments

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

    def mark(self) -> PoolMark:
        """The present point, for ``rewind``."""
        lanes = [lane.mark() for lane in self.lanes]
        return PoolMark(self.free.copy(), self.peak, self.most_held, lanes)

    def rewind(self, mark: PoolMark) -> None:
        """Forget what was planned and committed after ``mark``; lanes and capacity are as then."""
        self.free, self.peak, self.most_held = mark.free.copy(), mark.peak, mark.most_held
        for lane, lane_mark in zip(self.lanes, mark.lanes, strict=True):
            lane.rewind(lane_mark)

    def plan(self, step_updates: int) -> PoolPlan:
        """Plan a segment up to the present event of every lane's timeline.

        Raises:
            OutOfRows: the pool has too few rows; nothing has changed.
        """
        works = [lane.work(lane.rows) for lane in self.lanes]
        starts = [lane.rows for lane in self.lanes]
        free = self.free.copy()
        self.most_held = self._most(self.most_held, free)
        plan, rows = scheduler()(works, starts, free, self.spec.width, step_updates)
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
        updates = self.capacity[1] - len(free.updates) - self._num_previous()
        return max(most[0], self.capacity[0] - len(free.versions)), max(most[1], updates)

    def _num_previous(self) -> int:
        """Rows that hold a client's last update, where the method asks for these."""
        if "previous" not in self.spec.rule.needs:
            return 0
        return sum(len(lane.last_used()) for lane in self.lanes)

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
        kept = lane.timeline.kept_updates(lane.task) + pending + self._previous(lane, version)
        updates = {
            request: old.updates[request]
            for request in dict.fromkeys(kept)
            if request < limit and request in old.updates
        }
        is_base_needed = "start" in self.spec.rule.needs
        needed = {
            base_round[request] for request in pending if is_base_needed or request not in updates
        }
        versions = {number: old.versions[number] for number in sorted(needed | {version})}
        kept_versions, kept_updates = set(versions.values()), set(updates.values())
        self.free.versions.extend(row for row in old.versions.values() if row not in kept_versions)
        self.free.updates.extend(row for row in old.updates.values() if row not in kept_updates)
        lane.rows = LaneRows(version, versions, updates)

    def _previous(self, lane: Lane, version: int) -> list[int]:
        """The requests whose updates a method may yet ask for: each client's last one used."""
        if "previous" not in self.spec.rule.needs:
            return []
        is_over = lane.timeline.is_stopped(lane.task) or lane.timeline.end_reason
        return [] if is_over else list(lane.last_used(version).values())

    def columns(self, lanes: Sequence[Lane]) -> LaneColumns:
        """Numbers of the lanes, for ``program.pack``."""
        settings = [lane.settings for lane in lanes]
        return LaneColumns(
            seed=np.array([lane.seed for lane in lanes], np.uint32),
            task=np.array([lane.task for lane in lanes], np.uint32),
            client_lr=np.array([task.client_lr for task in settings]),
            weight_decay=np.array([task.weight_decay for task in settings]),
            server_lr=np.array([task.server_lr for task in settings]),
            proximal=np.array([task.proximal for task in settings]),
            num_clients=np.array([lane.num_clients for lane in lanes]),
            numbers=np.array([list(lane.method.numbers.values()) for lane in lanes])
            if self.spec.rule.apply
            else None,
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
        return Shapes(
            spec.steps,
            spec.width,
            spec.work.row_length,
            spec.ticks,
            spec.rounds_at_once,
            spec.summed,
            spec.rule.apply is not None,
            spec.is_proximal,
        )


def _tests(lane: Lane, start: LaneRows, end: LaneRows) -> list[Test]:
    every, events = lane.settings.test_every, lane.timeline.rounds[lane.task].event
    first = start.version + every - start.version % every
    return [
        Test(lane, number, end.versions[number], events[number - 1])
        for number in range(first, end.version + 1, every)
    ]
