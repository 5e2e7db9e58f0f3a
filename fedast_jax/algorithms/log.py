"""What every algorithm lays out: requests, arrivals, rounds, and points to come back to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np


@dataclass(frozen=True)
class Limits:
    """Where a replicate ends, whatever its tasks have reached."""

    max_updates: int | None = None  # arrivals
    time_limit: float | None = None  # simulated time; an arrival at the limit still counts
    max_active_clients: int | None = None


@dataclass
class Requests:
    """Columns of one replicate's requests, numbered in order of dispatch."""

    task: array = field(default_factory=lambda: array("q"))
    client: array = field(default_factory=lambda: array("q"))
    dispatched_at: array = field(default_factory=lambda: array("d"))
    started_at: array = field(default_factory=lambda: array("d"))
    arrives_at: array = field(default_factory=lambda: array("d"))
    base_round: array = field(default_factory=lambda: array("q"))  # version at dispatch

    def __len__(self) -> int:
        return len(self.task)

    def add(
        self,
        task: int,
        client: int,
        dispatched_at: float,
        started_at: float,
        arrives_at: float,
        base_round: int,
    ) -> int:
        """Append a request; return its number."""
        self.task.append(task)
        self.client.append(client)
        self.dispatched_at.append(dispatched_at)
        self.started_at.append(started_at)
        self.arrives_at.append(arrives_at)
        self.base_round.append(base_round)
        return len(self.task) - 1

    def truncate(self, length: int) -> None:
        """Forget the requests from number ``length`` on."""
        for column in vars(self).values():
            del column[length:]


@dataclass
class Rounds:
    """One task's arrivals in order, and the aggregations they were used in."""

    arrived: array = field(default_factory=lambda: array("q"))  # request numbers
    end: array = field(default_factory=lambda: array("q"))  # arrivals in when round k closed
    time: array = field(default_factory=lambda: array("d"))
    event: array = field(default_factory=lambda: array("q"))  # arrivals of the whole replicate
    num_active: array = field(default_factory=lambda: array("q"))  # R_m at that event
    dropped: array = field(default_factory=lambda: array("q"))  # requests that arrived in vain

    def __len__(self) -> int:
        return len(self.end)

    @property
    def num_used(self) -> int:
        """Arrivals that an aggregation has used."""
        return self.end[-1] if self.end else 0

    def truncate(self, num_arrived: int, num_rounds: int, num_dropped: int) -> None:
        """Go back to an earlier point."""
        del self.arrived[num_arrived:]
        del self.dropped[num_dropped:]
        for column in (self.end, self.time, self.event, self.num_active):
            del column[num_rounds:]


@dataclass
class State:
    """What continues from one event to the next, besides the logs; algorithms add to it."""

    num_active: list[int]  # R_m
    buffer_size: list[int]  # b_m
    stopped: list[bool]
    num_arrivals: int = 0  # c
    time: float = 0.0
    end_reason: str | None = None

    def open_tasks(self) -> list[int]:
        """Those that have not ended."""
        return [task for task, stopped in enumerate(self.stopped) if not stopped]

    def fork(self) -> Self:
        """An independent copy."""
        copied = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, list | dict):
                setattr(copied, name, value.copy())
        return copied


S = TypeVar("S", bound=State)


class Allocation(NamedTuple):
    """R_m and b_m of every task from one event on."""

    time: float
    arrivals: int
    num_active: tuple[int, ...]
    buffer_size: tuple[int, ...]
    sigma_hat: tuple[float, ...] | None  # what it was worked out from, if it was


class Measure(Protocol):
    """What an algorithm may ask of the updates that it has had kept."""

    def spread(self, task: int, requests: Sequence[int]) -> float:
        """``(1/V) sum ||update - mean||^2 / ||mean||^2``, no number for fewer than two."""
        ...

    def losses(self, task: int, requests: Sequence[int]) -> list[float]:
        """The mean local training loss of each request."""
        ...

    def spreads(self, task: int, windows: Sequence[Sequence[int]]) -> list[float]:
        """``spread`` of each of several equally long lists of requests, without the biases."""
        ...


@dataclass(frozen=True)
class Mark(Generic[S]):
    """A point to come back to."""

    state: S
    num_requests: int
    num_arrived: tuple[int, ...]
    num_rounds: tuple[int, ...]
    num_dropped: tuple[int, ...]
    num_allocations: int
    num_lost: int


