"""Centralized training, the violet lines of Figures 3 and 13."""

from __future__ import annotations

from ..config.settings import Config
from ..config.tables import AvailabilityConfig, DelayConfig
from .replicate import OneReplicate
from .state import Learner, Request, TaskState


class Centralized(OneReplicate):
    """Plain SGD: every task has a machine of speed 1, which needs the mean time for a step.

    What clients are like, and when they are on, is nothing to it.
    """

    def __init__(self, config: Config, seed: int, learner: Learner) -> None:
        machines = {"availability": AvailabilityConfig(), "delays": DelayConfig()}
        super().__init__(config.model_copy(update=machines), seed, learner)

    def run(self) -> Centralized:
        """One request of each task at a time."""
        for task in self.tasks:
            task.num_active = task.buffer_size = 1
        at_work = [self.begin(task) for task in self.tasks]
        self.log_allocation()
        while self.end_reason is None:
            request = min(at_work, key=lambda one: (one.arrived_at, one.number))
            limit = self.config.time_limit
            if limit is not None and request.arrived_at > limit:
                self.now, self.end_reason = limit, "time_limit"
                break
            at_work.remove(request)
            self.now = request.arrived_at
            task = self.receive(request)
            if self.close_round(task):
                self.stop(task)
            else:
                at_work.append(self.begin(task))
            if self.num_arrivals == self.config.max_updates:
                self.end_reason = self.end_reason or "max_updates"
        return self

    def begin(self, task: TaskState) -> Request:
        """On the task's machine, which is free; 3 beta is the mean of a step's time."""
        self.free_at.clear()
        return self.send(task, 0, 3.0)

    def stop(self, task: TaskState) -> None:
        """Nobody else gets its machine."""
        task.is_stopped, task.num_active, task.buffer_size = True, 0, 0
        if self.open_tasks:
            self.log_allocation()
        else:
            self.end_reason = self.end_reason or "finished"
