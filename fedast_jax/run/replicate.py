"""One seed of one arm of a run: its events, its lanes and what was measured so far."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from ..algorithms import Algorithm
from ..algorithms.allocation import Rules
from ..algorithms.log import EventLog, Mark
from ..algorithms.methods.bound import Bound
from ..config.settings import Config
from ..engine.planning.pool import Lane, LanePool, Test
from .executor import Score
from .resolve import method_of

Job = tuple[int, int]
"""A replicate before it has begun: the number of its arm, and that of its seed there."""

Scored = list[tuple[Test, Score]]


class Arm(NamedTuple):
    """One configuration of a run, and where its tasks train."""

    config: Config
    algorithm: Algorithm
    pool_of: Sequence[int]  # the pool of each task
    rules: Rules


class Evaluation(NamedTuple):
    """One test of one task's model."""

    task: int
    round: int  # aggregations so far
    time: float  # simulated
    arrivals: int  # of the whole replicate
    metric: float  # the accuracy, where the task has no other
    loss: float


@dataclass
class Replicate:
    """One seed of one arm."""

    number: int  # among all of the run
    setting: int  # number of its arm
    index: int  # among the seeds of its arm
    seed: int
    config: Config
    timeline: EventLog
    lanes: list[Lane]
    evaluations: list[Evaluation] = field(default_factory=list)
    latest: dict[int, float] = field(default_factory=dict)  # task -> metric of its last test
    target_times: dict[str, float] = field(default_factory=dict)  # task -> time
    initial_models: dict[str, Any] = field(default_factory=dict)
    final_models: dict[str, Any] = field(default_factory=dict)
    diverged: str | None = None  # the task whose loss was not finite
    diverged_at: float | None = None  # time of that test

    @classmethod
    def begin(cls, place: tuple[int, int, int], arm: Arm, pools: Sequence[LanePool]) -> Self:
        """A replicate at time 0, without rows.

        Args:
            place: its ``number``, ``setting`` and ``index``.
            arm: the arm with that number.
            pools: of the run.
        """
        config, algorithm, pool_of, rules = arm
        seed = config.seeds[place[-1]]
        timeline = algorithm.make_timeline(config, seed)
        methods = [
            Bound(method_of(algorithm, task.settings), task.settings, config.num_clients)
            for task in config.named_tasks
        ]
        lanes = [
            Lane(
                replicate=place[0],
                task=number,
                pool=pool,
                seed=seed,
                name=task.name,
                settings=task.settings,
                num_clients=config.num_clients,
                data=pools[pool].data,
                timeline=timeline,
                method=methods[number],
                one_mix=rules.one_mix,
            )
            for number, (task, pool) in enumerate(zip(config.named_tasks, pool_of, strict=True))
        ]
        return cls(*place, seed, config, timeline, lanes)

    def note(self, scored: Scored) -> None:
        """Keep what tests have measured."""
        for test, score in scored:
            time = self.timeline.rounds[test.lane.task].time[test.round - 1]
            self.keep(Evaluation(test.lane.task, test.round, time, test.event, *score))

    def keep(self, evaluation: Evaluation) -> None:
        """Keep a test."""
        self.evaluations.append(evaluation)
        self.latest[evaluation.task] = evaluation.metric

    def cut(self, mark: Mark, event: int, scored: Scored) -> int:
        """Go back to an event whose tests end tasks, and let these end there.

        Args:
            mark: of the timeline, before the event.
            event: arrivals by then.
            scored: its tests.
        Returns:
            The number of requests dispatched before that event: what was trained for them stays
            valid, the rest is dropped.
        """
        last_rounds = {}
        for test, score in scored:
            if not is_finite(score):
                self.diverged = test.lane.name
            elif is_decisive(test, score):
                last_rounds[test.lane.task] = test.round
                rounds = self.timeline.rounds[test.lane.task]
                self.target_times[test.lane.name] = rounds.time[test.round - 1]
        num_requests = self.timeline.cut(mark, event, last_rounds)
        if self.diverged:
            self.diverged_at = self.timeline.time
            self.timeline.end("diverged")
        return num_requests


def is_decisive(test: Test, score: Score) -> bool:
    """Whether a test changes the future: its task has met its target, or has diverged."""
    target, goal = test.lane.settings.target, test.lane.settings.goal
    if target is not None and goal.is_met(score.metric, target):
        return True
    return not is_finite(score)


def is_finite(score: Score) -> bool:
    """Whether a test has measured numbers: otherwise its task has diverged."""
    return math.isfinite(score.loss) and math.isfinite(score.metric)


def jobs_of(configs: Sequence[Config]) -> list[Job]:
    """All replicates, every arm's first seed before any second one."""
    most = max(config.num_seeds for config in configs)
    return [
        (setting, index)
        for index in range(most)
        for setting, config in enumerate(configs)
        if index < config.num_seeds
    ]
