"""The algorithms one event at a time: slow, plain, and sharing no code with the engine.

Written from Askin et al. (UAI 2024): Algorithm 2 with options S and D, the synchronous methods of
Section 5, sequential and centralized training; docs/differences.md has what these leave open. It
has its own heap, its own loops and its own bookkeeping; only the random draws, the data and the
functions of a task are the package's.
"""

from __future__ import annotations

import csv
import heapq
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ..clients.availability import make_law
from ..clients.batches import AUGMENT, INITIAL_MODEL, batch_samples, request_key
from ..clients.delays import CHUNK, LAWS, Dispatches, Stream, client_delays, generator
from ..config.settings import Config, Fidelity, TaskConfig
from ..config.work import LocalWork
from ..data.task_data import Clients, TaskData
from ..tasks import TaskFunctions, get_kind

Model = Any
Update = Any
MOST_UPDATES = 8  # V
GRANULE, WINDOW, LEAST_ROUNDS = 32, 7, 8  # of the authors' code; tests lower them
PERIOD = Fraction(3, 4)  # c_period / (unfinished tasks * sum of R)


@dataclass
class Request:
    """One local training job."""

    number: int
    task: int
    client: int
    dispatched_at: float
    started_at: float
    arrived_at: float
    base_round: int
    is_doomed: bool = False  # whether it will be lost
    status: str = "in_flight"
    used_round: int | None = None


@dataclass
class TaskState:
    """What the server knows of one task."""

    index: int
    name: str
    settings: TaskConfig
    num_active: int  # R_m
    buffer_size: int  # b_m
    versions: list[Model]  # all models so far; the last one is the current one
    round_size: int = 0  # b_m when the present round opened
    in_flight: int = 0
    owed: int = 0  # dispatches dropped for too many active clients; A_m is in_flight + owed
    buffer: list[tuple[Request, Update]] = field(default_factory=list)  # B_m
    arrived: list[Update] = field(default_factory=list)  # the last V of them
    losses: list[float] = field(default_factory=list)  # of all arrivals
    is_stopped: bool = False
    last_of: dict[int, Update] = field(default_factory=dict)  # client -> its last update used
    kept: list[Any] = field(default_factory=list)  # what the method keeps beside the model

    @property
    def round(self) -> int:
        """t_m."""
        return len(self.versions) - 1


class Allocation(NamedTuple):
    """Who has how much from one event on."""

    time: float
    arrivals: int
    num_active: tuple[int, ...]
    buffer_size: tuple[int, ...]
    sigma_hat: tuple[float, ...] | None = None


class Known(NamedTuple):
    """What the server knows of the updates of a round, one entry each, in order of arrival."""

    staleness: list[int]
    weights: list[float]  # s(staleness)
    previous: list[Update | None]  # the last update of the same client that a round used
    starts: list[Model]  # the versions that they were trained from
    num_clients: int  # N
    num_active: int  # R_m
    state: list[Any]  # what the server keeps of the task, changed in place


class Learner(Protocol):
    """What models are. The event loop does not look inside them."""

    def initial(self, seed: int, task: int) -> Model:
        """Version 0."""
        ...

    def train(self, seed: int, request: Request, model: Model) -> tuple[Update, float]:
        """Algorithm 1: ``x - x_tau``, and the mean loss over the steps."""
        ...

    def aggregate(self, task: int, model: Model, updates: list[Update], known: Known) -> Model:
        """The server's step."""
        ...

    def score(self, task: int, model: Model) -> tuple[float, float]:
        """Accuracy (or the task's own metric) and loss on the test set."""
        ...

    def spread(self, updates: list[Update]) -> float:
        """``(1/V) sum ||u_i - mean||^2 / ||mean||^2``."""
        ...

    def spread_without_biases(self, updates: list[Update]) -> float:
        """The same over what is not called a bias."""
        ...


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
            client, ready, self.duration(task, client, step_time)
        )
        self.free_at[client] = end
        request = Request(
            len(self.requests), task.index, client, self.now, start, end, task.round,
            is_lost or is_dropped,
        )  # fmt: skip
        self.requests.append(request)
        return request

    def duration(self, task: TaskState, client: int, step_time: float) -> float:
        """Of one request, without interruptions."""
        work, delays = task.settings.work, self.config.delays
        if delays.law == "devices":
            seconds, rate = measured_devices(delays.trace)[client]
            samples = work.num_steps * work.batch_size
            transfer = delays.trace_scale * 2 * model_bytes(task.settings.kind) * (1 / rate)
            return delays.trace_scale * 3 * samples * seconds + transfer
        if delays.law == "trace":  # whole requests were recorded
            return delays.trace_scale * step_time
        return work.num_steps * task.settings.step_time * step_time

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


