"""Plan, run, decide, plan on: replicates share the pools until each has ended."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from .algorithms import get_algorithm
from .allocation import sigma_hat
from .config import Config
from .engine import Params
from .events import EventLog, Mark
from .executor import Executor, Score
from .pool import Lane, LanePool, PoolPlan, Test
from .schedule import LaneRows, OutOfRows


class Evaluation(NamedTuple):
    """One test of one task's model."""

    replicate: int
    seed: int
    task: str
    round: int  # aggregations so far
    time: float  # simulated
    arrivals: int  # of the whole replicate
    accuracy: float
    loss: float


@dataclass
class Replicate:
    """One seed: its events, its lanes and what was measured."""

    index: int
    seed: int
    timeline: EventLog
    lanes: list[Lane]
    evaluations: list[Evaluation] = field(default_factory=list)
    target_times: dict[str, float] = field(default_factory=dict)  # task -> time
    initial_models: dict[str, Params | None] = field(default_factory=dict)
    final_models: dict[str, Params | None] = field(default_factory=dict)
    diverged: str | None = None  # the task whose loss was not finite


@dataclass
class Counts:
    """What the engine did."""

    updates: int = 0  # requests trained
    batches: int = 0
    slots: int = 0  # of those batches
    segments: int = 0

    @property
    def fill(self) -> float:
        """Slots used / slots."""
        return self.updates / self.slots if self.slots else 1.0


class Segment(NamedTuple):
    """What has been planned and waits to be carried out."""

    marks: dict[int, Mark]
    plans: list[PoolPlan]  # one a pool


Scored = list[tuple[Test, Score]]


