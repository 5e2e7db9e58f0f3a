"""Sync-ST: simultaneous synchronous training (Bhuyan et al. 2023; Askin et al. 2024, Section 5).

Every round a fresh random partition of the active clients over the unfinished tasks, in proportion
to given weights. Each task keeps its first k arrivals; all tasks' rounds end together, at the last
arrival that is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..clients.delays import client_delays, request_time
from ..clients.presence import make_presence
from ..config.settings import Config
from .allocation import share_out
from .log import Limits
from .round_rules import Clients, Round, SyncRules, SyncTask
from .rounds import SyncTimeline


def shares(round_: Round) -> list[tuple[int, int]]:
    """Clients of each task, in proportion to the weights; arrivals it keeps."""
    parts = share_out(round_.weights, round_.clients.num_active)
    return [(part, min(part, round_.keep_first or part)) for part in parts]


def choose(memory: Any, round_: Round, random: np.random.Generator) -> np.ndarray:
    """Anyone, nobody twice."""
    del memory
    return round_.clients.draw(random, sum(round_.shares))


RULES = SyncRules(shares, choose)


def first_k(config: Config, seed: int) -> SyncTimeline:
    """Lay out one replicate of Sync-ST: every task keeps its first k arrivals."""
    return lay_out(RULES, config, seed, keep_first(config))


def no_mitigation(config: Config, seed: int) -> SyncTimeline:
    """Lay out one replicate of Sync-ST-NoStragMit: every arrival is kept."""
    return lay_out(RULES, config, seed, None)


def lay_out(rules: SyncRules, config: Config, seed: int, keep_first: int | None) -> SyncTimeline:
    """One replicate's rounds by the rules of a method."""
    delays = client_delays(config.delays, seed, config.num_clients)
    tasks = [
        SyncTask(
            task.sync_weight,
            task.max_rounds,
            *request_time(config.delays, task),
        )
        for _, task in config.named_tasks
    ]
    presence = make_presence(config.availability, seed, config.num_clients)
    clients = Clients(
        config.num_clients, num_active(config), delays.of_clients(), delays.law, presence
    )
    limits = Limits(config.max_updates, config.time_limit, None)
    return SyncTimeline(seed, tasks, limits, clients, keep_first, rules)


def num_active(config: Config) -> int:
    """Clients that take part in a round: all, unless ``max_active_clients`` is given."""
    return config.max_active_clients or config.num_clients


def most_kept(config: Config) -> int:
    """The most arrivals that a task keeps of one round."""
    return min(num_active(config), keep_first(config) or num_active(config))


def keep_first(config: Config) -> int | None:
    """k, or None where every arrival is kept."""
    return None if config.keep_first == "all" else config.keep_first


def check(config: Config) -> None:
    """Raise ValueError where a task gets no client."""
    if num_active(config) < len(config.named_tasks):
        raise ValueError(
            f"{len(config.named_tasks)} tasks need at least as many active clients, "
            f"got {num_active(config)}"
        )


def check_first_k(config: Config) -> None:
    """As ``check``; also where a task has fewer clients than its rounds keep."""
    check(config)
    tasks = config.named_tasks
    parts = share_out([task.settings.sync_weight for task in tasks], num_active(config))
    for task, part in zip(tasks, parts, strict=True):
        check_kept(config, part, task.name)


def check_kept(config: Config, share: int, task: str) -> None:
    """Raise ValueError where a task has fewer clients in a round than it should keep."""
    if share < (keep_first(config) or 0):
        raise ValueError(
            f"keep_first={config.keep_first} is more than the {share} clients of task "
            f"{task!r} in a round; lower keep_first or raise max_active_clients"
        )
