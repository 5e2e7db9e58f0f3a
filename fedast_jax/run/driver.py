"""Plan, run, decide, plan on: replicates share the pools until each has ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

from ..engine.planning.pool import Lane, LanePool, PoolPlan
from ..results.records import Counts, ReplicateRecord
from .executor import Executor, Interrupted
from .planner import Planner, Segment
from .record import record_of
from .replicate import Arm, Job, Replicate, Scored, is_decisive, jobs_of
from .standing import Standing


class Driver:
    """Runs all replicates of one or more configurations through shared pools."""

    def __init__(
        self,
        arms: Sequence[Arm],
        pools: Sequence[LanePool],
        executor: Executor,
        on_segment: Callable[[Driver], None] = lambda driver: None,
        keep_models: bool = False,
        keep_requests: bool = True,
        jobs: Sequence[Job] | None = None,
    ) -> None:
        """Prepare a run.

        Args:
            arms: what to run; all arms of the first seed come first.
            pools: with their capacity set.
            executor: what trains and tests.
            on_segment: called after each segment.
            keep_models: whether to fetch every replicate's final models.
            keep_requests: whether to keep the requests of replicates that have ended.
            jobs: the replicates to run; None: all.
        """
        self.arms, self.pools = list(arms), pools
        self.executor, self.on_segment = executor, on_segment
        self.keep_models, self.keep_requests = keep_models, keep_requests
        width = max(pool.spec.width for pool in pools)
        self.counts = Counts()
        jobs = jobs_of([arm.config for arm in arms]) if jobs is None else jobs
        self.waiting = list(jobs)[::-1]
        self.num_begun = 0
        self.resident: list[Replicate] = []
        self.done: list[ReplicateRecord] = []
        self.planner = Planner(self.resident, pools, max(step_updates(arm, width) for arm in arms))

    def run(self, num_resident: int, window: int) -> None:
        """Run until every replicate has ended, ``num_resident`` at a time.

        Raises:
            Interrupted: by the executor; all stands as it did before the segment, to go on from.
        """
        while self.is_unfinished:
            self.admit(num_resident)
            segment = self.plan(window)
            try:
                scores = self.carry_out(segment, window)
            except Interrupted:
                self.planner.put_back(segment.before)
                raise
            if self.planner.ahead:
                self.note(scores)
            else:
                self.decide(segment, scores)
                self.retire()
            self.counts.segments += 1
            self.on_segment(self)

    @property
    def is_unfinished(self) -> bool:
        """Whether a replicate has not ended."""
        return bool(self.waiting or self.resident)

    def carry_out(self, segment: Segment, window: int) -> dict[int, Scored]:
        """Train what was planned, and plan on while the device works; then test what is due.

        What was planned ahead stays where no test changes the future.
        """
        for pool, plan in zip(self.pools, segment.plans, strict=True):
            self.executor.train(pool, plan, self.planner.step_updates)
        self._plan_ahead(window)
        scores = self.test(segment)
        if any(is_decisive(*entry) for scored in scores.values() for entry in scored):
            self.planner.drop_ahead()
        for pool, plan in zip(self.pools, segment.plans, strict=True):
            self._count(pool, plan)
        return scores

    def plan(self, window: int) -> Segment:
        """The next segment."""
        with self.executor.seconds.measure("plan"):
            return self.planner.next(window)

    def _plan_ahead(self, window: int) -> None:
        """As long as the device is at work this takes no time of its own."""
        if self.executor.is_busy:
            seconds = self.executor.seconds
            with seconds.measure(lambda: "train" if self.executor.is_busy else "plan"):
                self.planner.plan_ahead(window)

    def admit(self, num_resident: int) -> None:
        """Let waiting replicates in while there is room."""
        while self.waiting and len(self.resident) < num_resident:
            with self.executor.seconds.measure("plan"):
                replicate = self.new_replicate(self.num_begun, *self.waiting.pop())
            self.num_begun += 1
            self.resident.append(replicate)
            for lane in replicate.lanes:
                pool = self.pool(lane)
                if not pool.free.versions:
                    pool.grow(pool.capacity[0] + 1, pool.capacity[1])
                row = pool.admit(lane)
                self.executor.admit(pool, lane, row)
                if self.keep_models:
                    replicate.initial_models[lane.name] = self.executor.model(pool, row)

    def test(self, segment: Segment) -> dict[int, Scored]:
        """Test every version that is due, and sort the scores by replicate and event."""
        by_replicate: dict[int, Scored] = {replicate.number: [] for replicate in self.resident}
        for pool, plan in zip(self.pools, segment.plans, strict=True):
            scores = self.executor.test(pool, plan.tests)
            for test, score in zip(plan.tests, scores, strict=True):
                by_replicate[test.lane.replicate].append((test, score))
        for scored in by_replicate.values():
            scored.sort(key=lambda entry: (entry[0].event, entry[0].lane.task))
        return by_replicate

    def note(self, by_replicate: dict[int, Scored]) -> None:
        """Record tests of which none changes the future; all else has been done ahead."""
        for replicate in self.resident:
            replicate.note(by_replicate[replicate.number])

    def decide(self, segment: Segment, by_replicate: dict[int, Scored]) -> None:
        """Record the tests up to the first that changes the future, and cut there."""
        with self.executor.seconds.measure("plan"):
            for replicate in self.resident:
                scored = by_replicate[replicate.number]
                num_requests = self._note(replicate, scored, segment.before)
                self.planner.commit(replicate, num_requests)
                if replicate.timeline.is_waiting:
                    replicate.timeline.decide(_Measure(self, replicate))

    def _note(self, replicate: Replicate, scored: Scored, before: Standing) -> int | None:
        """Record tests up to a cut; the requests that stay valid, where there is one."""
        num_requests = None
        for event, tests in groupby(scored, lambda entry: entry[0].event):
            at_once = list(tests)
            replicate.note(at_once)
            if any(is_decisive(*entry) for entry in at_once):
                num_requests = replicate.cut(before.marks[replicate.number], event, at_once)
                break
        replicate.timeline.observe(_Measure(self, replicate))
        return num_requests

    def retire(self) -> None:
        """Take ended replicates out of the pools; what they measured stays as records."""
        ended = [replicate for replicate in self.resident if replicate.timeline.end_reason]
        for replicate in ended:
            self.resident.remove(replicate)
            for lane in replicate.lanes:
                pool = self.pool(lane)
                if self.keep_models:
                    row = lane.rows.versions[lane.rows.version]
                    replicate.final_models[lane.name] = self.executor.model(pool, row)
                pool.release(lane)
            self.done.append(self._record_of(replicate, has_ended=True))

    def records(self) -> list[ReplicateRecord]:
        """Of every replicate that was begun, what it has measured so far."""
        return self.done + [
            self._record_of(replicate, has_ended=False) for replicate in self.resident
        ]

    def _record_of(self, replicate: Replicate, *, has_ended: bool) -> ReplicateRecord:
        return record_of(replicate, has_ended=has_ended, keep_requests=self.keep_requests)

    def pool(self, lane: Lane) -> LanePool:
        """The pool that a lane belongs to."""
        return self.pools[lane.pool]

    def new_replicate(self, number: int, setting: int, index: int) -> Replicate:
        """A replicate at time 0, without rows."""
        return Replicate.begin((number, setting, index), self.arms[setting], self.pools)

    def _count(self, pool: LanePool, plan: PoolPlan) -> None:
        self.counts.updates += plan.schedule.num_slots
        self.counts.batches += plan.schedule.num_batches
        self.counts.slots += plan.schedule.num_batches * pool.spec.width


class _Measure:
    """What one replicate's timeline may ask of the device."""

    def __init__(self, driver: Driver, replicate: Replicate) -> None:
        self._driver, self._replicate = driver, replicate

    def spread(self, task: int, requests: Sequence[int]) -> float:
        """``(1/V) sum ||update - mean||^2 / ||mean||^2``, no number for fewer than two."""
        lane = self._replicate.lanes[task]
        rows = [lane.rows.updates[request] for request in requests]
        if len(rows) < 2:
            return math.nan
        return self._driver.executor.spread(self._driver.pool(lane), rows)

    def losses(self, task: int, requests: Sequence[int]) -> list[float]:
        """The mean local training loss of each request."""
        lane = self._replicate.lanes[task]
        rows = [lane.rows.updates[request] for request in requests]
        return self._driver.executor.losses(self._driver.pool(lane), rows)

    def spreads(self, task: int, windows: Sequence[Sequence[int]]) -> list[float]:
        """``spread`` of each of several equally long lists of requests, without the biases."""
        lane = self._replicate.lanes[task]
        updates = lane.rows.updates
        rows = [[updates[request] for request in window] for window in windows]
        return self._driver.executor.spreads(self._driver.pool(lane), rows)


def step_updates(arm: Arm, width: int) -> int:
    """Most updates that one step may aggregate: bursts, and the largest round that can arise."""
    largest = arm.algorithm.largest_round(arm.config)
    return max(4 * width, 1 << (largest - 1).bit_length())
