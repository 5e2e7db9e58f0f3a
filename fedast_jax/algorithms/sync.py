"""Sync-ST: simultaneous synchronous training (Bhuyan et al. 2023; Askin et al. 2024, Section 5).

Every round a fresh random partition of the active clients over the unfinished tasks, in proportion
to given weights. Each task keeps its first k arrivals; all tasks' rounds end together, at the last
arrival that is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..clients.delays import Stream, client_delays, draw_times, duration_scale, generator
from ..clients.trace import ClientTrace
from .allocation import share_out
from .log import EventLog, Limits, Mark, State

if TYPE_CHECKING:
    from ..config.settings import Config


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


@dataclass
class _State(State):
    free_at: dict[int, float] = field(default_factory=dict)  # clients busy beyond their round
    num_rounds: int = 0  # of all tasks together
    memory: Any = None  # what the choice of clients rests on: replaced, never changed


class SyncTimeline(EventLog[_State]):
    """Rounds of all unfinished tasks side by side; b_m is the number of arrivals kept.

    A client whose work is discarded stays busy until it would have ended. A round is laid out as a
    whole; arrivals are counted one by one in order of time, ties by request number, so that the
    limits are exact to the event.

    Other synchronous methods differ in which tasks a round trains (``_tasks_in_round``), how many
    clients each gets (``_shares``), which (``_choose``), and what is learned from the round
    (``_learn``).
    """

    def __init__(
        self,
        seed: int,
        tasks: Sequence[SyncTask],
        limits: Limits,
        clients: Clients,
        keep_first: int | None,
    ) -> None:
        """Prepare the first round.

        Args:
            seed: of the replicate.
            tasks, limits, clients: what to lay out.
            keep_first: k: arrivals of a task that a round keeps at most; None: all.
        """
        self._seed, self._tasks, self._limits = seed, tasks, limits
        self._clients, self._keep_first = clients, keep_first
        super().__init__(
            _State([0] * len(tasks), [0] * len(tasks), [False] * len(tasks)),
            [task.max_rounds for task in tasks],
        )
        self._state.memory = self._first_memory()
        self._share_clients_out()

    def advance(self, until: int) -> None:
        """Lay out whole rounds until ``until`` arrivals are in or the replicate ends."""
        state = self._state
        while state.num_arrivals < until and state.end_reason is None and not self.is_waiting:
            self._play_round()

    def cut(self, mark: Mark[_State], event: int, last_rounds: Mapping[int, int]) -> int:
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

    def snapshot(self) -> dict[str, Any]:
        """As in ``EventLog``, the memory as plain values."""
        content = super().snapshot()
        content["state"]["memory"] = self._plain_memory()
        return content

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """As in ``EventLog``."""
        super().restore(snapshot)
        self._state.memory = self._memory_of(snapshot["state"]["memory"])

    def _play_round(self) -> None:
        state, tasks = self._state, self._tasks_in_round()
        first = len(self.requests)
        self._dispatch_round()
        kept = self._kept(first)
        for request in kept:
            if not self._receive(request):
                return
        state.num_rounds += 1
        for task in tasks:
            if self._close_round(task):
                state.stopped[task] = True
                state.num_active[task] = state.buffer_size[task] = 0
        self._learn(range(first, len(self.requests)), kept)
        if not self._open_tasks():
            state.end_reason = "finished"
        else:
            self._share_clients_out()
        if state.num_arrivals == self._limits.max_updates and state.end_reason is None:
            state.end_reason = "max_updates"

    def _dispatch_round(self) -> None:
        state, requests = self._state, self.requests
        random = generator(self._seed, Stream.DISPATCH, state.num_rounds)
        chosen = self._choose(random)
        task_of = np.repeat(np.arange(len(self._tasks)), state.num_active)
        free_at = dict(state.free_at)
        u = np.clip(random.random(len(chosen)), 2.0**-54, None)
        times = draw_times(self._clients.law, chosen, self._clients.speeds[chosen], u)
        durations = times * np.array([task.duration_scale for task in self._tasks])[task_of]
        for task, client, duration in zip(
            task_of.tolist(), chosen.tolist(), durations.tolist(), strict=True
        ):
            start = max(state.time, free_at.get(client, 0.0))
            free_at[client] = start + duration
            requests.task.append(task)
            requests.client.append(client)
            requests.dispatched_at.append(state.time)
            requests.started_at.append(start)
            requests.arrives_at.append(free_at[client])
            requests.base_round.append(len(self.rounds[task]))

    def _kept(self, first: int) -> list[int]:
        """The round's requests that count, in order of arrival; notes who stays busy beyond it."""
        state, arrives_at = self._state, self.requests.arrives_at
        order = sorted(range(first, len(self.requests)), key=lambda one: (arrives_at[one], one))
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

    def _open_tasks(self) -> list[int]:
        return [task for task, stopped in enumerate(self._state.stopped) if not stopped]

    def _share_clients_out(self) -> None:
        """The clients of the rounds from now on, and how many arrivals each task keeps."""
        state, tasks = self._state, self._tasks_in_round()
        state.num_active = [0] * len(self._tasks)
        state.buffer_size = [0] * len(self._tasks)
        for task, (share, kept) in zip(tasks, self._shares(tasks), strict=True):
            state.num_active[task], state.buffer_size[task] = share, kept
        before = self.allocations[-1][2:4] if self.allocations else None
        if before != (tuple(state.num_active), tuple(state.buffer_size)):
            self._log_allocation()

    def _tasks_in_round(self) -> list[int]:
        """The tasks that the next round trains."""
        return self._open_tasks()

    def _shares(self, tasks: list[int]) -> list[tuple[int, int]]:
        """Clients of each of these tasks, in proportion to the weights; arrivals it keeps."""
        shares = share_out([self._tasks[task].weight for task in tasks], self._clients.num_active)
        return [(share, min(share, self._keep_first or share)) for share in shares]

    def _choose(self, random: np.random.Generator) -> np.ndarray:
        """The round's clients in order of the tasks, ``num_active`` of each.

        Args:
            random: the round's stream; the durations are drawn from it afterwards.
        """
        total = sum(self._state.num_active)
        return random.choice(self._clients.num_clients, total, replace=False)

    def _candidates(self) -> tuple[np.ndarray, np.random.Generator]:
        """As many clients as the round has and ``SPARE`` more, if there are; the stream goes on."""
        count = min(sum(self._state.num_active) + SPARE, self._clients.num_clients)
        random = generator(self._seed, Stream.CANDIDATES, self._state.num_rounds)
        return random.choice(self._clients.num_clients, count, replace=False), random

    def _first_memory(self) -> Any:
        """What the choice of clients rests on before the first round."""
        return None

    def _plain_memory(self) -> Any:
        """The memory as ``plain.flatten`` takes it."""
        return self._state.memory

    def _memory_of(self, plain: Any) -> Any:
        """The inverse of ``_plain_memory``."""
        return plain

    def _learn(self, sent: Sequence[int], kept: Sequence[int]) -> None:
        """A round has closed: bring the memory up to date.

        Args:
            sent: its requests.
            kept: those whose updates were used.
        """


