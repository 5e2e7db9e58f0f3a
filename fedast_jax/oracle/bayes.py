"""Sync-Bayes-ST: Zhou et al. (2022)."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from ..clients.delays import Stream, generator
from ..config.settings import Config
from .rounds import SyncRounds
from .state import Learner, Request


class BayesRounds(SyncRounds):
    """Sync-Bayes-ST: of 75 selections, the one that promises to be cheapest."""

    def __init__(self, config: Config, seed: int, learner: Learner) -> None:
        super().__init__(config, seed, learner)
        self.used = Counter()  # (task, client) -> rounds that used its update
        self.rounds: list[tuple[np.ndarray, float]] = []  # the selection and what it cost

    def choose(self, random: np.random.Generator) -> list[int]:
        """Whom a Gaussian process recommends."""
        total = sum(self.sizes)
        stream = generator(self.seed, Stream.CANDIDATES, self.num_rounds)
        some = np.array(self.some(stream, min(total + 5, len(self.here))))
        rows = stream.permuted(np.stack([some] * 75), axis=1)[:, :total].tolist()
        if self.rounds:
            gains = self.expected_gains([self.vector(row) for row in rows], total)
            largest = max(gains)
            return next(
                row for row, gain in zip(rows, gains, strict=True) if is_like(gain, largest)
            )
        return rows[0]

    def vector(self, clients: list[int]) -> np.ndarray:
        """One number for every task and client."""
        chosen = np.zeros((len(self.tasks), self.config.num_clients))
        rest = iter(clients)
        for task in self.tasks:
            for _ in range(self.sizes[task.index]):
                chosen[task.index, next(rest)] = 1
        return chosen.ravel()

    def expected_gains(self, vectors: list[np.ndarray], total: int) -> list[float]:
        """Expected improvement over the last 50 rounds' cheapest.

        Rasmussen, Williams, Gaussian Processes for Machine Learning (2006), equations 2.25 and 2.26
        with the covariance of 4.17 (nu = 3/2); Jones et al. (1998), equation 15.
        """
        past = self.rounds[-50:]
        seen, costs = [vector for vector, _ in past], np.array([cost for _, cost in past])
        spread = costs.std()
        if is_like(costs.min(), costs.max()):
            spread, costs = 1.0, np.full(len(costs), costs[0])
        relative = (costs - costs.mean()) / spread
        noisy = np.array([[like(a, b, total) for b in seen] for a in seen]) + 0.1 * np.eye(
            len(seen)
        )
        gains = []
        for vector in vectors:
            near = np.array([like(vector, other, total) for other in seen])
            weights = np.linalg.solve(noisy, near)
            std = spread * math.sqrt(1 - weights @ near)
            gain = costs.min() - costs.mean() - spread * (weights @ relative)
            below = math.erfc(-gain / std / math.sqrt(2)) / 2
            density = math.exp(-((gain / std) ** 2) / 2) / math.sqrt(2 * math.pi)
            gains.append(gain * below + std * density)
        return gains

    def end_round(self, sent: list[Request]) -> None:
        """What the round has cost."""
        vector = self.vector([request.client for request in sent])
        total = 0.0
        for task in self.tasks:
            kept = [request for request, _ in task.buffer]
            self.used.update((task.index, request.client) for request in kept)
            longest = max((one.arrived_at - one.started_at for one in kept), default=0.0)
            used = [self.used[task.index, one] for one in range(self.config.num_clients)]
            mean = sum(used) / len(used)
            total += 0.25 * longest + 0.75 * sum((one - mean) ** 2 for one in used) / len(used)
        self.rounds.append((vector, total))
        super().end_round(sent)


def like(one: np.ndarray, other: np.ndarray, total: int) -> float:
    """Covariance of the costs of two selections of ``total`` pairs: Matern, nu = 3/2."""
    distance = math.sqrt(3 * (np.sum((one - other) ** 2)) / (2 * total))
    return (1 + distance) * math.exp(-distance)


def is_like(one: float, largest: float) -> bool:
    """Equal but for rounding."""
    return one >= largest * (1 - 1e-9)