class Oracle(OneReplicate):
    """Algorithm 2; ``fedast_nobuffer`` is the same with b = 1."""

    def __init__(self, config: Config, seed: int, learner: Learner, dispatches=None) -> None:
        super().__init__(config, seed, learner)
        self.dispatches = dispatches or dispatch_stream(config, seed)
        self.num_attempts = 0
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

    def run(self) -> Oracle:
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
        sigma_hat = [0.0 if task.is_stopped else self.estimate(task) for task in self.tasks]
        others = [task for task in self.open_tasks if len(task.arrived) >= 2]
        if others:
            total = sum(task.num_active for task in others)
            shares = self.shares([sigma_hat[task.index] for task in others], total)
            for task, share in zip(others, shares, strict=True):
                self.set_active(task, share)
        self.log_allocation(sigma_hat)

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
        drawn = self.draw()
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

    def draw(self) -> tuple[int, float, bool] | None:
        """The next entry of the dispatch stream: a client that is on, a step's time, its fate."""
        chunk, offset = divmod(self.num_attempts, CHUNK)
        clients, step_times = self.dispatches.chunk(chunk)
        client, step_time = clients[offset], step_times[offset]
        is_lost = self.hours.are_lost(chunk, CHUNK)[offset]
        if not self.hours.is_on(client, self.now):
            here = self.hours.here(self.now)
            if not here:
                return None
            client = self.another(chunk, offset, here)
            u = self.dispatches.draws(chunk).u[offset]
            step_time = float(self.dispatches.times(np.array([client]), np.array([u]))[0])
        self.num_attempts += 1
        return client, step_time, is_lost

    def another(self, chunk: int, offset: int, here: list[int]) -> int:
        """Of the seven that are named the first that is on; or anyone, of ever more at a time."""
        for client in self.dispatches.others(chunk)[:, offset].tolist():
            if client in here:
                return client
        everybody, tries = self.config.num_clients, 64
        random = generator(self.seed, Stream.SEARCH, self.num_attempts)
        while tries < everybody:
            for client in random.integers(everybody, size=tries).tolist():
                if client in here:
                    return client
            tries *= 4
        return here[random.integers(len(here))]


class AuthorsOracle(Oracle):
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


class SyncOracle(OneReplicate):
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

    def run(self) -> SyncOracle:
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


class UcbOracle(SyncOracle):
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


class BayesOracle(SyncOracle):
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
        spread = costs.std() or 1.0
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


class SequentialOracle(SyncOracle):
    """FedAvg for the first task, then for the next one."""

    @property
    def round_tasks(self) -> list[TaskState]:
        """The first that is left."""
        return self.open_tasks[:1]


class CentralizedOracle(OneReplicate):
    """Plain SGD: every task has a machine of speed 1, which needs the mean time for a step."""

    def run(self) -> CentralizedOracle:
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


