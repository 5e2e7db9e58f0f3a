"""Sync-UCB-ST: clients are chosen by discounted upper confidence bounds on their local losses.

Bhuyan & Moharir (2022), as Askin et al. (2024, Section 5.2) compare with it: in the first round
every client trains every task; afterwards the tasks take turns in picking first, each the clients
that score best and are still free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import sync
from .log import Measure
from .sync import SyncTimeline

if TYPE_CHECKING:
    from ..config.settings import Config

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


class UcbTimeline(SyncTimeline):
    """Rounds that wait for ``decide``, at their end, for the losses of the updates they kept."""

    @property
    def is_waiting(self) -> bool:
        """Whether the last round's losses are not in yet."""
        state = self._state
        return state.end_reason is None and state.num_rounds > state.memory.num_rounds

    def kept_updates(self, task: int) -> list[int]:
        """What the last round kept, while its losses are not in."""
        return self._last_kept(task) if self.is_waiting else []

    def decide(self, measure: Measure) -> None:
        """Take the last round's losses into account."""
        state, client = self._state, self.requests.client
        kept = [self._last_kept(task) for task in range(len(self._tasks))]
        losses = [measure.losses(task, mine) if mine else [] for task, mine in enumerate(kept)]
        clients = [[client[request] for request in mine] for mine in kept]
        state.memory = _Memory(state.num_rounds, update(state.memory.experience, clients, losses))

    def _last_kept(self, task: int) -> list[int]:
        """Arrivals of the last round, of a task that goes on."""
        rounds = self.rounds[task]
        if self._state.stopped[task]:
            return []
        return rounds.arrived[rounds.end[-2] if len(rounds) > 1 else 0 : rounds.num_used].tolist()

    def _shares(self, tasks: list[int]) -> list[tuple[int, int]]:
        """In the first round every client trains every task, and every arrival is kept."""
        if self._state.num_rounds:
            return super()._shares(tasks)
        return [(self._clients.num_clients, self._clients.num_clients) for _ in tasks]

    def _choose(self, random: np.random.Generator) -> np.ndarray:
        state = self._state
        if not state.num_rounds:
            return np.tile(np.arange(self._clients.num_clients), len(self._tasks))
        first = state.num_rounds % len(self._tasks)
        known = scores(state.memory.experience, state.num_rounds)
        candidates, _ = self._candidates()
        picked = pick(known, candidates, state.num_active, first)
        return np.array([client for mine in picked for client in mine])

    def _first_memory(self) -> _Memory:
        return _Memory(0, first_experience(len(self._tasks), self._clients.num_clients))

    def _plain_memory(self) -> tuple[int, tuple[np.ndarray, ...]]:
        memory = self._state.memory
        return memory.num_rounds, tuple(memory.experience)

    def _memory_of(self, plain: tuple[int, tuple[np.ndarray, ...]]) -> _Memory:
        num_rounds, sums = plain
        return _Memory(num_rounds, Experience(*sums))


class _Memory(NamedTuple):
    num_rounds: int  # rounds whose losses are in
    experience: Experience


def make_timeline(config: Config, seed: int) -> UcbTimeline:
    """Lay out one replicate."""
    return sync.lay_out(UcbTimeline, config, seed, sync.keep_first(config))


def largest_round(config: Config) -> int:
    """The first round's: every client."""
    return config.num_clients
