"""Algorithm 2 with options S and D, and the methods that go by its events."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from ..clients.delays import Stream, generator
from ..config.settings import Config
from .dispatches import Dispatched
from .replicate import OneReplicate
from .shares import shared_out
from .state import Learner, Request, TaskState

PERIOD = Fraction(3, 4)  # c_period / (unfinished tasks * sum of R)


class Asynchronous(OneReplicate):
    """Algorithm 2; ``fedast_nobuffer`` is the same with b = 1."""

    def __init__(self, config: Config, seed: int, learner: Learner, dispatches=None) -> None:
        super().__init__(config, seed, learner)
        self.dispatches = Dispatched(config, seed, self.hours, dispatches)
        self.last_change = 0  # c when the number of unfinished tasks last changed
        self.num_periods = 0  # c_periods between that and the last reallocation, whole ones
        self.heap: list[tuple[float, int]] = []
        self.unfinished: Counter[int] = Counter()  # client -> its requests, cancelled ones too
        self.waiting: list[TaskState] = []  # dispatches that wait for a client to come on
        self.is_dynamic = config.allocation == "dynamic"
        self.has_buffer = config.algorithm in ("fedast", "fedbuff", "fadas", "rennala", "ca2fl")
        if not self.has_buffer:
            for task in self.tasks:
                task.buffer_size = 1
        for task in self.tasks:
            task.round_size = task.buffer_size

    def run(self) -> Asynchronous:
        """From the first dispatch to the end."""
        self.dispatch_in_turn(self.tasks, [task.num_active for task in self.tasks])
        self.log_allocation()
        while self.end_reason is None:
            self.next_event()
        return self

    def next_event(self) -> None:
        """The earliest end of a request; of equal times the one dispatched first."""
        limit = math.inf if self.config.time_limit is None else self.config.time_limit
        if self.waiting and not (self.heap and self.heap[0][0] <= self.now):
            self.wake(limit)
        if not self.heap or self.heap[0][0] > limit:
            self.now, self.end_reason = limit, "time_limit"
            return
        self.now, number = heapq.heappop(self.heap)
        request = self.requests[number]
        self.unfinished[request.client] -= 1
        if request.status == "cancelled":
            if all(task.in_flight == 0 for task in self.tasks):
                self.try_owed()  # nobody works for an open task: there will be no arrival
        elif request.is_doomed:
            self.lose(request)
        else:
            self.arrive(request)

    def wake(self, limit: float) -> None:
        """The first client comes on: what has waited for it is dispatched."""
        first = min(self.hours.first_on(one, self.now) for one in range(self.config.num_clients))
        if first > limit:
            return
        self.now, tasks, self.waiting = first, self.waiting, []
        for task in tasks:
            task.in_flight -= 1
        for task in tasks:
            self.dispatch(task)

    def lose(self, request: Request) -> None:
        """Its task dispatches another one."""
        request.status = "lost"
        task = self.tasks[request.task]
        task.in_flight -= 1
        self.dispatch(task)
        self.try_owed()

    def arrive(self, request: Request) -> None:
        """Step 3 of the algorithm."""
        task = self.receive(request)
        task.in_flight -= 1
        if self.is_realloc_due():
            self.reallocate()
        if len(task.buffer) >= task.round_size and self.close_round(task):
            self.stop(task)
        if self.num_arrivals == self.config.max_updates:
            self.end_reason = self.end_reason or "max_updates"
        if not task.is_stopped:
            for _ in range(self.num_missing(task)):
                self.dispatch(task)
        self.try_owed()

    def close_round(self, task: TaskState) -> bool:
        is_last = super().close_round(task)
        task.round_size = task.buffer_size  # of the round that opens now
        return is_last

    @property
    def period(self) -> Fraction:
        """c_period."""
        return PERIOD * len(self.open_tasks) * sum(task.num_active for task in self.tasks)

    def is_realloc_due(self) -> bool:
        """At every multiple of c_period, while there is anything to share."""
        due = self.last_change + (self.num_periods + 1) * self.period
        return self.is_dynamic and len(self.open_tasks) > 1 and self.num_arrivals >= due

    def reallocate(self) -> None:
        """Algorithms 3 and 4; who has had fewer than two arrivals keeps what it has."""
        self.num_periods = math.floor((self.num_arrivals - self.last_change) / self.period)
        sigma_hat = self.sigma_hats()
        others = [task for task in self.open_tasks if len(task.arrived) >= 2]
        if others:
            total = sum(task.num_active for task in others)
            shares = self.shares([sigma_hat[task.index] for task in others], total)
            for task, share in zip(others, shares, strict=True):
                self.set_active(task, share)
        self.log_allocation(sigma_hat)

    def sigma_hats(self) -> list[float]:
        """Of all tasks."""
        return [0.0 if task.is_stopped else self.estimate(task) for task in self.tasks]

    def shares(self, weights: Sequence[float], total: int) -> list[int]:
        """R_m of the open tasks."""
        return shared_out(weights, total)

    def estimate(self, task: TaskState) -> float:
        """sigma_hat; not a number where one update or none has arrived."""
        if len(task.arrived) < 2:
            return math.nan
        one = task.settings
        factor = one.client_lr * one.server_lr * one.work.num_steps
        return math.sqrt(factor * self.learner.spread(task.arrived))

    def set_active(self, task: TaskState, num_active: int) -> None:
        """R_m, and b_m with it, halves up."""
        task.num_active = num_active
        if self.has_buffer:
            exact = Fraction(num_active * task.settings.buffer_size, task.settings.num_active)
            task.buffer_size = max(1, math.floor(exact + Fraction(1, 2)))

    def num_missing(self, task: TaskState) -> int:
        """K; what is owed is as good as in flight."""
        spare = [one.num_active - one.in_flight - one.owed for one in self.tasks]
        return max(0, min(2, spare[task.index], sum(spare)))

    def stop(self, task: TaskState) -> None:
        """Cancel its requests and hand its R_m on."""
        freed, task.num_active, task.in_flight, task.is_stopped = task.num_active, 0, 0, True
        task.owed, self.last_change, self.num_periods = 0, self.num_arrivals, 0
        for request in self.requests:
            if request.task == task.index and request.status == "in_flight":
                request.status = "cancelled"
        self.waiting = [other for other in self.waiting if other is not task]
        others = self.open_tasks
        if not others:
            self.end_reason = self.end_reason or "finished"
            return
        total = sum(other.num_active for other in others)
        extras = [freed * other.num_active // total for other in others]
        order = generator(self.seed, Stream.HAND_ON, self.num_arrivals).permutation(len(others))
        for index in order[: freed - sum(extras)]:
            extras[index] += 1
        for other, extra in zip(others, extras, strict=True):
            self.set_active(other, other.num_active + extra)
        if not self.is_dynamic:
            self.dispatch_in_turn(others, extras)
        self.log_allocation()

    def dispatch_in_turn(self, tasks: list[TaskState], counts: list[int]) -> None:
        """One by one, each for the task that has had the least part of its own so far."""
        had = [0] * len(tasks)
        for _ in range(sum(counts)):
            waiting = [place for place, count in enumerate(counts) if had[place] < count]
            place = min(waiting, key=lambda one: (Fraction(had[one], counts[one]), one))
            had[place] += 1
            self.dispatch(tasks[place])

    def dispatch(self, task: TaskState) -> None:
        """Send a request with the current version to a random client that is on, or owe it."""
        drawn = self.dispatches.draw(self.now)
        if drawn is None:
            self.waiting.append(task)
            task.in_flight += 1
            return
        client, step_time, is_lost = drawn
        wakes = self.unfinished[client] == 0
        most = self.config.max_active_clients
        if wakes and most is not None and self.num_awake() >= most:
            task.owed += 1
            return
        request = self.send(task, client, step_time, is_lost)
        self.unfinished[client] += 1
        task.in_flight += 1
        heapq.heappush(self.heap, (request.arrived_at, request.number))

    def num_awake(self) -> int:
        """Clients with unfinished requests."""
        return sum(count > 0 for count in self.unfinished.values())

    def try_owed(self) -> None:
        """One dispatch that is owed, for the task that lacks the largest part of its R."""
        creditors = [task for task in self.open_tasks if task.owed]
        if creditors:
            task = min(creditors, key=lambda one: (-Fraction(one.owed, one.num_active), one.index))
            task.owed -= 1
            self.dispatch(task)