def num_active(config: Config) -> int:
    """Clients that take part in a round: all, unless ``max_active_clients`` is given."""
    return config.max_active_clients or config.num_clients


def most_kept(config: Config) -> int:
    """The most arrivals that a task keeps of one round."""
    return min(num_active(config), keep_first(config) or num_active(config))


def keep_first(config: Config) -> int | None:
    """k, or None where every arrival is kept."""
    return None if config.keep_first == "all" else config.keep_first


def check(config: Config) -> None:
    """Raise ValueError where a task gets no client."""
    if num_active(config) < len(config.named_tasks):
        raise ValueError(
            f"{len(config.named_tasks)} tasks need at least as many active clients, "
            f"got {num_active(config)}"
        )


def check_first_k(config: Config) -> None:
    """As ``check``; also where a task has fewer clients than its rounds keep."""
    check(config)
    tasks = config.named_tasks
    shares = share_out([task.settings.sync_weight for task in tasks], num_active(config))
    for task, share in zip(tasks, shares, strict=True):
        check_kept(config, share, task.name)


def check_kept(config: Config, share: int, task: str) -> None:
    """Raise ValueError where a task has fewer clients in a round than it should keep."""
    if share < (keep_first(config) or 0):
        raise ValueError(
            f"keep_first={config.keep_first} is more than the {share} clients of task "
            f"{task!r} in a round; lower keep_first or raise max_active_clients"
        )


def first_k(config: Config, seed: int) -> SyncTimeline:
    """Lay out one replicate of Sync-ST: every task keeps its first k arrivals."""
    return lay_out(SyncTimeline, config, seed, keep_first(config))


def no_mitigation(config: Config, seed: int) -> SyncTimeline:
    """Lay out one replicate of Sync-ST-NoStragMit: every arrival is kept."""
    return lay_out(SyncTimeline, config, seed, None)


T = TypeVar("T", bound=SyncTimeline)


def lay_out(timeline: type[T], config: Config, seed: int, keep_first: int | None) -> T:
    """One replicate's rounds, played by the rules of a class."""
    delays = client_delays(config.delays, seed, config.num_clients)
    tasks = [
        SyncTask(
            task.sync_weight,
            task.max_rounds,
            duration_scale(config.delays, task.work.num_steps, task.step_time),
        )
        for _, task in config.named_tasks
    ]
    clients = Clients(config.num_clients, num_active(config), delays.of_clients(), delays.law)
    limits = Limits(config.max_updates, config.time_limit, None)
    return timeline(seed, tasks, limits, clients, keep_first)
