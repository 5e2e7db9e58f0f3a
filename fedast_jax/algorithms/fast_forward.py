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
MOST_SENT = 3  # dispatches that follow from one arrival: K <= 2 of its task, and one owed


class Tables(NamedTuple):
    """What the compiled loop works on, as it says itself."""

    at: np.ndarray
    clock: np.ndarray
    tasks: np.ndarray
    scale: np.ndarray  # float64[tasks]
    requests: np.ndarray
    times: np.ndarray
    heap: np.ndarray  # int64[places]
    busy: np.ndarray
    clients: np.ndarray  # int64[draws]
    steps: np.ndarray  # float64[draws]
    accepts: np.ndarray  # int8[tasks, staleness]
    taken: np.ndarray
    closed: np.ndarray
    ends: np.ndarray  # float64[rounds]: when they closed


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
        self._draws = Draws()
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
        state, waiting = self._log.state, [request for _, request in self._log.state.heap]
        numbers = np.array(sorted(waiting), np.int64)
        tables = self._tables(until, numbers)
        tables.heap[: len(waiting)] = numbers.searchsorted(waiting)
        last = numbers.searchsorted([*state.last_request.values()])
        kernels.enter(tables.busy, np.array([*state.last_request], np.int64), last)
        is_unknown = kernels.take_events(*tables) == kernels.UNKNOWN
        has_got_on = bool(tables.at[6]) or tables.at[3] < len(waiting)
        self._write(tables, numbers)
        return self._ask() if is_unknown else has_got_on

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

    def _tables(self, until: int, numbers: np.ndarray) -> Tables:
        """The state, with room for what follows from the next events."""
        state, limits, (first, clients, steps) = self._log.state, self._limits, self._draws
        num_events, attempt = until - state.num_arrivals, state.num_attempts - first
        num_sent = max(0, min(MOST_SENT * num_events, len(clients) - attempt))
        places, num_busy = len(numbers), len(state.last_request)
        most = -1 if limits.max_active_clients is None else limits.max_active_clients
        latest = inf if limits.time_limit is None else limits.time_limit
        counts = state.num_arrivals, attempt, places, places, num_busy, num_busy, 0, 0, until, most
        requests, times = _gathered(self._log.requests, numbers, num_sent)
        taken, closed = np.empty((2, 3, num_events), np.int64)
        return Tables(
            *(np.array(counts), np.array([state.time, latest]), self._tasks(), self._scale),
            *(requests, times, np.empty(places + num_sent, np.int64)),
            np.full((3, 1 << (2 * (num_busy + num_sent)).bit_length()), -1, np.int64),
            *(clients, steps, self._answers, taken, closed, np.empty(num_events)),
        )

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

    def _write(self, tables: Tables, numbers: np.ndarray) -> None:
        """Write down what has been laid out: state, requests, arrivals, rounds."""
        log, state = self._log, self._log.state
        arrivals, attempt, places, in_heap, _, _, num_taken, num_closed, *_ = tables.at.tolist()
        num_old, num_new = len(numbers), places - len(numbers)
        numbers = np.append(numbers, np.arange(len(log.requests), len(log.requests) + num_new))
        _append(log.requests, tables.requests[:, num_old:places], tables.times[:, num_old:places])
        tables.taken[1, :num_taken] = numbers[tables.taken[1, :num_taken]]
        self._write_rounds(tables, num_taken, num_closed)
        state.num_attempts = self._draws.first + attempt
        if num_taken:
            state.num_arrivals, state.time, state.num_lost = arrivals, float(tables.clock[0]), 0
        in_flight, owed, _, round_size, buffered = tables.tasks[2:7].tolist()
        state.in_flight, state.owed = in_flight, owed
        state.round_size, state.num_buffered = round_size, buffered
        heap = tables.heap[:in_heap]
        state.heap = list(zip(tables.times[2, heap].tolist(), numbers[heap].tolist(), strict=True))
        state.last_request = _last_requests(tables.busy, numbers)

    def _write_rounds(self, tables: Tables, num_taken: int, num_closed: int) -> None:
        """Append what has arrived and the rounds that closed to each task's columns."""
        task_of, request, is_kept = tables.taken[:, :num_taken]
        task_of_round, *columns = tables.closed[:, :num_closed]
        for task, rounds in enumerate(self._log.rounds):
            mine = task_of == task
            rounds.arrived.frombytes(request[mine & (is_kept == 1)].tobytes())
            rounds.dropped.frombytes(request[mine & (is_kept == 0)].tobytes())
            mine = task_of_round == task
            for to, column in zip((rounds.end, rounds.event), columns, strict=True):
                to.frombytes(column[mine].tobytes())
            rounds.time.frombytes(tables.ends[:num_closed][mine].tobytes())
            rounds.num_active.extend([self._log.state.num_active[task]] * int(mine.sum()))


def _kernels() -> ModuleType | None:
    """The compiled loop; None where there is no compiler."""
    try:
        from . import compiled_loop
    except (ImportError, RuntimeError):  # as where it can keep its results nowhere
        SWITCH.give_up()
        return None
    return compiled_loop


def _gathered(
    requests: Requests, numbers: np.ndarray, num_sent: int
) -> tuple[np.ndarray, np.ndarray]:
    """Tables of the requests with these numbers, with room for more."""
    whole = np.empty((3, len(numbers) + num_sent), np.int64)
    times = np.empty((3, len(numbers) + num_sent))
    for row, column in enumerate((requests.task, requests.client, requests.base_round)):
        whole[row, : len(numbers)] = np.frombuffer(column, np.int64)[numbers]
    times[2, : len(numbers)] = np.frombuffer(requests.arrives_at, np.float64)[numbers]
    return whole, times


def _append(requests: Requests, whole: np.ndarray, times: np.ndarray) -> None:
    """Append rows of the tables to the requests' columns."""
    columns = requests.task, requests.client, requests.base_round
    moments = requests.dispatched_at, requests.started_at, requests.arrives_at
    for column, row in zip((*columns, *moments), (*whole, *times), strict=True):
        column.frombytes(row.tobytes())


def _last_requests(busy: np.ndarray, numbers: np.ndarray) -> dict[int, int]:
    """Of the clients at work, in the order in which they became busy."""
    who, last, since = busy[:, busy[1] >= 0]
    order = since.argsort()
    return dict(zip(who[order].tolist(), numbers[last[order]].tolist(), strict=True))
