"""Centralized training: plain SGD on the pooled data (Askin et al. 2024, Figures 3 and 13).

Each task has a machine of its own that holds all training data and runs at speed 1. A request is
tau steps of it from the latest version, which it replaces: a chain of width one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..config.settings import Config
from .log import EventLog, Limits, State

MEAN_STEP = 3.0  # time of one step in units of beta: the mean of every duration law
MACHINE = 0  # in place of a client's number


@dataclass(frozen=True)
class Chain:
    """What the timeline must know of one task."""

    max_rounds: int | None
    duration: float  # of one request


@dataclass
class _State(State):
    at_work: list[int] = field(default_factory=list)  # the request that each machine works on


class ChainTimeline(EventLog[_State]):
    """One request after another for every task; each arrival is a round.

    Arrivals of two tasks at equal times are ordered by request number.
    """

    def __init__(self, chains: Sequence[Chain], limits: Limits) -> None:
        """Dispatch every task's first request."""
        count = len(chains)
        super().__init__(
            _State([1] * count, [1] * count, [False] * count, at_work=[0] * count),
            [chain.max_rounds for chain in chains],
        )
        self._chains, self._limits = chains, limits
        for task in range(count):
            self._dispatch(task)
        self.log_allocation()

    def advance(self, until: int) -> None:
        """Lay out events until ``until`` arrivals are in or the replicate ends."""
        state = self._state
        while state.num_arrivals < until and state.end_reason is None:
            self._take_event()

    def pending(self, task: int) -> list[int]:
        """The one request in flight."""
        if self._state.stopped[task] or self._state.end_reason:
            return []
        return [self._state.at_work[task]]

    def _take_event(self) -> None:
        state, limits, arrives_at = self._state, self._limits, self.requests.arrives_at
        in_flight = [
            request for task, request in enumerate(state.at_work) if not state.stopped[task]
        ]
        request = min(in_flight, key=lambda number: (arrives_at[number], number))
        if limits.time_limit is not None and arrives_at[request] > limits.time_limit:
            state.time, state.end_reason = limits.time_limit, "time_limit"
            return
        task = self.requests.task[request]
        state.time = arrives_at[request]
        state.num_arrivals += 1
        self.rounds[task].arrived.append(request)
        if self.close_round(task):
            self._stop(task)
        else:
            self._dispatch(task)
        if state.num_arrivals == limits.max_updates and state.end_reason is None:
            state.end_reason = "max_updates"

    def _stop(self, task: int) -> None:
        state = self._state
        state.stopped[task] = True
        state.num_active[task] = state.buffer_size[task] = 0
        if all(state.stopped):
            state.end_reason = "finished"
        else:
            self.log_allocation()

    def _dispatch(self, task: int) -> None:
        requests, now = self.requests, self._state.time
        end, base = now + self._chains[task].duration, len(self.rounds[task])
        self._state.at_work[task] = requests.add(task, MACHINE, now, now, end, base)


def make_timeline(config: Config, seed: int) -> ChainTimeline:
    """Lay out one replicate; nothing about it is random."""
    del seed
    chains = [
        Chain(task.max_rounds, task.work.num_steps * task.step_time * MEAN_STEP)
        for _, task in config.named_tasks
    ]
    return ChainTimeline(chains, Limits(config.max_updates, config.time_limit))


def check(config: Config) -> None:
    """Raise ValueError where the server would do anything but take the trained model."""
    for name, task in config.tasks.items():
        if task.server_lr != 1.0 or task.server_optimizer != "sgd":
            raise ValueError(
                f"algorithm {config.algorithm!r} is plain SGD: tasks.{name} needs server_lr=1.0 "
                f"and server_optimizer='sgd', got {task.server_lr} and {task.server_optimizer!r}"
            )
