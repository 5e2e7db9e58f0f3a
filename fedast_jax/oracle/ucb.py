"""Sync-UCB-ST: Bhuyan, Moharir (2022)."""

from __future__ import annotations

import math

import numpy as np

from ..clients.delays import Stream, generator
from ..config.settings import Config
from .rounds import SyncRounds
from .state import Learner, Request, TaskState


class UcbRounds(SyncRounds):
    """Sync-UCB-ST: scores from discounted sums of each client's losses."""

    def __init__(self, config: Config, seed: int, learner: Learner) -> None:
        super().__init__(config, seed, learner)
        pairs = [(task.index, one) for task in self.tasks for one in range(config.num_clients)]
        self.times_kept = dict.fromkeys(pairs, 0.0)
        self.sum_of_losses = dict.fromkeys(pairs, 0.0)

    def share_clients(self) -> None:
        """Everybody, the first time."""
        if self.num_rounds:
            super().share_clients()
            return
        for task in self.tasks:
            task.num_active = task.buffer_size = self.config.num_clients
        self.log_allocation()

    def choose(self, random: np.random.Generator) -> list[int]:
        """Task by task, from the one whose turn it is."""
        if not self.num_rounds:
            return self.here * sum(size > 0 for size in self.sizes)
        most = min(sum(self.sizes) + 5, len(self.here))
        free = set(self.some(generator(self.seed, Stream.CANDIDATES, self.num_rounds), most))
        chosen: dict[int, list[int]] = {}
        for turn in range(len(self.tasks)):
            task = self.tasks[(self.num_rounds + turn) % len(self.tasks)]
            chosen[task.index] = []
            while len(chosen[task.index]) < self.sizes[task.index]:
                best = max(sorted(free), key=lambda client: self.score(task, client))
                free.remove(best)
                chosen[task.index].append(best)
        return [client for task in self.tasks for client in chosen[task.index]]

    def plan_round(self, here: list[int]) -> None:
        """All that are on, the first time."""
        super().plan_round(here)
        if not self.num_rounds:
            self.keeps = self.sizes

    def share_among(self, tasks: list[TaskState], num_here: int) -> list[int]:
        if not self.num_rounds:
            return [num_here] * len(tasks)
        return super().share_among(tasks, num_here)

    def score(self, task: TaskState, client: int) -> float:
        """The mean loss, and a bonus where it rests on little; who is unknown comes first."""
        number, total = (
            self.times_kept[task.index, client],
            sum(0.99**age for age in range(self.num_rounds)),
        )
        if not number:
            return math.inf
        mean = self.sum_of_losses[task.index, client] / number
        return mean + math.sqrt(2 * math.log(total) / number)

    def end_round(self, sent: list[Request]) -> None:
        """Discount all that is known and add the round to it."""
        for task in self.round_tasks:
            for client in range(self.config.num_clients):
                self.times_kept[task.index, client] *= 0.99
                self.sum_of_losses[task.index, client] *= 0.99
            losses = task.losses[len(task.losses) - len(task.buffer) :]
            for (request, _), loss in zip(task.buffer, losses, strict=True):
                self.times_kept[task.index, request.client] += 1
                self.sum_of_losses[task.index, request.client] += loss
        self.shares_change = not self.num_rounds
        super().end_round(sent)