def shared_out(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers near ``total * weight / sum``: exact fractions, largest remainders first.

    Who would get nothing takes one from whoever has most; of equals, the first.
    """
    known = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    if not known or not any(weights):
        weights = [1.0] * len(weights)
    parts = [Fraction(weight) for weight in weights]
    exact = [part * total / sum(parts) for part in parts]
    counts = [math.floor(one) for one in exact]
    by_remainder = sorted(range(len(parts)), key=lambda one: (counts[one] - exact[one], one))
    for one in by_remainder[: total - sum(counts)]:
        counts[one] += 1
    for one in range(len(counts)):
        if counts[one] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[one] = 1
    return counts


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


class CachedChunks:
    """The package's dispatch stream, each chunk drawn once."""

    def __init__(self, dispatches: Dispatches) -> None:
        self.chunk, self.draws = cache(dispatches.chunk), cache(dispatches.draws)
        self.others, self.times = cache(dispatches.others), dispatches.times


class Hours:
    """When clients are on, and what is lost.

    When a client goes on and off is a random draw, and the package's; it is written down here, one
    interval after another, and all else is worked out from that.
    """

    def __init__(self, config: Config, seed: int) -> None:
        self.seed, self.settings, self.num_clients = seed, config.availability, config.num_clients
        self.law = make_law(config.availability, seed, config.num_clients)
        self.written: dict[int, list[tuple[float, float]]] = {}
        self.are_lost = cache(self._are_lost)

    def interval(self, client: int, time: float) -> tuple[float, float]:
        """The one that the time is in, or the next one."""
        if self.law is None:
            return -math.inf, math.inf
        known = self.written.setdefault(client, [])
        while not known or known[-1][1] <= time:
            known.append(self.law.stretch(client, known[-1][1] if known else 0.0))
        return next((start, end) for start, end in known if end > time)

    def is_on(self, client: int, time: float) -> bool:
        return self.interval(client, time)[0] <= time

    def first_on(self, client: int, time: float) -> float:
        """At once, or when it comes on."""
        return max(time, self.interval(client, time)[0])

    def here(self, time: float) -> list[int]:
        """Those that are on."""
        return [one for one in range(self.num_clients) if self.is_on(one, time)]

    def work(self, client: int, ready: float, duration: float) -> tuple[float, float, bool]:
        """From when until when, and whether it is lost because the client goes off."""
        now = start = self.first_on(client, ready)
        while True:
            off = self.interval(client, now)[1]
            if now + duration <= off:
                return start, now + duration, False
            if self.settings.when_off == "lose":
                return start, off, True
            duration -= off - now
            now = self.first_on(client, off)

    def _are_lost(self, index: int, count: int) -> list[bool]:
        """Of the stretch with this number."""
        numbers = generator(self.seed, Stream.LOSS, index).random(count)
        return [number < self.settings.loss for number in numbers.tolist()]


def dispatch_stream(config: Config, seed: int) -> CachedChunks:
    """The random draws of a replicate."""
    delays = client_delays(config.delays, seed, config.num_clients)
    return CachedChunks(Dispatches(seed, config.num_clients, *delays))


@cache
def measured_devices(path: str) -> dict[int, tuple[float, float]]:
    """Client -> seconds for a sample, bytes in a second."""
    with open(path, newline="") as file:
        return {
            int(row["client"]): (float(row["seconds_per_sample"]), float(row["bytes_per_second"]))
            for row in csv.DictReader(file)
        }


@cache
def model_bytes(kind: str) -> int:
    """Four for each number of the model."""
    leaves = jax.tree.leaves(built_task(kind).init(jax.random.key(0)))
    return sum(4 * np.size(leaf) for leaf in leaves)


def recorded_times(path: str) -> dict[str, list[float]]:
    """Device class -> its durations in a CSV file, shortest first."""
    times: dict[str, list[float]] = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            times.setdefault(row["device_class"], []).append(float(row["duration"]))
    return {name: sorted(found) for name, found in times.items()}


class RealLearner:
    """The tasks of a configuration, trained for real by a plain loop over steps."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings = [task.settings for task in config.named_tasks]
        self.data = [load_data(one.kind) for one in self.settings]
        self.tasks = [built_task(one.kind, config.fidelity) for one in self.settings]
        self.partitions: dict[tuple[int, int], Clients] = {}
        self.moments: dict[int, tuple[Any, Any]] = {}  # task -> FedOpt's m and v, leaf by leaf

    def initial(self, seed: int, task: int) -> Model:
        model = self.tasks[task].init(key_of(seed, task, INITIAL_MODEL))
        zeros = [np.zeros_like(leaf) for leaf in jax.tree.leaves(model)]
        self.moments[task] = zeros, [zero + EPSILON**2 for zero in zeros]
        return model

    def train(self, seed: int, request: Request, model: Model) -> tuple[Update, float]:
        index, settings = request.task, self.settings[request.task]
        work, samples = self.work(seed, request)
        key = key_of(seed, index, request.number)
        x, step, losses = model, sgd_step(settings.kind, self.config.fidelity), []
        for number, rows in enumerate(np.asarray(orders(work, samples, key))):
            x, loss = step(
                x,
                self.data[index].on_device.train,
                rows,
                jax.random.fold_in(key, AUGMENT + number),
                settings.client_lr,
                settings.weight_decay,
                settings.proximal,
                model,
            )
            losses.append(float(loss))
        return jax.tree.map(jnp.subtract, model, x), sum(losses) / len(losses)

    def work(self, seed: int, request: Request) -> tuple[LocalWork, np.ndarray]:
        """How a request trains, and on which examples: its client's, or all there are."""
        index, work = request.task, self.settings[request.task].work
        if self.config.algorithm != "centralized":
            return work, self.partition(seed, index).samples([request.client])[0]
        span = np.array([0, self.data[index].num_examples], np.int32)
        return LocalWork(work.batch_size, None, work.num_steps, None), span

    def aggregate(self, task: int, model: Model, updates: list[Update], known: Known) -> Model:
        """Leaf by leaf, since no rule mixes numbers of different places."""
        rule = RULES.get(self.config.algorithm)
        if rule is None:
            return self.step(task, model, updates, known.weights)
        leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, model))
        rows, starts = leaf_rows(updates), leaf_rows(known.starts)
        nothing = [0 * leaf for leaf in leaves]
        before = [nothing if one is None else leaf_rows([one])[0] for one in known.previous]
        known.state.extend({} for _ in leaves[len(known.state) :])
        found = [
            rule(
                leaf,
                [row[place] for row in rows],
                Round(
                    self.settings[task].server_lr,
                    self.settings[task].method,
                    known,
                    [row[place] for row in before],
                    [row[place] for row in starts],
                ),
                known.state[place],
            )
            for place, leaf in enumerate(leaves)
        ]
        return jax.tree.unflatten(structure, found)

    def step(self, task: int, model: Model, updates: list[Update], weights: list[float]) -> Model:
        """A replicate's rounds follow each other: what an optimizer keeps is the last round's."""
        leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, model))
        rows = [[np.asarray(leaf) for leaf in jax.tree.leaves(one)] for one in updates]
        weighted = [
            [weight * leaf for leaf in row] for weight, row in zip(weights, rows, strict=True)
        ]
        deltas = [-sum(leaf) / len(rows) for leaf in zip(*weighted, strict=True)]
        one, (m, v) = self.settings[task], self.moments[task]
        steps = []
        for place, delta in enumerate(deltas):
            step, m[place], v[place] = server_step(one.server_optimizer, delta, m[place], v[place])
            steps.append(step)
        found = [x + one.server_lr * step for x, step in zip(leaves, steps, strict=True)]
        return jax.tree.unflatten(structure, found)

    def score(self, task: int, model: Model) -> tuple[float, float]:
        total = self.data[task].num_tests
        correct, loss = whole_test(self.settings[task].kind, self.config.fidelity)(
            model, self.data[task].on_device.test, np.arange(total)
        )
        return float(np.sum(correct)) / total, float(np.mean(np.asarray(loss, np.float64)))

    def spread(self, updates: list[Update]) -> float:
        rows = [np.concatenate([np.ravel(x) for x in jax.tree.leaves(one)]) for one in updates]
        mean = sum(rows) / len(rows)
        return sum(float(np.sum((row - mean) ** 2)) for row in rows) / (
            len(rows) * float(np.sum(mean**2))
        )

    def spread_without_biases(self, updates: list[Update]) -> float:
        def without(update: Update) -> list[np.ndarray]:
            leaves, _ = jax.tree_util.tree_flatten_with_path(update)
            return [leaf for path, leaf in leaves if not path[-1].key.endswith("bias")]

        return self.spread([without(update) for update in updates])

    def partition(self, seed: int, task: int) -> Clients:
        """Which samples each client holds; the authors' clients draw proportions once."""
        if (seed, task) not in self.partitions:
            follows_authors = self.config.fidelity == "authors"
            self.partitions[seed, task] = self.data[task].partition(
                self.settings[task],
                self.config.num_clients,
                (seed, Stream.PARTITION, task),
                (seed, Stream.PARTITION) if follows_authors else None,
            )
        return self.partitions[seed, task]


