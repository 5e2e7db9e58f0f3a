"""What all algorithms have in common: requests, buffers, rounds, tests."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..config.settings import Config
from .dispatches import duration
from .hours import Hours
from .state import Allocation, Known, Learner, Model, Request, TaskState

MOST_UPDATES = 8  # V


class OneReplicate:
    """What all algorithms record. Afterwards the attributes say everything that happened."""

    def __init__(self, config: Config, seed: int, learner: Learner) -> None:
        self.config, self.seed, self.learner = config, seed, learner
        self.num_arrivals = 0  # c
        self.now = 0.0
        self.end_reason: str | None = None
        self.requests: list[Request] = []
        self.evaluations: list[tuple[str, int, float, int, float, float]] = []
        self.target_times: dict[str, float] = {}
        self.allocations: list[Allocation] = []
        self.free_at: dict[int, float] = {}  # client -> end of its queue
        self.hours = Hours(config, seed)
        self.tasks = [
            TaskState(
                index,
                task.name,
                task.settings,
                task.settings.num_active,
                task.settings.buffer_size,
                [learner.initial(seed, index)],
            )
            for index, task in enumerate(config.named_tasks)
        ]

    @property
    def open_tasks(self) -> list[TaskState]:
        """Those that have not stopped."""
        return [task for task in self.tasks if not task.is_stopped]

    def receive(self, request: Request) -> TaskState:
        """Count an arrival and put its update into its task's buffer."""
        task = self.tasks[request.task]
        self.num_arrivals += 1
        if not self.is_accepted(request):
            request.status = "dropped"
            return task
        request.status = "buffered"
        start = task.versions[request.base_round]
        update, loss = self.learner.train(self.seed, request, start)
        task.losses.append(loss)
        task.buffer.append((request, update))
        task.arrived = [*task.arrived, update][-MOST_UPDATES:]
        return task

    def close_round(self, task: TaskState) -> bool:
        """One round, and its test; whether the target is met or the round was the last."""
        updates, known = [update for _, update in task.buffer], self.known(task)
        for request, _ in task.buffer:
            request.status, request.used_round = "used", task.round
        task.buffer = []
        new = self.learner.aggregate(task.index, task.versions[-1], updates, known)
        task.versions.append(new)
        is_met = task.round % task.settings.test_every == 0 and self.test(task)
        return is_met or task.round == task.settings.max_rounds

    def known(self, task: TaskState) -> Known:
        """Of the round that closes; the clients' last updates are now those of the buffer."""
        known = Known([], [], [], [], self.config.num_clients, task.num_active, task.kept)
        for request, update in task.buffer:
            age = task.round - request.base_round
            known.staleness.append(age)
            known.weights.append(self.weight(task, age))
            known.previous.append(task.last_of.get(request.client))
            known.starts.append(task.versions[request.base_round])
            task.last_of[request.client] = update
        return known

    def weight(self, task: TaskState, age: int) -> float:
        """Xie et al. (2019), Section 5.2; Koloskova et al. (2022) for delay_adaptive."""
        one = task.settings
        if self.config.algorithm == "delay_adaptive":
            bound = one.method["delay_bound"] or task.num_active
            return 1.0 if age <= bound else bound / age
        if one.staleness == "polynomial":
            return (1 + age) ** -one.staleness_a
        if one.staleness == "hinge" and age > one.staleness_bound:
            return 1 / (one.staleness_a * (age - one.staleness_bound) + 1)
        return 1.0

    def is_accepted(self, request: Request) -> bool:
        """Whether an arrival is used, or dropped."""
        task = self.tasks[request.task]
        age = task.round - request.base_round
        if self.config.algorithm == "ringmaster":
            return age < task.settings.method["max_staleness"]
        return age == 0 or self.config.algorithm != "rennala"

    def test(self, task: TaskState) -> bool:
        """Whether the target is met."""
        metric, loss = self.learner.score(task.index, task.versions[-1])
        self.evaluations.append((task.name, task.round, self.now, self.num_arrivals, metric, loss))
        if not math.isfinite(loss):
            self.end_reason = "diverged"
            return False
        target, is_met = task.settings.target, False
        if target is not None and task.settings.metric_goal == "at most":
            is_met = metric <= target
        elif target is not None:
            is_met = metric >= target
        if is_met:
            self.target_times[task.name] = self.now
        return is_met

    def send(
        self, task: TaskState, client: int, step_time: float, is_lost: bool = False
    ) -> Request:
        """A new request with the current version; its client begins when it is free and on."""
        ready = max(self.now, self.free_at.get(client, 0.0))
        start, end, is_dropped = self.hours.work(
            client, ready, duration(self.config, task.settings, client, step_time)
        )
        self.free_at[client] = end
        request = Request(
            len(self.requests), task.index, client, self.now, start, end, task.round,
            is_lost or is_dropped,
        )  # fmt: skip
        self.requests.append(request)
        return request

    def log_allocation(self, sigma_hat: Sequence[float] | None = None) -> None:
        """Write down who has how much now."""
        self.allocations.append(
            Allocation(
                self.now,
                self.num_arrivals,
                tuple(task.num_active for task in self.tasks),
                tuple(task.buffer_size for task in self.tasks),
                None if sigma_hat is None else tuple(sigma_hat),
            )
        )

    def final_model(self, name: str) -> Model:
        """The last version of a task."""
        return next(task.versions[-1] for task in self.tasks if task.name == name)
