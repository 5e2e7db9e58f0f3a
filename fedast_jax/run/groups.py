"""Arms that train in the same pools fill each other's batches; those of other pools do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from .replicate import Arm, Job


class Group(NamedTuple):
    """Arms that share pools, directly or by way of others."""

    arms: tuple[int, ...]
    pools: frozenset[int]
    num_jobs: int  # replicates of all of them


def groups_of(arms: Sequence[Arm], jobs: Sequence[Job]) -> list[Group]:
    """All groups, in the order of their first arms."""
    labels = _labels([arm.pool_of for arm in arms])
    of_arm = [labels[arm.pool_of[0]] for arm in arms]
    num_jobs = Counter(of_arm[setting] for setting, _ in jobs)
    return [
        Group(
            tuple(arm for arm, other in enumerate(of_arm) if other == label),
            frozenset(pool for pool, other in enumerate(labels) if other == label),
            num_jobs[label],
        )
        for label in dict.fromkeys(of_arm)
    ]


def _labels(pools_of_arms: Sequence[Sequence[int]]) -> list[int]:
    """Of each pool: the least number of those with which it is joined by arms."""
    labels = list(range(1 + max(map(max, pools_of_arms))))
    for pools in pools_of_arms:
        joined = {labels[pool] for pool in pools}
        if len(joined) > 1:
            labels = [min(joined) if label in joined else label for label in labels]
    return labels


def in_groups(jobs: Sequence[Job], arms: Sequence[Arm]) -> list[Job]:
    """One group after another, so that those who are resident together fill batches together."""
    places = enumerate(groups_of(arms, jobs))
    place = {arm: number for number, group in places for arm in group.arms}
    return sorted(jobs, key=lambda job: place[job[0]])