def leaf_rows(trees: list[Any]) -> list[list[np.ndarray]]:
    """The leaves of each."""
    return [[np.asarray(leaf) for leaf in jax.tree.leaves(one)] for one in trees]


class Round(NamedTuple):
    """One leaf of a round, for the rules below."""

    server_lr: float
    numbers: dict[str, float]  # the method's hyperparameters
    known: Known
    previous: list[np.ndarray]
    starts: list[np.ndarray]


def fedasync(x, deltas, one: Round, state):
    """Xie et al. (2019), Algorithm 1: a mix with the one model that has arrived."""
    (delta,), (start,), (weight,) = deltas, one.starts, one.known.weights
    share = one.numbers["mixing"] * weight
    return (1 - share) * x + share * (start - delta)


def fadas(x, deltas, one: Round, state):
    """Wang et al. (ICML 2024): AMSGrad whose step shrinks with the round's largest delay."""
    beta_1, beta_2 = one.numbers["beta_1"], one.numbers["beta_2"]
    mean = -sum(deltas) / len(deltas)
    state["m"] = beta_1 * state.get("m", 0) + (1 - beta_1) * mean
    state["v"] = beta_2 * state.get("v", 0) + (1 - beta_2) * mean**2
    state["top"] = np.maximum(state.get("top", 0), state["v"])
    oldest = max(one.known.staleness)
    rate = one.server_lr
    if oldest > (one.numbers["delay_bound"] or one.known.num_active):
        rate = min(rate, 1 / oldest)
    return x + rate * state["m"] / (np.sqrt(state["top"]) + one.numbers["epsilon"])


