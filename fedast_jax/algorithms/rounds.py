"""Synchronous rounds of all unfinished tasks side by side, by the rules of a method.

A method is a record of pure functions: which tasks a round trains, how many clients each gets,
which, and what is learned from the round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from ..clients.delays import Stream, draw_times, generator
from ..clients.trace import ClientTrace
from .log import EventLog, Limits, Mark, Measure, Requests, State

SPARE = 5  # clients beyond those of the round among which some methods choose


@dataclass(frozen=True)
class SyncTask:
    """What the rounds must know of one task."""

    weight: float  # share of the active clients, relative to the other tasks
    max_rounds: int | None
    duration_scale: float  # tau_m * beta_m, or the trace's


@dataclass(frozen=True)
class Clients:
    """Who there is, and how fast."""

    num_clients: int
    num_active: int  # of them take part in a round
    speeds: np.ndarray  # per client
    law: str | ClientTrace


class Round(NamedTuple):
    """A round that is about to begin."""

    seed: int  # of the replicate
    number: int  # from 0
    tasks: Sequence[int]  # that it trains
    weights: Sequence[float]  # of these
    shares: Sequence[int]  # clients of every task, once they have been shared out
    clients: Clients
    keep_first: int | None  # k: arrivals of a task that it keeps at most; None: all

    @property
    def task_of(self) -> np.ndarray:
        """The task of each of its requests, in order."""
        return np.repeat(np.arange(len(self.shares)), self.shares)

    def candidates(self) -> tuple[np.ndarray, np.random.Generator]:
        """As many clients as it has and ``SPARE`` more, if there are; the stream goes on."""
        count = min(sum(self.shares) + SPARE, self.clients.num_clients)
        random = generator(self.seed, Stream.CANDIDATES, self.number)
        return random.choice(self.clients.num_clients, count, replace=False), random


class Work(NamedTuple):
    """Requests of a round that has closed, by their columns."""

    task: np.ndarray
    client: np.ndarray
    duration: np.ndarray  # without waiting

    @classmethod
    def of(cls, columns: Requests, requests: Sequence[int]) -> Self:
        """That of the requests with these numbers."""
        times = ((columns.arrives_at[request], columns.started_at[request]) for request in requests)
        return cls(
            np.array([columns.task[request] for request in requests], np.int64),
            np.array([columns.client[request] for request in requests], np.int64),
            np.array([arrival - start for arrival, start in times], np.float64),
        )


@dataclass(frozen=True)
class SyncRules:
    """A synchronous method; its memory is replaced, never changed."""

    shares: Callable[[Round], list[tuple[int, int]]]
    """Of each of the round's tasks: its clients, and how many arrivals it keeps."""
    choose: Callable[[Any, Round, np.random.Generator], np.ndarray]
    """``(memory, round, random) -> clients`` in order of the tasks, as many as each has.

    ``random`` is the round's stream; the durations are drawn from it afterwards."""
    tasks: Callable[[list[int]], list[int]] = lambda open_tasks: open_tasks
    """Which of the unfinished tasks the next round trains."""
    init: Callable[[int, int], Any] = lambda num_tasks, num_clients: None
    """``(number of tasks, of clients) -> memory`` before the first round."""
    learn: Callable[[Any, Round, Work, Work], Any] = lambda memory, round_, sent, kept: memory
    """``(memory, round, requests sent, those kept) -> memory``."""
    learn_losses: Callable[[Any, list[list[int]], list[list[float]]], Any] | None = None
    """``(memory, clients, losses) -> memory`` of each task's kept updates; the next round waits."""
    to_plain: Callable[[Any], Any] = lambda memory: memory
    """The memory as ``plain.flatten`` takes it."""
    from_plain: Callable[[Any], Any] = lambda plain: plain


@dataclass
class SyncState(State):
    """What continues from one round to the next, besides the logs."""

    free_at: dict[int, float] = field(default_factory=dict)  # clients busy beyond their round
    num_rounds: int = 0  # of all tasks together
    num_learned: int = 0  # rounds whose losses are in, where they are asked for
    memory: Any = None