class Driver:
    """Runs all replicates of a configuration through shared pools."""

    def __init__(
        self,
        config: Config,
        pools: Sequence[LanePool],
        pool_of: Sequence[int],
        executor: Executor,
        on_segment: Callable[[Driver], None] = lambda driver: None,
        keep_models: bool = False,
    ) -> None:
        """Prepare a run.

        Args:
            config: what to run.
            pools: with their capacity set.
            pool_of: the pool of each task.
            executor: what trains and tests.
            on_segment: called after each segment.
            keep_models: whether to fetch every replicate's final models.
        """
        self.config, self.pools, self.pool_of = config, pools, pool_of
        self.executor, self.on_segment, self.keep_models = executor, on_segment, keep_models
        self.step_updates = _step_updates(config, max(pool.spec.width for pool in pools))
        self.counts = Counts()
        self.waiting = list(reversed(list(enumerate(config.seeds))))
        self.resident: list[Replicate] = []
        self.done: list[Replicate] = []

    def run(self, num_resident: int, window: int) -> None:
        """Run until every replicate has ended, ``num_resident`` at a time."""
        while self.waiting or self.resident:
            self.admit(num_resident)
            segment = self.plan(window)
            for pool, plan in zip(self.pools, segment.plans, strict=True):
                self.executor.train(pool, plan, self.step_updates)
            self.decide(segment, self.test(segment))
            self.retire()
            self.counts.segments += 1
            self.on_segment(self)

    def admit(self, num_resident: int) -> None:
        """Let waiting replicates in while there is room."""
        while self.waiting and len(self.resident) < num_resident:
            index, seed = self.waiting.pop()
            with self.executor.seconds.measure("plan"):
                replicate = self._new_replicate(index, seed)
            self.resident.append(replicate)
            for lane in replicate.lanes:
                pool = self.pool(lane)
                if not pool.free.versions:
                    pool.grow(pool.capacity[0] + 1, pool.capacity[1])
                row = pool.admit(lane)
                self.executor.admit(pool, lane, row)
                if self.keep_models:
                    replicate.initial_models[lane.name] = self.executor.model(pool, row)

    def plan(self, window: int) -> Segment:
        """Lay out the next ``window`` events of every resident replicate and schedule them.

        Where the rows do not suffice the window is halved; a pool in which not even one event
        fits gets more rows.
        """
        with self.executor.seconds.measure("plan"):
            marks = {one.index: one.timeline.mark() for one in self.resident}
            starts = {id(lane): lane.rows for one in self.resident for lane in one.lanes}
            while True:
                for one in self.resident:
                    one.timeline.advance(one.timeline.num_arrivals + window)
                frees = [pool.free for pool in self.pools]
                plans = []
                try:
                    for pool in self.pools:
                        plans.append(pool.plan(self.step_updates))
                except OutOfRows:
                    self._take_back(marks, starts)
                    for pool, free in zip(self.pools, frees, strict=True):
                        pool.free = free
                    if window == 1:
                        pool = self.pools[len(plans)]
                        pool.grow(pool.capacity[0] * 5 // 4 + 8, pool.capacity[1] * 5 // 4 + 8)
                    window = max(1, window // 2)
                else:
                    return Segment(marks, plans)

    def test(self, segment: Segment) -> dict[int, Scored]:
        """Test every version that is due, and sort the scores by replicate and event."""
        found: dict[int, Scored] = {one.index: [] for one in self.resident}
        for pool, plan in zip(self.pools, segment.plans, strict=True):
            self._count(pool, plan)
            scores = self.executor.test(pool, plan.tests)
            for test, score in zip(plan.tests, scores, strict=True):
                found[test.lane.replicate].append((test, score))
        for scored in found.values():
            scored.sort(key=lambda entry: (entry[0].event, entry[0].lane.task))
        return found

    def decide(self, segment: Segment, found: dict[int, Scored]) -> None:
        """Record the tests up to the first that changes the future, and cut there."""
        with self.executor.seconds.measure("plan"):
            for replicate in self.resident:
                num_requests = None
                for event, tests in groupby(found[replicate.index], lambda entry: entry[0].event):
                    scored = list(tests)
                    for test, score in scored:
                        self._record(replicate, test, score)
                    if any(_is_decisive(*entry) for entry in scored):
                        num_requests = self._cut(replicate, segment, event, scored)
                        break
                for lane in replicate.lanes:
                    self.pool(lane).commit(lane, num_requests)
                if replicate.timeline.is_waiting:
                    replicate.timeline.reallocate([self._sigma_hat(one) for one in replicate.lanes])

    def retire(self) -> None:
        """Take ended replicates out of the pools."""
        for replicate in [one for one in self.resident if one.timeline.end_reason]:
            self.resident.remove(replicate)
            self.done.append(replicate)
            for lane in replicate.lanes:
                pool = self.pool(lane)
                if self.keep_models:
                    row = lane.rows.versions[lane.rows.version]
                    replicate.final_models[lane.name] = self.executor.model(pool, row)
                pool.release(lane)

    def pool(self, lane: Lane) -> LanePool:
        """The pool that a lane belongs to."""
        return self.pools[self.pool_of[lane.task]]

    def _new_replicate(self, index: int, seed: int) -> Replicate:
        timeline = get_algorithm(self.config.algorithm).make_timeline(self.config, seed)
        lanes = [
            Lane(
                replicate=index,
                task=number,
                seed=seed,
                name=task.name,
                settings=task.settings,
                num_clients=self.config.num_clients,
                data=self.pools[self.pool_of[number]].data,
                timeline=timeline,
            )
            for number, task in enumerate(self.config.named_tasks)
        ]
        return Replicate(index, seed, timeline, lanes)

    def _take_back(self, marks: dict[int, Mark], starts: dict[int, LaneRows]) -> None:
        for replicate in self.resident:
            replicate.timeline.rewind(marks[replicate.index])
            for lane in replicate.lanes:
                lane.rows = starts[id(lane)]

    def _count(self, pool: LanePool, plan: PoolPlan) -> None:
        self.counts.updates += plan.schedule.num_slots
        self.counts.batches += plan.schedule.num_batches
        self.counts.slots += plan.schedule.num_batches * pool.spec.width

    def _record(self, replicate: Replicate, test: Test, score: Score) -> None:
        time = replicate.timeline.rounds[test.lane.task].time[test.round - 1]
        replicate.evaluations.append(
            Evaluation(
                replicate.index,
                replicate.seed,
                test.lane.name,
                test.round,
                time,
                test.event,
                *score,
            )
        )

    def _sigma_hat(self, lane: Lane) -> float:
        """EstimateVariances (Algorithm 4) from the lane's last V updates; 0 once it has stopped."""
        if lane.timeline.is_stopped(lane.task):
            return 0.0
        rows = [lane.rows.updates[request] for request in lane.last_updates()]
        spread = self.executor.spread(self.pool(lane), rows) if len(rows) > 1 else math.nan
        settings = lane.settings
        return sigma_hat(spread, settings.client_lr, settings.server_lr, settings.work.num_steps)

    def _cut(self, replicate: Replicate, segment: Segment, event: int, scored: Scored) -> int:
        """Go back to an event whose tests end tasks, and let these end there.

        Returns the number of requests dispatched before that event: what was trained for them
        stays valid, the rest is dropped.
        """
        timeline, last_rounds = replicate.timeline, {}
        for test, score in scored:
            if not math.isfinite(score.loss):
                replicate.diverged = test.lane.name
            elif _is_decisive(test, score):
                last_rounds[test.lane.task] = test.round
                rounds = timeline.rounds[test.lane.task]
                replicate.target_times[test.lane.name] = rounds.time[test.round - 1]
        num_requests = timeline.cut(segment.marks[replicate.index], event, last_rounds)
        if replicate.diverged:
            timeline.end("diverged")
        return num_requests


def _is_decisive(test: Test, score: Score) -> bool:
    target = test.lane.settings.target
    return not math.isfinite(score.loss) or (target is not None and score.accuracy >= target)


def _step_updates(config: Config, width: int) -> int:
    """Most updates that one step may aggregate: bursts, and the largest round that can arise."""
    largest = get_algorithm(config.algorithm).largest_round(config)
    return max(4 * width, 1 << (largest - 1).bit_length())
