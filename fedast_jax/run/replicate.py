"""One seed of one setting while it runs: its events, its lanes and what was measured so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..algorithms import Algorithm
from ..algorithms.allocation import Rules
from ..algorithms.log import EventLog
from ..config.settings import Config
from ..planning.pool import Lane

Job = tuple[int, int]
"""A replicate before it has begun: the number of its setting, and that of its seed there."""


class Setting(NamedTuple):
    """One configuration of a run."""

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
    accuracy: float
    loss: float


@dataclass
class Replicate:
    """One seed of one setting."""

    number: int  # among all of the run
    setting: int
    index: int  # among the seeds of its setting
    seed: int
    config: Config
    timeline: EventLog
    lanes: list[Lane]
    evaluations: list[Evaluation] = field(default_factory=list)
    target_times: dict[str, float] = field(default_factory=dict)  # task -> time
    initial_models: dict[str, Any] = field(default_factory=dict)
    final_models: dict[str, Any] = field(default_factory=dict)
    diverged: str | None = None  # the task whose loss was not finite
    diverged_at: float | None = None  # time of that test


def jobs_of(configs: Sequence[Config]) -> list[Job]:
    """All replicates, every setting's first seed before any second one."""
    most = max(config.num_seeds for config in configs)
    return [
        (setting, index)
        for index in range(most)
        for setting, config in enumerate(configs)
        if index < config.num_seeds
    ]