def ca2fl(x, deltas, one: Round, state):
    """Wang et al. (ICLR 2024): calibrated by every client's last update."""
    mean = state.get("h", 0)
    changes = [delta - h for delta, h in zip(deltas, one.previous, strict=True)]
    state["h"] = mean + sum(changes) / one.known.num_clients
    return x - one.server_lr * (mean + sum(changes) / len(changes))


def ace(x, deltas, one: Round, state):
    """Every client's last update, in equal parts."""
    (delta,), (h,) = deltas, one.previous
    state["sum"] = state.get("sum", 0) + delta - h
    return x - one.server_lr * state["sum"] / one.known.num_clients


RULES = {"fedasync": fedasync, "fadas": fadas, "ca2fl": ca2fl, "ace": ace}


EPSILON = 1e-3  # of FedOpt


def server_step(name: str, delta, m, v):
    """Reddi et al. (ICLR 2021), Algorithm 2: the direction of a server's step, and new m and v."""
    if name == "sgd":
        return delta, m, v
    if name == "momentum":
        m = 0.9 * m + delta
        return m, m, v
    beta = 0.0 if name == "adagrad" else 0.9
    m = beta * m + (1 - beta) * delta
    if name == "adagrad":
        v = v + delta**2
    elif name == "adam":
        v = 0.99 * v + (1 - 0.99) * delta**2
    elif name == "yogi":
        v = v - (1 - 0.99) * delta**2 * np.sign(v - delta**2)
    else:
        raise ValueError(name)
    return m / (np.sqrt(v) + EPSILON), m, v


