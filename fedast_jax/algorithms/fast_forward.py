"""Stretches of Algorithm 2 in which nothing is decided, laid out by the compiled loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from types import ModuleType
from typing import NamedTuple

import numpy as np

from ..clients.delays import CHUNK
from ..clients.presence import MOST_LOST
from ..config.compiled import SWITCH
from .async_server import Server
from .async_state import AsyncState
from .log import EventLog, Limits, Requests
from .queues import Drawn, Queues

FEWEST = 16  # events: for fewer the plain loop is faster
NEAR = 64  # dispatches before the end of a stretch of draws at which the next one is added
MOST_STALE = 1024  # staleness below which the answers of ``accepts`` are kept


class Held(NamedTuple):
    """What is in flight, as the compiled loop takes it from ``table`` on."""

    state: AsyncState  # of which this was written last
    point: tuple[int, int, int]  # and when
    numbers: np.ndarray  # of the requests, in order
    table: np.ndarray  # int64[4, n]: task, client, base round, whether it will be lost
    ends: np.ndarray  # float64[n]
    heap: np.ndarray  # int64[n]: places in these
    busy: np.ndarray  # int64[2, clients]: who works, and the place of its last request


class Next(NamedTuple):
    """Dispatches that are to be made before the next event."""

    task: int = 0
    number: int = 0
    then_owed: int = 0  # whether one that is owed follows
    client: int = -1  # found for the first of them; -1: who is named
    step: float = 0.0  # its time


class FastForward:
    """What lies between a log and the compiled loop; nothing in it continues."""

    def __init__(
        self,
        log: EventLog[AsyncState],
        server: Server,
        limits: Limits,
        queues: Queues,
        accepts: Sequence[Callable[[int, int], bool] | None],
        *,
        may_be_used: bool,
    ) -> None:
        """Nothing is compiled yet.

        Args:
            log, limits, queues, accepts: those of the server.
            server: the plain loop, for the dispatches that only it can make.
            may_be_used: whether the compiled loop knows the rules.
        """
        self._log, self._server, self._limits, self._queues = log, server, limits, queues
        self._accepts, self._may_be_used = accepts, may_be_used
        self._law, self._units = tuple(queues.law_columns()), queues.units()
        self._first, self._draws, self._held = -1, Drawn(*np.zeros((3, 0))), None
        self._answers = np.zeros((0, 0), np.int8)
        self._answered_for: list[int] = []  # R of each task

    def take_events(self, until: int) -> bool:
        """Lay out events as ``Server.take_event``; False where the next is for the plain loop."""
        state = self._log.state
        most = inf if self._limits.max_updates is None else self._limits.max_updates
        most = int(min(until, most - 1, state.next_realloc - 1))
        is_for_plain = not self._may_be_used or state.num_late or state.unsent
        if most - state.num_arrivals < FEWEST or is_for_plain or not SWITCH.is_on():
            return False
        kernels = SWITCH.load(_kernels)
        return kernels is not None and self._run(kernels, most)

    def _run(self, kernels: ModuleType, until: int) -> bool:
        """Call the compiled loop until it gets no further; whether it has got on."""
        state, before, why, next_ = self._log.state, _point(self._log.state), kernels.NOBODY, Next()
        while why == kernels.NOBODY:
            why, next_ = self._call(kernels, until, next_)
            found = None
            if why == kernels.NOBODY:
                found = self._queues.search(state.num_attempts, state.time)
            if found is not None:
                next_ = next_._replace(client=found[0], step=found[1])
            elif next_.number:
                self._dispatch(next_)
                return True
        return self._ask() if why == kernels.UNKNOWN else _point(state) != before

    def _dispatch(self, next_: Next) -> None:
        """Make dispatches that are for the plain loop, in the middle of an event."""
        self._server.dispatch((next_.task,) * next_.number)
        if next_.then_owed:
            self._server.try_owed()

    def _call(self, kernels: ModuleType, until: int, next_: Next) -> tuple[int, Next]:
        """Call it once and write down what it has laid out; why it stops, and before what."""
        self._look_up_draws()
        self._forget_answers()
        log, state, limits = self._log, self._log.state, self._limits
        most = -1 if limits.max_active_clients is None else limits.max_active_clients
        latest = inf if limits.time_limit is None else limits.time_limit
        counts = state.num_arrivals, state.num_attempts - self._first, state.num_lost
        bounds = until, most, MOST_LOST, self._queues.loses_work
        at = np.array([*counts, *bounds, *next_[:4], *[0] * 6])
        clock, tasks, held = np.array([state.time, latest, next_.step]), self._tasks(), self._hold()
        why, places, heap, busy, requests, times, taken, closed, moments = kernels.lay_out(
            *(at, clock, tasks, self._law, *held[3:], (*self._draws, *self._units), self._answers)
        )
        num_old, num_new = len(held.numbers), int(at[kernels.PLACES]) - len(held.numbers)
        new = np.arange(len(log.requests), len(log.requests) + num_new)
        numbers = np.concatenate([held.numbers, new])
        taken[1] = numbers[taken[1]]
        _append(log.requests, requests[:3, num_old:][:, :num_new], times[:, num_old:][:, :num_new])
        self._write_rounds(taken, closed, moments)
        self._write_state(at, clock, tasks)
        table, ends, numbers = requests.take(places, 1), times[2, places], numbers[places]
        state.heap = list(zip(ends[heap].tolist(), numbers[heap].tolist(), strict=True))
        state.last_request = dict(zip(busy[0].tolist(), numbers[busy[1]].tolist(), strict=True))
        is_doomed = table[3] == 1
        doomed = zip(numbers[is_doomed].tolist(), table[0, is_doomed].tolist(), strict=True)
        state.doomed = dict(doomed)
        self._held = Held(state, _point(state), numbers, table, ends, heap, busy)
        return why, Next(*at[kernels.NEXT_TASK : kernels.FOUND].tolist())

    def _hold(self) -> Held:
        """What is in flight: as it was written last, if nothing has happened since."""
        state, requests, held = self._log.state, self._log.requests, self._held
        if held is not None and held.state is state and held.point == _point(state):
            return held
        waiting = [request for _, request in state.heap]
        numbers = np.array(sorted(waiting), np.int64)
        columns = requests.task, requests.client, requests.base_round
        rows = [np.frombuffer(column, np.int64)[numbers] for column in columns]
        table = np.stack([*rows, np.isin(numbers, [*state.doomed])])
        ends = np.frombuffer(requests.arrives_at, np.float64)[numbers]
        last = numbers.searchsorted([*state.last_request.values()])
        busy = np.stack([np.array([*state.last_request], np.int64), last])
        return Held(state, _point(state), numbers, table, ends, numbers.searchsorted(waiting), busy)

    def _look_up_draws(self) -> None:
        """Have the draws of the next dispatches at hand."""
        index, place = divmod(self._log.state.num_attempts, CHUNK)
        num_chunks = 2 if place >= CHUNK - NEAR else 1
        if self._first != index * CHUNK or len(self._draws.is_lost) < num_chunks * CHUNK:
            chunks = [self._queues.drawn(index + more) for more in range(num_chunks)]
            whole = (np.concatenate(parts, axis=-1) for parts in zip(*chunks, strict=True))
            self._first, self._draws = index * CHUNK, Drawn(*whole)

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

    def _write_state(self, at: np.ndarray, clock: np.ndarray, tasks: np.ndarray) -> None:
        """All of the state but what is in flight."""
        state = self._log.state
        state.num_arrivals, attempts, state.num_lost = at[:3].tolist()
        state.num_attempts, state.time = self._first + attempts, float(clock[0])
        in_flight, owed, _, round_size, buffered = tasks[2:7].tolist()
        state.in_flight, state.owed = in_flight, owed
        state.round_size, state.num_buffered = round_size, buffered

    def _write_rounds(self, taken: np.ndarray, closed: np.ndarray, moments: np.ndarray) -> None:
        """Append what has arrived and the rounds that closed to each task's columns."""
        log, (task_of, request, fate), (task_of_round, end, event) = self._log, taken, closed
        log.lost.frombytes(request[fate == 2].tobytes())
        for task, rounds in enumerate(log.rounds):
            mine = task_of == task
            rounds.arrived.frombytes(request[mine & (fate == 1)].tobytes())
            if self._accepts[task] is not None:
                rounds.dropped.frombytes(request[mine & (fate == 0)].tobytes())
            mine = task_of_round == task
            rounds.end.frombytes(end[mine].tobytes())
            rounds.event.frombytes(event[mine].tobytes())
            rounds.time.frombytes(moments[mine].tobytes())
            rounds.num_active.extend([log.state.num_active[task]] * np.count_nonzero(mine))


def _kernels() -> ModuleType:
    from . import compiled_loop

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
