"""Sync-UCB-ST: clients are chosen by discounted upper confidence bounds on their local losses.

Bhuyan & Moharir (2022), as Askin et al. (2024, Section 5.2) compare with it: in the first round
every client trains every task; afterwards the tasks take turns in picking first, each the clients
that score best and are still free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..config.settings import Config
from . import sync
from .round_rules import Round, SyncRules
from .rounds import SyncTimeline

GAMMA = 0.99  # discount of a round
LEAST_TIMES = 1e-300  # n below which a quotient would overflow


class Experience(NamedTuple):
    """Discounted sums over the rounds, ``float[tasks, clients]``; replaced, never changed."""

    times: np.ndarray  # n: how often the client's update was kept
    loss: np.ndarray  # L: the mean local losses of those updates


def first_experience(num_tasks: int, num_clients: int) -> Experience:
    """Nobody has trained anything."""
    return Experience(np.zeros((num_tasks, num_clients)), np.zeros((num_tasks, num_clients)))


def update(
    old: Experience, clients: Sequence[Sequence[int]], losses: Sequence[Sequence[float]]
) -> Experience:
    """Add one round.

    Args:
        old: the sums before.
        clients, losses: per task, whose updates the round kept, and their losses.
    """
    times, loss = GAMMA * old.times, GAMMA * old.loss
    for task, (who, what) in enumerate(zip(clients, losses, strict=True)):
        index = np.asarray(who, np.int64)
        times[task, index] += 1.0
        loss[task, index] += what
    return Experience(times, loss)


def scores(experience: Experience, num_rounds: int) -> np.ndarray:
    """``L / n + sqrt(2 ln(sum of gamma^s over s < t) / n)``, ``float[tasks, clients]``.

    Args:
        experience: the sums after ``num_rounds`` rounds (t >= 1).
        num_rounds: t.
    Returns:
        The scores; infinite where next to nothing is known (n = 0, or discounted away).
    """
    total = (1.0 - GAMMA**num_rounds) / (1.0 - GAMMA)
    is_known = experience.times > LEAST_TIMES
    times = np.where(is_known, experience.times, 1.0)
    return np.where(
        is_known, experience.loss / times + np.sqrt(2.0 * np.log(total) / times), np.inf
    )


def pick(
    scores: np.ndarray, candidates: np.ndarray, shares: Sequence[int], first: int
) -> list[list[int]]:
    """Clients of every task, the best first; who was taken is not free for the next task.

    Args:
        scores: ``float[tasks, clients]``; equal ones go by client number.
        candidates: who may be picked, at least ``sum(shares)`` clients.
        shares: how many clients each task picks.
        first: the task that picks first; the others follow in order.
    """
    free = np.sort(candidates)
    picked: list[list[int]] = [[] for _ in shares]
    for turn in range(len(shares)):
        task = (first + turn) % len(shares)
        order = np.argsort(-scores[task, free], kind="stable")
        picked[task] = free[order[: shares[task]]].tolist()
        free = np.sort(free[order[shares[task] :]])
    return picked


def shares(round_: Round) -> list[tuple[int, int]]:
    """In the first round every client that is on trains every task, and every arrival is kept."""
    everyone = round_.clients.num_here
    return sync.shares(round_) if round_.number else [(everyone, everyone) for _ in round_.tasks]


def choose(memory: Experience, round_: Round, random: np.random.Generator) -> np.ndarray:
    """Those that score best, the tasks taking turns in picking first."""
    del random
    num_tasks = len(round_.shares)
    if not round_.number:
        return np.tile(round_.clients.everyone, sum(share > 0 for share in round_.shares))
    candidates, _ = round_.candidates()
    scored = scores(memory, round_.number)
    picked = pick(scored, candidates, round_.shares, round_.number % num_tasks)
    return np.array([client for mine in picked for client in mine])


RULES = SyncRules(
    shares,
    choose,
    init=first_experience,
    learn_losses=update,
    to_plain=tuple,
    from_plain=lambda plain: Experience(*plain),
)


def make_timeline(config: Config, seed: int) -> SyncTimeline:
    """Lay out one replicate."""
    return sync.lay_out(RULES, config, seed, sync.keep_first(config))


def largest_round(config: Config) -> int:
    """The first round's: every client."""
    return config.num_clients
