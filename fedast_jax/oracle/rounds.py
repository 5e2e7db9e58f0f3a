"""The synchronous methods of Section 5: Sync-ST, and FedAvg for one task after another."""

from __future__ import annotations

from collections import Counter

import numpy as np

from ..clients.delays import LAWS, Stream, client_delays, generator
from ..config.settings import Config
from .dispatches import recorded_times
from .replicate import OneReplicate
from .shares import shared_out
from .state import Learner, Request, TaskState


class SyncRounds(OneReplicate):
    """Sync-ST with the first k arrivals of each task, or with all of them."""

    def __init__(self, config: Config, seed: int, learner: Learner) -> None:
        super().__init__(config, seed, learner)
        self.classes = client_delays(config.delays, seed, config.num_clients).classes
        self.num_rounds = 0  # of all tasks together
        self.num_clients = config.max_active_clients or config.num_clients  # of a round
        self.shares_change = False  # at the end of the present round, though no task ends
        self.keeps_first = config.algorithm != "sync_st_no_mitigation"

    @property
    def round_tasks(self) -> list[TaskState]:
        """The tasks that rounds train at present."""
        return self.open_tasks

    def run(self) -> SyncRounds:
        """Round after round."""
        self.share_clients()
        while self.end_reason is None:
            self.play_round()
        return self

    def share_clients(self) -> None:
        """n_m clients for every unfinished task, of which the round keeps some."""
        for task in self.tasks:
            task.num_active = task.buffer_size = 0
        weights = [task.settings.sync_weight for task in self.round_tasks]
        shares = iter(shared_out(weights, self.num_clients))
        for task in self.round_tasks:
            task.num_active = task.buffer_size = next(shares)
            if self.config.keep_first != "all" and self.keeps_first:
                task.buffer_size = min(task.num_active, self.config.keep_first)
        now = tuple((task.num_active, task.buffer_size) for task in self.tasks)
        last = self.allocations[-1:]
        if [now] != [tuple(zip(one.num_active, one.buffer_size, strict=True)) for one in last]:
            self.log_allocation()

    def play_round(self) -> None:
        """From the dispatch to the last arrival that is kept, or the last that may come."""
        here = self.hours.here(self.now)
        if not here:
            self.now = min(
                self.hours.first_on(one, self.now) for one in range(self.config.num_clients)
            )
            here = self.hours.here(self.now)
        if self.config.time_limit is not None and self.now > self.config.time_limit:
            self.now, self.end_reason = self.config.time_limit, "time_limit"
            return
        self.plan_round(here)
        sent = self.dispatch()
        left = Counter(request.task for request in sent)  # requests that have not ended
        for request in sorted(sent, key=lambda one: (one.arrived_at, one.number)):
            task = self.tasks[request.task]
            left[request.task] -= 1
            if len(task.buffer) == self.keeps[task.index] and not request.is_doomed:
                continue  # too late: discarded
            if self.config.time_limit is not None and request.arrived_at > self.config.time_limit:
                self.now, self.end_reason = self.config.time_limit, "time_limit"
                return
            self.now = request.arrived_at
            if request.is_doomed:
                request.status = "lost"
            else:
                self.receive(request)
            if all(
                len(one.buffer) == self.keeps[one.index] or not left[one.index]
                for one in self.tasks
            ):
                break
            if self.num_arrivals == self.config.max_updates:
                self.end_reason = "max_updates"
                return
        self.end_round(sent)

    def plan_round(self, here: list[int]) -> None:
        """Clients of each task in this round, and arrivals that it keeps."""
        self.here = here
        self.sizes = [task.num_active for task in self.tasks]
        self.keeps = [task.buffer_size for task in self.tasks]
        if len(here) == self.config.num_clients:
            return
        tasks = self.round_tasks
        turn = self.num_rounds % len(tasks)
        chosen = (tasks[turn:] + tasks[:turn])[: len(here)]
        chosen.sort(key=lambda task: task.index)
        self.sizes, self.keeps = [0] * len(self.tasks), [0] * len(self.tasks)
        for task, size in zip(chosen, self.share_among(chosen, len(here)), strict=True):
            self.sizes[task.index] = self.keeps[task.index] = size
            if self.is_first_k:
                self.keeps[task.index] = min(size, int(self.config.keep_first))

    def share_among(self, tasks: list[TaskState], num_here: int) -> list[int]:
        """Clients of each of these."""
        weights = [task.settings.sync_weight for task in tasks]
        return shared_out(weights, min(self.num_clients, num_here))

    @property
    def is_first_k(self) -> bool:
        """Whether late arrivals are discarded."""
        return self.keeps_first and self.config.keep_first != "all"

    def dispatch(self) -> list[Request]:
        """Fresh clients for the round, task after task."""
        random = generator(self.seed, Stream.DISPATCH, self.num_rounds)
        chosen = self.choose(random)
        clients = iter(chosen)
        uniforms = iter(np.clip(random.random(len(chosen)), 2.0**-54, None))
        fates = iter(self.hours.are_lost(self.num_rounds, len(chosen)))
        sent = []
        for task in self.tasks:
            for _ in range(self.sizes[task.index]):
                client = next(clients)
                time = self.time_of(client, next(uniforms))
                sent.append(self.send(task, client, time, next(fates)))
        return sent

    def choose(self, random: np.random.Generator) -> list[int]:
        """The round's clients, the first task's first."""
        return self.some(random, sum(self.sizes))

    def some(self, random: np.random.Generator, count: int) -> list[int]:
        """So many of those that are on."""
        chosen = random.choice(len(self.here), count, replace=False)
        return [self.here[place] for place in chosen]

    def time_of(self, client: int, u: float) -> float:
        """At the client's speed, or what its device class took at this quantile."""
        delays, number = self.config.delays, self.classes[client]
        if delays.law == "devices":
            return 0.0  # nothing is random
        if delays.trace is None:
            quantile = LAWS[delays.law](np.array([u]), **delays.parameters)
            return float(quantile[0]) * delays.speeds[number]
        recorded = recorded_times(delays.trace)
        times = recorded[(delays.classes or sorted(recorded))[number]]
        return next(x for rank, x in enumerate(times, 1) if rank >= u * len(times))

    def end_round(self, sent: list[Request]) -> None:
        """Discard what is left, aggregate, test, stop."""
        for request in sent:
            if request.status == "in_flight":
                request.status = "cancelled"
        self.num_rounds += 1
        ended = [task for task in self.round_tasks if task.buffer and self.close_round(task)]
        for task in ended:
            task.is_stopped, task.num_active, task.buffer_size = True, 0, 0
        if not self.open_tasks:
            self.end_reason = self.end_reason or "finished"
        elif ended or self.shares_change:
            self.share_clients()
        if self.num_arrivals == self.config.max_updates:
            self.end_reason = self.end_reason or "max_updates"


class SequentialRounds(SyncRounds):
    """FedAvg for the first task, then for the next one."""

    @property
    def round_tasks(self) -> list[TaskState]:
        """The first that is left."""
        return self.open_tasks[:1]