class EventLog(ABC, Generic[S]):
    """One replicate's events: laid out ahead by ``advance``, taken back by ``rewind`` and ``cut``.

    What an algorithm must add: ``advance`` and ``pending``, and that a task ends with the round
    that ``last_round`` names.
    """

    def __init__(self, state: S, last_round: Sequence[int | None]) -> None:
        self._state = state
        self.last_round = list(last_round)
        self.requests = Requests()
        self.rounds = [Rounds() for _ in last_round]
        self.allocations: list[Allocation] = []
        self.lost = array("q")  # requests that were lost, in order of time

    @abstractmethod
    def advance(self, until: int) -> None:
        """Lay out events until ``until`` arrivals are in, the timeline waits or it ends."""

    @abstractmethod
    def pending(self, task: int) -> list[int]:
        """Requests of the task that may yet be used, in order of arrival."""

    def kept_updates(self, task: int) -> list[int]:
        """Requests whose updates the next decision is worked out from, though they are used."""
        del task
        return []

    def observe(self, measure: Measure) -> None:
        """Take note of what was trained, before the updates that nothing needs are forgotten."""
        del measure

    @property
    def is_waiting(self) -> bool:
        """Whether nothing can follow before ``decide``."""
        return False

    @property
    def must_measure(self) -> bool:
        """Whether ``observe`` or ``decide`` has to measure what was trained so far."""
        return self.is_waiting

    def decide(self, measure: Measure) -> None:
        """Decide by what was trained so far how to go on, where the algorithm does that."""
        raise NotImplementedError

    @property
    def state(self) -> S:
        """What continues from the present event; another object after ``rewind``."""
        return self._state

    @property
    def time(self) -> float:
        """Simulated time of the last event, or of the limit that ended the replicate."""
        return self._state.time

    @property
    def num_arrivals(self) -> int:
        """Arrivals so far, all tasks together (c in Algorithm 2)."""
        return self._state.num_arrivals

    @property
    def end_reason(self) -> str | None:
        """Why no event can follow, or None."""
        return self._state.end_reason

    @property
    def num_active(self) -> list[int]:
        """R_m of every task as it stands (0 once a task has stopped)."""
        return list(self._state.num_active)

    @property
    def buffer_size(self) -> list[int]:
        """b_m of every task as it stands."""
        return list(self._state.buffer_size)

    def is_stopped(self, task: int) -> bool:
        """Whether the task takes no more updates."""
        return self._state.stopped[task]

    def is_cancelled(self, task: int) -> np.ndarray:
        """Which of all requests, had they not arrived, would never: ``bool[requests]``."""
        mine = np.asarray(self.requests.task, np.int64) == task
        return mine & self.is_stopped(task)

    def buffered(self, task: int) -> list[int]:
        """Requests that have arrived and that no aggregation has used yet."""
        rounds = self.rounds[task]
        return rounds.arrived[rounds.num_used :].tolist()

    def mean_staleness(self, task: int) -> float:
        """Rounds between dispatch and use, over the updates used; not a number if there is none."""
        rounds = self.rounds[task]
        used = np.asarray(rounds.arrived[: rounds.num_used], np.int64)
        sizes = np.diff(np.asarray(rounds.end, np.int64), prepend=0)
        round_of = np.repeat(np.arange(len(rounds)), sizes)
        if not len(used):
            return float("nan")
        return float((round_of - np.asarray(self.requests.base_round, np.int64)[used]).mean())

    def end(self, reason: str) -> None:
        """No event follows the current one."""
        self._state.end_reason = reason

    def mark(self) -> Mark[S]:
        """The present point, for ``rewind``."""
        return Mark(
            self._state.fork(),
            len(self.requests),
            tuple(len(rounds.arrived) for rounds in self.rounds),
            tuple(len(rounds) for rounds in self.rounds),
            tuple(len(rounds.dropped) for rounds in self.rounds),
            len(self.allocations),
            len(self.lost),
        )

    def rewind(self, mark: Mark[S]) -> None:
        """Forget everything after ``mark``; the same events follow when it is advanced again."""
        self._state = mark.state.fork()
        self.requests.truncate(mark.num_requests)
        lengths = zip(mark.num_arrived, mark.num_rounds, mark.num_dropped, strict=True)
        for rounds, length in zip(self.rounds, lengths, strict=True):
            rounds.truncate(*length)
        del self.allocations[mark.num_allocations :]
        del self.lost[mark.num_lost :]

    def cut(self, mark: Mark[S], event: int, last_rounds: Mapping[int, int]) -> int:
        """Go back to an event at which tasks met their targets, and let them end there.

        Args:
            mark: a point before the event.
            event: arrivals of the replicate when the rounds closed.
            last_rounds: the tasks that end, and with which round.
        Returns:
            How many requests were dispatched before that event: they are as they were.
        """
        self.rewind(mark)
        self.advance(event - 1)
        num_requests = len(self.requests)
        for task, number in last_rounds.items():
            self.last_round[task] = number
        self.advance(event)
        return num_requests

    def snapshot(self) -> dict[str, Any]:
        """All that continues, as plain values; they are this log's own, not copies."""
        return {
            "state": dict(vars(self._state)),
            "last_round": self.last_round,
            "requests": dict(vars(self.requests)),
            "rounds": [dict(vars(rounds)) for rounds in self.rounds],
            "allocations": [tuple(allocation) for allocation in self.allocations],
            "lost": self.lost,
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot of a log that was made with the same arguments.

        Raises:
            ValueError: the snapshot's state has other fields.
        """
        state = copy(self._state)
        if vars(state).keys() != snapshot["state"].keys():
            raise ValueError(f"a state of {sorted(vars(state))}, got {sorted(snapshot['state'])}")
        vars(state).update(snapshot["state"])
        self._state, self.last_round[:] = state, snapshot["last_round"]
        saved = snapshot["requests"], *snapshot["rounds"]
        for table, columns in zip((self.requests, *self.rounds), saved, strict=True):
            for name, column in vars(table).items():
                column[:] = columns[name]
        self.allocations[:] = [Allocation(*row) for row in snapshot["allocations"]]
        self.lost[:] = snapshot["lost"]

    def log_allocation(self, sigma_hat: Sequence[float] | None = None) -> None:
        """Note R and b of every task from the present event on."""
        state = self._state
        self.allocations.append(
            Allocation(
                state.time,
                state.num_arrivals,
                tuple(state.num_active),
                tuple(state.buffer_size),
                None if sigma_hat is None else tuple(sigma_hat),
            )
        )

    def close_round(self, task: int) -> bool:
        """Close the task's round at the present event; whether it was its last."""
        rounds, state = self.rounds[task], self._state
        rounds.end.append(len(rounds.arrived))
        rounds.time.append(state.time)
        rounds.event.append(state.num_arrivals)
        rounds.num_active.append(state.num_active[task])
        return len(rounds.end) == self.last_round[task]
