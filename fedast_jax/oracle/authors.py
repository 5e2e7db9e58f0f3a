"""The authors' code where it departs from the paper (see docs/differences.md)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from ..config.settings import Config
from .asynchronous import Asynchronous
from .state import Learner, Request, TaskState

GRANULE, WINDOW, LEAST_ROUNDS = 32, 7, 8  # of the authors' code; tests lower them


class AuthorsAsynchronous(Asynchronous):
    """Where the authors' code departs from the paper and is followed (see docs/differences.md)."""

    def __init__(self, config: Config, seed: int, learner: Learner) -> None:
        super().__init__(config, seed, learner)
        self.num_first = 0  # requests dispatched before anything happened
        self.num_arrived = [0] * len(self.tasks)
        self.estimates: list[list[float]] = [[] for _ in self.tasks]  # since the reallocation

    def log_allocation(self, sigma_hat: Sequence[float] | None = None) -> None:
        if not self.allocations:
            self.num_first = len(self.requests)
        super().log_allocation(sigma_hat)

    def arrive(self, request: Request) -> None:
        task = self.tasks[request.task]
        if request.number < self.num_first:
            request.base_round = task.round
        super().arrive(request)
        size = max(1, math.ceil(task.in_flight / GRANULE))
        follows = self.is_dynamic and self.has_buffer and not task.is_stopped
        if follows and size != task.buffer_size:
            task.buffer_size = task.round_size = size
            self.log_allocation()

    def receive(self, request: Request) -> TaskState:
        task = super().receive(request)
        self.num_arrived[task.index] += 1
        if self.is_dynamic and self.num_arrived[task.index] > WINDOW:
            last = task.arrived[-WINDOW:]
            self.estimates[task.index].append(self.learner.spread_without_biases(last))
        return task

    def is_realloc_due(self) -> bool:
        return (
            super().is_realloc_due()
            and all(task.round > LEAST_ROUNDS for task in self.tasks)
            and all(self.estimates[task.index] for task in self.open_tasks)
        )

    def reallocate(self) -> None:
        super().reallocate()
        self.estimates = [[] for _ in self.tasks]

    def shares(self, weights: Sequence[float], total: int) -> list[int]:
        return shared_out_by_granules(weights, total)

    def estimate(self, task: TaskState) -> float:
        one, found = task.settings, self.estimates[task.index]
        factor = one.server_lr * one.client_lr / (one.client_lr * one.work.num_steps) ** 2
        return factor * (sum(found) / len(found)) / 2

    def set_active(self, task: TaskState, num_active: int) -> None:
        size = task.buffer_size
        super().set_active(task, num_active)
        if self.is_dynamic:
            task.buffer_size = size
        task.round_size = task.buffer_size


def shared_out_by_granules(weights: Sequence[float], total: int) -> list[int]:
    """As many granules as there are, each to the task that lacks most of its share."""
    known = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    if not known or not any(weights):
        weights = [1.0] * len(weights)
    whole = sum(map(Fraction, weights))
    lacks = [math.floor(Fraction(weight) * total / whole) - GRANULE for weight in weights]
    counts = [GRANULE for _ in weights]
    for _ in range((total - sum(counts)) // GRANULE):
        neediest = max(range(len(lacks)), key=lambda one: (lacks[one], -one))
        counts[neediest] += GRANULE
        lacks[neediest] -= GRANULE
    return counts