class SyncTimeline(EventLog[SyncState]):
    """Rounds side by side; b_m is the number of arrivals kept.

    A client whose work is discarded stays busy until it would have ended. A round is laid out as a
    whole; arrivals are counted one by one in order of time, ties by request number, so that the
    limits are exact to the event.
    """

    def __init__(
        self,
        seed: int,
        tasks: Sequence[SyncTask],
        limits: Limits,
        clients: Clients,
        keep_first: int | None,
        rules: SyncRules,
    ) -> None:
        """Prepare the first round.

        Args:
            seed: of the replicate.
            tasks, limits, clients: what to lay out.
            keep_first: k: arrivals of a task that a round keeps at most; None: all.
            rules: the method.
        """
        super().__init__(
            SyncState([0] * len(tasks), [0] * len(tasks), [False] * len(tasks)),
            [task.max_rounds for task in tasks],
        )
        self._seed, self._tasks, self._limits = seed, tasks, limits
        self._clients, self._keep_first, self._rules = clients, keep_first, rules
        self._state.memory = rules.init(len(tasks), clients.num_clients)
        self._share_clients_out()

    def advance(self, until: int) -> None:
        """Lay out whole rounds until ``until`` arrivals are in, the timeline waits or it ends."""
        state = self._state
        while state.num_arrivals < until and state.end_reason is None and not self.is_waiting:
            self._play_round()

    def cut(self, mark: Mark[SyncState], event: int, last_rounds: Mapping[int, int]) -> int:
        """As in ``EventLog``; rounds are laid out whole, so nothing is dispatched at their end."""
        self.rewind(mark)
        for task, number in last_rounds.items():
            self.last_round[task] = number
        self.advance(event)
        return len(self.requests)

    def pending(self, task: int) -> list[int]:
        """Nothing: no request outlives its round."""
        del task
        return []

    def is_cancelled(self, task: int) -> np.ndarray:
        """What a closed round discarded."""
        mine = np.asarray(self.requests.task, np.int64) == task
        return mine & (np.asarray(self.requests.base_round, np.int64) < len(self.rounds[task]))

    @property
    def is_waiting(self) -> bool:
        """Whether the last round's losses are asked for and not in yet."""
        state, asks = self._state, self._rules.learn_losses is not None
        return asks and state.end_reason is None and state.num_rounds > state.num_learned

    def kept_updates(self, task: int) -> list[int]:
        """What the last round kept, while its losses are not in."""
        return self._last_kept(task) if self.is_waiting else []

    def decide(self, measure: Measure) -> None:
        """Take the last round's losses into account."""
        assert self._rules.learn_losses is not None
        state, client = self._state, self.requests.client
        kept = [self._last_kept(task) for task in range(len(self._tasks))]
        losses = [measure.losses(task, mine) if mine else [] for task, mine in enumerate(kept)]
        clients = [[client[request] for request in mine] for mine in kept]
        state.num_learned = state.num_rounds
        state.memory = self._rules.learn_losses(state.memory, clients, losses)

    def snapshot(self) -> dict[str, Any]:
        """As in ``EventLog``, the memory as plain values."""
        content = super().snapshot()
        content["state"]["memory"] = self._rules.to_plain(self._state.memory)
        return content

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """As in ``EventLog``."""
        super().restore(snapshot)
        self._state.memory = self._rules.from_plain(snapshot["state"]["memory"])

    def _play_round(self) -> None:
        state, first, round_ = self._state, len(self.requests), self._round()
        self._dispatch_round(round_)
        kept = self._kept(first)
        for request in kept:
            if not self._receive(request):
                return
        state.num_rounds += 1
        for task in round_.tasks:
            if self._close_round(task):
                state.stopped[task] = True
                state.num_active[task] = state.buffer_size[task] = 0
        sent = range(first, len(self.requests))
        works = Work.of(self.requests, sent), Work.of(self.requests, kept)
        state.memory = self._rules.learn(state.memory, round_, *works)
        if not state.open_tasks():
            state.end_reason = "finished"
        else:
            self._share_clients_out()
        if state.num_arrivals == self._limits.max_updates and state.end_reason is None:
            state.end_reason = "max_updates"

    def _round(self) -> Round:
        """The next one."""
        state, tasks = self._state, self._rules.tasks(self._state.open_tasks())
        return Round(
            self._seed,
            state.num_rounds,
            tasks,
            [self._tasks[task].weight for task in tasks],
            tuple(state.num_active),
            self._clients,
            self._keep_first,
        )

    def _dispatch_round(self, round_: Round) -> None:
        state, task_of = self._state, round_.task_of
        random = generator(self._seed, Stream.DISPATCH, state.num_rounds)
        chosen = self._rules.choose(state.memory, round_, random)
        free_at = dict(state.free_at)
        u = np.clip(random.random(len(chosen)), 2.0**-54, None)
        times = draw_times(self._clients.law, chosen, self._clients.speeds[chosen], u)
        durations = times * np.array([task.duration_scale for task in self._tasks])[task_of]
        for task, client, duration in zip(
            task_of.tolist(), chosen.tolist(), durations.tolist(), strict=True
        ):
            start = max(state.time, free_at.get(client, 0.0))
            free_at[client] = start + duration
            base = len(self.rounds[task])
            self.requests.add(task, client, state.time, start, free_at[client], base)

    def _kept(self, first: int) -> list[int]:
        """The round's requests that count, in order of arrival; notes who stays busy beyond it."""
        state, arrives_at = self._state, self.requests.arrives_at
        order = sorted(
            range(first, len(self.requests)), key=lambda request: (arrives_at[request], request)
        )
        left = list(state.buffer_size)
        kept = []
        for request in order:
            task = self.requests.task[request]
            if left[task]:
                left[task] -= 1
                kept.append(request)
        end = arrives_at[kept[-1]]
        state.free_at = {client: time for client, time in state.free_at.items() if time > end} | {
            self.requests.client[request]: arrives_at[request]
            for request in order
            if arrives_at[request] > end
        }
        return kept

    def _receive(self, request: int) -> bool:
        """Count one arrival; False where the replicate ends before the round does."""
        state, limits = self._state, self._limits
        arrival = self.requests.arrives_at[request]
        if state.num_arrivals == limits.max_updates:
            state.end_reason = "max_updates"
            return False
        if limits.time_limit is not None and arrival > limits.time_limit:
            state.time, state.end_reason = limits.time_limit, "time_limit"
            return False
        state.time = arrival
        state.num_arrivals += 1
        self.rounds[self.requests.task[request]].arrived.append(request)
        return True

    def _share_clients_out(self) -> None:
        """The clients of the rounds from now on, and how many arrivals each task keeps."""
        state, round_ = self._state, self._round()
        state.num_active = [0] * len(self._tasks)
        state.buffer_size = [0] * len(self._tasks)
        for task, (share, kept) in zip(round_.tasks, self._rules.shares(round_), strict=True):
            state.num_active[task], state.buffer_size[task] = share, kept
        before = self.allocations[-1][2:4] if self.allocations else None
        if before != (tuple(state.num_active), tuple(state.buffer_size)):
            self._log_allocation()

    def _last_kept(self, task: int) -> list[int]:
        """Arrivals of the last round, of a task that goes on."""
        rounds = self.rounds[task]
        if self._state.stopped[task]:
            return []
        return rounds.arrived[rounds.end[-2] if len(rounds) > 1 else 0 : rounds.num_used].tolist()
