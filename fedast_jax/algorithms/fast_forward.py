"""Stretches of Algorithm 2 in which nothing is decided, laid out by the compiled loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ..clients.delays import CHUNK
from ..config.compiled import SWITCH
from .async_state import AsyncState
from .log import EventLog, Limits, Requests
from .queues import Queues

FEWEST = 16  # events: for fewer the plain loop is faster
NEAR = 64  # dispatches before the end of a stretch of draws at which the next one is added
MOST_STALE = 1024  # staleness below which the answers of ``accepts`` are kept


class Held(NamedTuple):
    """What is in flight, as the compiled loop takes it."""

    state: AsyncState  # of which this was written last
    point: tuple[int, int, int]  # and when
    numbers: np.ndarray  # of the requests, in order
    table: np.ndarray  # int64[3, n]: task, client, base round
    ends: np.ndarray  # float64[n]
    heap: np.ndarray  # int64[n]: places in these
    busy: np.ndarray  # int64[2, clients]: who works, and the place of its last request


class Draws(NamedTuple):
    """A stretch of the stream of dispatches."""

    first: int = -1  # number of its first attempt
    clients: np.ndarray = np.zeros(0, np.int64)
    steps: np.ndarray = np.zeros(0)


class FastForward:
    """What lies between a log and the compiled loop; nothing in it continues."""

    def __init__(
        self,
        log: EventLog[AsyncState],
        limits: Limits,
        queues: Queues,
        scales: Sequence[float],
        accepts: Sequence[Callable[[int, int], bool] | None],
    ) -> None:
        """Nothing is compiled yet; the arguments are those of ``Server`` and ``Queues``."""
        self._log, self._limits, self._queues = log, limits, queues
        self._scale, self._accepts = np.array(scales, np.float64), accepts
        self._draws, self._held = Draws(), None
        self._answers = np.zeros((0, 0), np.int8)
        self._answered_for: list[int] = []  # R of each task

    def take_events(self, until: int) -> bool:
        """Lay out events as ``Server.take_event``; False where the next is for the plain loop."""
        state = self._log.state
        most = inf if self._limits.max_updates is None else self._limits.max_updates
        until = min(until, most - 1, state.next_realloc - 1)
        if until - state.num_arrivals < FEWEST or not self._suits(state) or not SWITCH.is_on():
            return False
        kernels = _kernels()
        return kernels is not None and self._run(kernels, int(until))

    def _suits(self, state: AsyncState) -> bool:
        """Whether the compiled loop knows all that can happen."""
        return type(self._queues) is Queues and not state.num_late

    def _run(self, kernels: ModuleType, until: int) -> bool:
        """Call the compiled loop and write down what it has laid out; whether it has got on."""
        self._look_up_draws()
        self._forget_answers()
        log, state, (first, clients, steps) = self._log, self._log.state, self._draws
        limits = self._limits
        most = -1 if limits.max_active_clients is None else limits.max_active_clients
        latest = inf if limits.time_limit is None else limits.time_limit
        at = np.array([state.num_arrivals, state.num_attempts - first, until, most, *[0] * 6])
        clock, tasks, held = np.array([state.time, latest]), self._tasks(), self._hold()
        why, places, heap, busy, requests, times, taken, closed, moments = kernels.lay_out(
            *(at, clock, tasks, self._scale, *held[3:], clients, steps, self._answers)
        )
        num_old, num_in_flight = len(held.numbers), len(state.heap)
        numbers = np.arange(
            len(log.requests) - num_old, len(log.requests) + len(times[0]) - num_old
        )
        numbers[:num_old] = held.numbers
        taken[1] = numbers[taken[1]]
        _append(log.requests, requests[:, num_old : at[4]], times[:, num_old : at[4]])
        self._write_rounds(taken, closed, moments)
        self._write_state(at, float(clock[0]), tasks)
        ends, numbers = times[2, places], numbers[places]
        state.heap = list(zip(ends[heap].tolist(), numbers[heap].tolist(), strict=True))
        state.last_request = dict(zip(busy[0].tolist(), numbers[busy[1]].tolist(), strict=True))
        self._held = Held(state, _point(state), numbers, requests[:, places], ends, heap, busy)
        return self._ask() if why == kernels.UNKNOWN else num_in_flight > len(heap) or bool(at[8])

    def _hold(self) -> Held:
        """What is in flight: as it was written last, if nothing has happened since."""
        state, requests, held = self._log.state, self._log.requests, self._held
        if held is not None and held.state is state and held.point == _point(state):
            return held
        waiting = [request for _, request in state.heap]
        numbers = np.array(sorted(waiting), np.int64)
        columns = requests.task, requests.client, requests.base_round
        table = np.stack([np.frombuffer(column, np.int64)[numbers] for column in columns])
        ends = np.frombuffer(requests.arrives_at, np.float64)[numbers]
        last = numbers.searchsorted([*state.last_request.values()])
        busy = np.stack([np.array([*state.last_request], np.int64), last])
        return Held(state, _point(state), numbers, table, ends, numbers.searchsorted(waiting), busy)

    def _look_up_draws(self) -> None:
        """Have the draws of the next dispatches at hand."""
        index, place = divmod(self._log.state.num_attempts, CHUNK)
        num_chunks = 2 if place >= CHUNK - NEAR else 1
        if self._draws.first == index * CHUNK and len(self._draws.clients) >= num_chunks * CHUNK:
            return
        chunks = [self._queues.dispatches.chunk(index + more) for more in range(num_chunks)]
        clients, steps = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
        self._draws = Draws(index * CHUNK, clients, steps)

    def _forget_answers(self) -> None:
        """What is accepted may change with R."""
        num_active = self._log.state.num_active
        if any(self._accepts) and num_active != self._answered_for:
            self._answered_for = num_active.copy()
            self._answers = np.full((len(num_active), MOST_STALE), -1, np.int8)
            self._answers[[accepts is None for accepts in self._accepts]] = 1

    def _ask(self) -> bool:
        """Learn whether the next arrival is accepted; False where that is for the plain loop."""
        log, request = self._log, self._log.state.heap[0][1]
        task = log.requests.task[request]
        staleness, accepts = (
            len(log.rounds[task]) - log.requests.base_round[request],
            self._accepts[task],
        )
        if accepts is None or staleness >= MOST_STALE:
            return False
        self._answers[task, staleness] = accepts(staleness, log.state.num_active[task])
        return True

    def _tasks(self) -> np.ndarray:
        """The state's columns of tasks, and how far their rounds are."""
        state, rounds = self._log.state, self._log.rounds
        last = [-1 if number is None else number for number in self._log.last_round]
        return np.array(
            [
                *(state.num_active, state.stopped, state.in_flight, state.owed),
                *(state.buffer_size, state.round_size, state.num_buffered),
                *([len(one.arrived) for one in rounds], [len(one) for one in rounds], last),
            ],
            np.int64,
        )

    def _write_state(self, at: np.ndarray, now: float, tasks: np.ndarray) -> None:
        """All of the state but what is in flight."""
        state, (arrivals, attempts) = self._log.state, at[:2].tolist()
        if arrivals > state.num_arrivals:
            state.num_arrivals, state.time, state.num_lost = arrivals, now, 0
        state.num_attempts = self._draws.first + attempts
        in_flight, owed, _, round_size, buffered = tasks[2:7].tolist()
        state.in_flight, state.owed = in_flight, owed
        state.round_size, state.num_buffered = round_size, buffered

    def _write_rounds(self, taken: np.ndarray, closed: np.ndarray, moments: np.ndarray) -> None:
        """Append what has arrived and the rounds that closed to each task's columns."""
        task_of, request, is_kept = taken
        task_of_round, end, event = closed
        for task, rounds in enumerate(self._log.rounds):
            mine = task_of == task
            rounds.arrived.frombytes(request[mine & (is_kept == 1)].tobytes())
            if self._accepts[task] is not None:
                rounds.dropped.frombytes(request[mine & (is_kept == 0)].tobytes())
            mine = task_of_round == task
            rounds.end.frombytes(end[mine].tobytes())
            rounds.event.frombytes(event[mine].tobytes())
            rounds.time.frombytes(moments[mine].tobytes())
            rounds.num_active.extend([self._log.state.num_active[task]] * int(mine.sum()))


def _kernels() -> ModuleType | None:
    """The compiled loop; None where there is no compiler."""
    try:
        from . import compiled_loop
    except (ImportError, RuntimeError):  # as where it can keep its results nowhere
        SWITCH.give_up()
        return None
    return compiled_loop


def _point(state: AsyncState) -> tuple[int, int, int]:
    """Other after every event."""
    return state.num_arrivals, state.num_attempts, len(state.heap)


def _append(requests: Requests, table: np.ndarray, times: np.ndarray) -> None:
    """Append rows of the tables to the requests' columns."""
    columns = requests.task, requests.client, requests.base_round
    moments = requests.dispatched_at, requests.started_at, requests.arrives_at
    for column, row in zip((*columns, *moments), (*table, *times), strict=True):
        column.frombytes(row.tobytes())