class SymbolicLearner:
    """Models that are numbers which depend on everything they were made from: equal numbers mean
    equal histories. Accuracies look random; some losses are not finite if asked for."""

    def __init__(self, diverging: int | None = None, sees: Sequence[str] = ()) -> None:
        self.diverging = diverging  # about one version in so many has no finite loss
        self.sees = sees  # what of ``Known`` a new model depends on

    def initial(self, seed: int, task: int) -> int:
        return hash((1, seed, task))

    def train(self, seed: int, request: Request, model: int) -> tuple[int, float]:
        update = hash((2, seed, request.task, request.number, request.client, model))
        return update, (update >> 9) % 1_000_003 / 1e5  # any loss from 0 to 10

    def aggregate(self, task: int, model: int, updates: list[int], known: Known) -> int:
        seen = [tuple(getattr(known, name)) for name in self.sees]
        return hash((3, task, model, *updates, *seen))

    def score(self, task: int, model: int) -> tuple[float, float]:
        is_bad = self.diverging is not None and (model >> 20) % self.diverging == 0
        return model % 1000 / 1000, math.nan if is_bad else float(model % 77)

    def spread(self, updates: list[int]) -> float:
        """Anything from 0 to 10; now and then nothing that requests can be shared out by."""
        number = hash((4, *updates))
        rare = {0: 0.0, 1: math.inf, 2: math.nan}
        return rare.get((number >> 8) % 40, (number >> 20) % 997 / 100)

    def spread_without_biases(self, updates: list[Update]) -> float:
        """Another number; rarely nothing, since one such spoils a whole mean."""
        number = hash((5, *updates))
        return math.nan if (number >> 8) % 300 == 0 else (number >> 20) % 997 / 100


ORACLES = {
    "sync_st": SyncOracle,
    "sync_st_no_mitigation": SyncOracle,
    "sync_bayes_st": BayesOracle,
    "sync_ucb_st": UcbOracle,
    "sequential": SequentialOracle,
    "centralized": CentralizedOracle,
}


def simulate_one_by_one(config: Config, learner: Learner | None = None) -> list[Any]:
    """Every replicate of a configuration, one after another: what its algorithm's oracle says."""
    asynchronous = AuthorsOracle if config.fidelity == "authors" else Oracle
    make = ORACLES.get(config.algorithm, asynchronous)
    with jax.enable_x64(config.machine.precision == "float64"):
        learner = learner or RealLearner(config)
        return [make(config, seed, learner).run() for seed in config.seeds]


@cache
def load_data(kind: str) -> TaskData:
    """The data of a kind."""
    found = get_kind(kind)
    assert found.dataset is not None
    return found.load(found.dataset, None)


@cache
def built_task(kind: str, fidelity: Fidelity = "paper") -> TaskFunctions:
    """The functions of a kind."""
    found = get_kind(kind)
    build = (fidelity == "authors" and found.authors_build) or found.build
    return build(load_data(kind).shape)


@cache
def sgd_step(kind: str, fidelity: Fidelity = "paper"):
    """``x - lr (grad + decay x + mu (x - start))`` and the loss at x, compiled."""
    task = built_task(kind, fidelity)

    @jax.jit
    def step(x, data, rows, key, client_lr, weight_decay, mu, start):
        loss, gradient = jax.value_and_grad(task.loss)(x, task.take(data, rows, key))
        new = jax.tree.map(
            lambda p, g, o: p - client_lr * (g + weight_decay * p + mu * (p - o)),
            x,
            gradient,
            start,
        )
        return new, loss

    return step


@cache
def whole_test(kind: str, fidelity: Fidelity = "paper"):
    """Scores of a list of test examples, compiled."""
    task = built_task(kind, fidelity)
    return jax.jit(lambda x, data, places: task.score(x, task.take(data, places, None)))


orders = jax.jit(batch_samples, static_argnums=0)
compiled_key = jax.jit(request_key)


def key_of(seed: int, task: int, request: int) -> jax.Array:
    """The randomness of a request."""
    return compiled_key(np.uint32(seed), np.uint32(task), np.uint32(request))
