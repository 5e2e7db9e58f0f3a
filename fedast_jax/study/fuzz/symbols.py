"""A device made of symbols: it carries plans out on numbers, and minds every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...engine.planning.pool import Lane, LanePool, PoolPlan, Test
from ...oracle import Known, Request, SymbolicLearner
from ...results.records import Seconds
from ...run.driver import Driver
from ...run.executor import Contents, Score, UsedRows
from .difference import expect

Rows = dict[tuple[int, int], "Row"]
"""By the pool's id and the number of the row."""


class Row(NamedTuple):
    """What a row holds: whose it is, its number there (version or request), and its content."""

    lane: tuple[int, int]  # replicate, task
    number: int
    content: int


class SymbolicDevice:
    """Carries plans out on the numbers of ``SymbolicLearner``, and minds every row.

    A row that is read must have been written for the same lane and number since it was last free;
    a row that is written must be free.

    Raises:
        Difference: where one is not; by whatever is called.
    """

    def __init__(self, learner: SymbolicLearner | None = None) -> None:
        self.learner = learner or SymbolicLearner()
        self.seconds = Seconds()
        self.temp_bytes: int | None = None
        self.versions: Rows = {}
        self.updates: Rows = {}
        self.loss_of: dict[tuple[int, int], float] = {}  # of what an update row holds
        self.trained: Counter[tuple[int, int, int]] = Counter()  # (replicate, task, request)
        self.rounds: Counter[tuple[int, int, int]] = Counter()  # (replicate, task, round)
        self._times_asked = 0

    @property
    def is_busy(self) -> bool:
        """As of ``Executor``: mostly."""
        self._times_asked += 1
        return self._times_asked % 5 > 0

    def admit(self, pool: LanePool, lane: Lane, row: int) -> None:
        """As of ``Executor``."""
        content = self.learner.initial(lane.seed, lane.task)
        self._put(self.versions, pool, row, Row((lane.replicate, lane.task), 0, content))

    def train(self, pool: LanePool, plan: PoolPlan, step_updates: int) -> None:
        """As of ``Executor``: step by step, no batch wider than W."""
        steps, slot, closed = plan.schedule, 0, 0
        for slot_stop, round_stop in zip(steps.slot_stop, steps.round_stop, strict=True):
            expect(slot_stop - slot <= pool.spec.width, "a batch is wider than W")
            for index in range(slot, slot_stop):
                self._train_slot(pool, plan, index)
            used = [self._close_round(pool, plan, index) for index in range(closed, round_stop)]
            expect(sum(used) <= step_updates, "a step aggregates too many updates")
            slot, closed = slot_stop, round_stop
        is_whole = (slot, closed) == (steps.num_slots, len(steps.round_lane))
        expect(is_whole, "a part of the schedule belongs to no step")

    def test(self, pool: LanePool, tests: Sequence[Test]) -> list[Score]:
        """As of ``Executor``."""
        return [self._test(pool, test) for test in tests]

    def spread(self, pool: LanePool, rows: Sequence[int]) -> float:
        """As of ``Executor``."""
        return self.learner.spread(self._of_one_lane(pool, rows))

    def losses(self, pool: LanePool, rows: Sequence[int]) -> list[float]:
        """As of ``Executor``."""
        self._distinct(pool, rows)
        return [self.loss_of[id(pool), row] for row in rows]

    def spreads(self, pool: LanePool, windows: Sequence[Sequence[int]]) -> list[float]:
        """As of ``Executor``."""
        held = [self._of_one_lane(pool, rows) for rows in windows]
        return [self.learner.spread_without_biases(contents) for contents in held]

    def model(self, pool: LanePool, row: int) -> dict[str, int]:
        """As of ``Executor``: one leaf."""
        return {"content": self.versions[id(pool), row].content}

    def read(self, pool: LanePool, rows: UsedRows) -> Contents:
        """Every row's four numbers."""
        return Contents(
            np.array([_numbers(self.versions[id(pool), row]) for row in rows.versions], np.int64),
            np.array([_numbers(self.updates[id(pool), row]) for row in rows.updates], np.int64),
            np.array([self.loss_of[id(pool), row] for row in rows.updates], np.float64),
        )

    def write(self, pool: LanePool, rows: UsedRows, contents: Contents) -> None:
        """Put back what ``read`` found."""
        versions, updates, losses = contents
        for row, loss in zip(rows.updates, losses.tolist(), strict=True):
            self.loss_of[id(pool), row] = loss
        self._put_all(self.versions, pool, rows.versions, versions)
        self._put_all(self.updates, pool, rows.updates, updates)

    def on_segment(self, driver: Driver) -> None:
        """Forget what lies in free rows; every row is free or held by one lane."""
        for pool, mark in zip(driver.pools, driver.planner.standing.pools, strict=True):
            held, free, capacity = [lane.rows for lane in mark.lanes], mark.free, pool.capacity
            versions = [row for rows in held for row in rows.versions.values()]
            updates = [row for rows in held for row in rows.updates.values()]
            _check_all_once(versions + free.versions, capacity[0])
            _check_all_once(updates + free.updates, capacity[1])
            for row in free.versions:
                self.versions.pop((id(pool), row), None)
            for row in free.updates:
                self.updates.pop((id(pool), row), None)

    def _train_slot(self, pool: LanePool, plan: PoolPlan, index: int) -> None:
        steps = plan.schedule
        lane, number = plan.lanes[steps.slot_lane[index]], steps.slot_request[index]
        columns, key = lane.timeline.requests, (lane.replicate, lane.task)
        expect(columns.task[number] == lane.task, f"request {number} is another task's")
        base = self.versions[id(pool), steps.slot_base_row[index]]
        is_base = (base.lane, base.number) == (key, columns.base_round[number])
        expect(is_base, f"request {number} would begin with {base}")
        client = columns.client[number]
        request = Request(number, lane.task, client, 0.0, 0.0, 0.0, base.number)
        content, loss = self.learner.train(lane.seed, request, base.content)
        self._put(self.updates, pool, steps.slot_update_row[index], Row(key, number, content))
        self.loss_of[id(pool), steps.slot_update_row[index]] = loss
        self.trained[*key, number] += 1

    def _close_round(self, pool: LanePool, plan: PoolPlan, index: int) -> int:
        steps = plan.schedule
        lane = plan.lanes[steps.round_lane[index]]
        key = (lane.replicate, lane.task)
        start = steps.round_update_stop[index - 1] if index else 0
        rows = steps.update_row[start : steps.round_update_stop[index]]
        source = self.versions[id(pool), steps.round_source_row[index]]
        updates = [self.updates[id(pool), row] for row in rows]
        owners = {row.lane for row in (source, *updates)}
        expect(owners == {key}, f"a round of {key} has rows of {owners}")
        known = self._known(pool, plan, index, start)
        contents = [row.content for row in updates]
        content = self.learner.aggregate(lane.task, source.content, contents, known)
        target = Row(key, source.number + 1, content)
        self._put(self.versions, pool, steps.round_target_row[index], target)
        self.rounds[*key, source.number] += 1
        return len(updates)

    def _known(self, pool: LanePool, plan: PoolPlan, index: int, start: int) -> Known:
        """What the plan says of a round's updates, as far as the learner looks at it."""
        steps = plan.schedule
        marks, part = steps.marks, slice(start, steps.round_update_stop[index])
        if marks is None:
            return Known([], [], [], [], 0, 0, [])
        task = plan.lanes[steps.round_lane[index]].task
        seen, key = self.learner.seen_of(task), id(pool)
        before = marks.previous_row[part] if "previous" in seen else []
        starts = marks.start_row[part] if "starts" in seen else []
        return Known(
            marks.staleness[part],
            marks.weight[part],
            [None if row < 0 else self.updates[key, row].content for row in before],
            [self.versions[key, row].content for row in starts],
            0,
            marks.num_active[index],
            [],
        )

    def _test(self, pool: LanePool, test: Test) -> Score:
        row, lane = self.versions[id(pool), test.row], test.lane
        is_due = (row.lane, row.number) == ((lane.replicate, lane.task), test.round)
        expect(is_due, f"the test of round {test.round} of task {lane.name!r} looks at {row}")
        return Score(*self.learner.score(lane.task, row.content))

    def _of_one_lane(self, pool: LanePool, rows: Sequence[int]) -> list[int]:
        updates = self._distinct(pool, rows)
        expect(len({row.lane for row in updates}) == 1, "an estimate mixes lanes")
        return [row.content for row in updates]

    def _distinct(self, pool: LanePool, rows: Sequence[int]) -> list[Row]:
        updates = [self.updates[id(pool), row] for row in rows]
        numbers = {(row.lane, row.number) for row in updates}
        expect(len(numbers) == len(rows), "an update is looked at twice")
        return updates

    def _put(self, rows: Rows, pool: LanePool, number: int, row: Row) -> None:
        expect(0 <= number < pool.capacity[rows is self.updates], f"there is no row {number}")
        expect((id(pool), number) not in rows, f"row {number} was in use")
        rows[id(pool), number] = row

    def _put_all(self, held: Rows, pool: LanePool, rows: Sequence[int], values: np.ndarray) -> None:
        for number, (replicate, task, which, content) in zip(rows, values.tolist(), strict=True):
            self._put(held, pool, number, Row((replicate, task), which, content))


def _check_all_once(rows: list[int], capacity: int) -> None:
    expect(sorted(rows) == list(range(capacity)), "a row is lost, or held twice")


def _numbers(row: Row) -> list[int]:
    return [*row.lane, row.number, row.content]
