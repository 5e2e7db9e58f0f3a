"""What a synchronous method is, and what it is told of the round that is about to begin.

A method is a record of pure functions: which tasks a round trains, how many clients each gets,
which, and what is learned from the round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np

from ..clients.delays import Law, Stream, draw_times, generator, transfers
from ..clients.presence import Presence
from .log import Requests

SPARE = 5  # clients beyond those of the round among which some methods choose


@dataclass(frozen=True)
class SyncTask:
    """What the rounds must know of one task."""

    weight: float  # share of the active clients, relative to the other tasks
    max_rounds: int | None
    duration_scale: float  # tau_m * beta_m, or the trace's
    load: float = 0.0  # law "devices": of what is sent, per second that a client needs for a byte


@dataclass(frozen=True)
class Clients:
    """Who there is, and how fast."""

    num_clients: int
    num_active: int  # of them take part in a round
    speeds: np.ndarray  # per client
    law: Law
    presence: Presence | None = None  # when they are on; None: always, and nothing is lost
    here: np.ndarray | None = None  # those that are on as a round begins; None: all

    @property
    def num_here(self) -> int:
        """Clients that a round can choose from."""
        return self.num_clients if self.here is None else len(self.here)

    @property
    def everyone(self) -> np.ndarray:
        """Those, in order."""
        return np.arange(self.num_clients) if self.here is None else self.here

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """So many of them, nobody twice, in random order."""
        chosen = random.choice(self.num_here, count, replace=False)
        return chosen if self.here is None else self.here[chosen]

    def durations(
        self, chosen: np.ndarray, tasks: Sequence[SyncTask], task_of: np.ndarray, u: np.ndarray
    ) -> np.ndarray:
        """What the requests of a round take, ``float64[n]``.

        Args:
            chosen, task_of: client and task of each, ``int64[n]``.
            tasks: all of them.
            u: ``float64[n]``, uniform in (0, 1).
        """
        times = draw_times(self.law, chosen, self.speeds[chosen], u)
        times = times * np.array([task.duration_scale for task in tasks])[task_of]
        per_byte = transfers(self.law)
        if per_byte is None:
            return times
        return times + np.array([task.load for task in tasks])[task_of] * per_byte[chosen]


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
        count = min(sum(self.shares) + SPARE, self.clients.num_here)
        random = generator(self.seed, Stream.CANDIDATES, self.number)
        return self.clients.draw(random, count), random

    def among(self, here: np.ndarray) -> Round:
        """The round where only these clients are on; of fewer than tasks each gets a task.

        The first task to get one rotates by round.
        """
        turn = self.number % len(self.tasks)
        places = sorted([*range(turn, len(self.tasks)), *range(turn)][: len(here)])
        clients = replace(
            self.clients, num_active=min(self.clients.num_active, len(here)), here=here
        )
        return self._replace(
            tasks=[self.tasks[place] for place in places],
            weights=[self.weights[place] for place in places],
            clients=clients,
        )


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

    def share_out(self, round_: Round, num_tasks: int) -> tuple[list[int], list[int]]:
        """Of every task: its clients, and how many arrivals it keeps; 0 where it is not trained."""
        shares, kept = [0] * num_tasks, [0] * num_tasks
        for task, of_task in zip(round_.tasks, self.shares(round_), strict=True):
            shares[task], kept[task] = of_task
        return shares, kept
