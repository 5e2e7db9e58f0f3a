"""The events of Algorithm 2 in which nothing is decided in Python, compiled.

``lay_out`` does what ``async_server.Server.take_event`` does, on tables; that is the
definition. It stops before an event that needs more: a task's last round, a reallocation.

Requests are known by their places in the tables, which grow with their numbers. The rows of each
table have names here.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numba import njit

from ..clients import compiled_laws
from ..clients.compiled_laws import is_on, stretch
from ..clients.law_columns import ALWAYS
from ..clients.presence import MOST_STRETCHES
from ..config.disk import read_text
from . import compiled_flight
from .compiled_flight import (
    ARRIVES,
    DISPATCHED,
    LAST,
    SINCE,
    STARTED,
    WHO,
    clients_at_work,
    find,
    make_table,
    pop,
    push,
    settle,
)

ARRIVALS, ATTEMPTS, LOST, UNTIL, MOST_ACTIVE, MOST_LOST, LOSES_WORK = range(7)
"""``at``: what is counted so far, the bounds (no most active: -1), and whether clients that go off
lose their work; then"""

NEXT_TASK, NUM_NEXT, OWED_NEXT, FOUND = range(7, 11)
"""dispatches that are to be made first: of which task, how many, whether one that is owed follows,
and the client that was found for the first of them, or -1; then what is counted in a call:"""

PLACES, IN_HEAP, NUM_BUSY, STAMP, TAKEN, CLOSED = range(11, 17)

NOW, LATEST, STEP = range(3)
"""``clock``: times, and that of the client that was found, ``float64[3]``."""

ACTIVE, STOPPED, IN_FLIGHT, OWED, SIZE, ROUND_SIZE, BUFFERED, ARRIVED, ROUNDS, LAST_ROUND = range(
    10
)
"""``tasks``: as in ``AsyncState``, and arrivals, rounds, the last round or -1, ``[10, tasks]``."""

TASK, CLIENT, BASE, DOOMED = range(4)
"""``requests``: whose, from which version, and whether it will be lost, ``[4, places]``."""

TAKEN_TASK, REQUEST, FATE = range(3)
"""``taken``: arrivals, and requests that were lost, ``[3, events]``."""

DROPPED, KEPT, GONE = range(3)
"""``FATE``: what became of an update."""

ROUND_TASK, END, EVENT = range(3)
"""``closed``: rounds, ``[3, events]``; when they did is beside it."""

ENOUGH, NOT_HERE, UNKNOWN, NOBODY, ENDLESS = range(5)
"""Why it stops: all is done, the next event is for the plain loop, whether an update is accepted is
not known, nobody of those named is on, a request would be interrupted too often."""

MOST_SENT = 3  # dispatches that follow from one arrival: K <= 2 of its task, and one owed


@njit
def _lay_out(at, clock, tasks, law, held, ends, heap, busy, draws, accepts):
    """Lay out events.

    Args:
        law: of ``clients.law_columns``, when clients are on.
        held, ends: ``requests`` and ends of what is in flight, in order of number.
        heap: of their places there.
        busy: clients at work and the places of their last requests, in the order in which they
            became busy.
        draws: whom each dispatch asks in turn, ``int64[turns, n]``, and their times; whether it is
            lost, ``bool[n]``; then of every task a time's unit and load, ``float64[2, tasks]``, and
            of every client the time of a unit of load, ``float64[clients]`` or nothing.
    Returns:
        Why it stops; then, of what is in flight afterwards, the places, ``heap`` and ``busy`` as
        above; and ``requests`` and ``times``, ``taken``, ``closed`` and when the rounds closed.
    """
    num_held, num_events = len(ends), 2 * (at[UNTIL] - at[ARRIVALS]) + MOST_SENT
    num_sent = max(0, min(MOST_SENT * num_events, len(draws[2]) - at[ATTEMPTS]))
    requests, times = (
        np.empty((4, num_held + num_sent), np.int64),
        np.empty((3, num_held + num_sent)),
    )
    requests[:, :num_held], times[ARRIVES, :num_held] = held, ends
    room = np.empty(num_held + num_sent, np.int64)
    room[:num_held] = heap
    table = make_table(busy, num_sent)
    at[PLACES] = at[IN_HEAP] = num_held
    at[NUM_BUSY] = at[STAMP] = busy.shape[1]
    taken, closed = np.empty((3, num_events), np.int64), np.empty((3, num_events), np.int64)
    moments = np.empty(num_events)
    flight = requests, times, room, table
    why = _send_next(at, clock, tasks, law, flight, draws)
    if why == ENOUGH:
        why = _take_events(at, clock, tasks, law, flight, draws, accepts, taken, closed, moments)
    places, heap = settle(room[: at[IN_HEAP]], at[PLACES])
    return (
        *(why, places, heap, clients_at_work(table, places), requests, times),
        *(taken[:, : at[TAKEN]], closed[:, : at[CLOSED]], moments[: at[CLOSED]]),
    )


@njit
def _take_events(at, clock, tasks, law, flight, draws, accepts, taken, closed, moments):
    """Event by event, while there is room; ``accepts[task, staleness]`` is -1 where unknown."""
    requests, times, heap, busy = flight
    while at[ARRIVALS] < at[UNTIL] and at[TAKEN] < taken.shape[1]:
        if not at[IN_HEAP] or times[ARRIVES, heap[0]] > clock[LATEST]:
            return NOT_HERE
        request = heap[0]
        task = requests[TASK, request]
        if tasks[STOPPED, task]:  # it was cancelled: only its client was still busy
            if not tasks[IN_FLIGHT].any():
                return NOT_HERE
            _next_end(at, requests, times, heap, busy)
            continue
        fate = _fate(tasks, requests, accepts, task, request)
        if fate < 0:
            return UNKNOWN
        closes = fate != GONE and tasks[BUFFERED, task] + fate >= tasks[ROUND_SIZE, task]
        if _is_for_plain(at, tasks, draws, task, fate, closes):
            return NOT_HERE
        clock[NOW] = times[ARRIVES, request]
        _next_end(at, requests, times, heap, busy)
        _note(at, tasks, taken, task, request, fate)
        if closes:
            _close_round(at, clock, tasks, closed, moments, task)
        at[NEXT_TASK], at[OWED_NEXT] = task, at[MOST_ACTIVE] >= 0
        at[NUM_NEXT] = 1 if fate == GONE else _num_missing(tasks, task)
        why = _send_next(at, clock, tasks, law, flight, draws)
        if why != ENOUGH:
            return why
    return ENOUGH


@njit
def _is_for_plain(at, tasks, draws, task, fate, closes):
    """Whether the next event ends a task, may be a loss too many, or draws are missing for it."""
    is_last = closes and tasks[ROUNDS, task] + 1 == tasks[LAST_ROUND, task]
    is_too_many = fate == GONE and at[LOST] + 1 >= at[MOST_LOST]
    return is_last or is_too_many or at[ATTEMPTS] + MOST_SENT > len(draws[2])


@njit
def _fate(tasks, requests, accepts, task, request):
    """What becomes of an update; -1 where it is not known."""
    if requests[DOOMED, request]:
        return GONE
    if not accepts.size:
        return KEPT
    staleness = tasks[ROUNDS, task] - requests[BASE, request]
    return accepts[task, staleness] if staleness < accepts.shape[1] else -1


@njit
def _next_end(at, requests, times, heap, busy):
    """Take the next end of work from the heap; its client may be idle from now on."""
    at[IN_HEAP] -= 1
    request = pop(times, heap, at[IN_HEAP])
    slot = find(busy, requests[CLIENT, request])
    if busy[LAST, slot] == request:
        busy[LAST, slot] = -1
        at[NUM_BUSY] -= 1


@njit
def _note(at, tasks, taken, task, request, fate):
    """Count an arrival, and its update where it is kept; or a loss."""
    number = at[TAKEN]
    taken[TAKEN_TASK, number], taken[REQUEST, number], taken[FATE, number] = task, request, fate
    at[TAKEN] += 1
    tasks[IN_FLIGHT, task] -= 1
    at[LOST] = at[LOST] + 1 if fate == GONE else 0
    at[ARRIVALS] += fate != GONE
    tasks[BUFFERED, task] += fate == KEPT
    tasks[ARRIVED, task] += fate == KEPT


@njit
def _close_round(at, clock, tasks, closed, moments, task):
    """Empty the buffer and note the round."""
    tasks[BUFFERED, task] = 0
    tasks[ROUND_SIZE, task] = tasks[SIZE, task]
    tasks[ROUNDS, task] += 1
    number = at[CLOSED]
    closed[ROUND_TASK, number], closed[END, number] = task, tasks[ARRIVED, task]
    closed[EVENT, number], moments[number] = at[ARRIVALS], clock[NOW]
    at[CLOSED] += 1


@njit
def _send_next(at, clock, tasks, law, flight, draws):
    """Make the dispatches that an event asks for; why it stops before that."""
    while at[NUM_NEXT] > 0 or at[OWED_NEXT]:
        if at[NUM_NEXT] <= 0:
            at[NEXT_TASK], at[OWED_NEXT] = _neediest(tasks), False
            if at[NEXT_TASK] < 0:
                break
            tasks[OWED, at[NEXT_TASK]] -= 1
            at[NUM_NEXT] = 1
        why = _send(at, clock, tasks, law, flight, draws, at[NEXT_TASK])
        if why != ENOUGH:
            return why
        at[NUM_NEXT] -= 1
    at[NUM_NEXT] = 0
    return ENOUGH


@njit
def _num_missing(tasks, task):
    """K, as ``AsyncState.num_missing``."""
    missing = tasks[ACTIVE, task] - tasks[IN_FLIGHT, task] - tasks[OWED, task]
    if missing < 2:
        return missing
    total = 0
    for one in range(tasks.shape[1]):
        total += tasks[ACTIVE, one] - tasks[IN_FLIGHT, one] - tasks[OWED, one]
    return min(2, missing, total)


@njit
def _neediest(tasks):
    """Of the tasks that are owed dispatches, as ``allocation.neediest``; -1: there is none."""
    neediest, most = -1, 0.0
    for task in range(tasks.shape[1]):
        if tasks[OWED, task]:
            part = tasks[OWED, task] / tasks[ACTIVE, task]
            if part > most:
                neediest, most = task, part
    return neediest


@njit
def _send(at, clock, tasks, law, flight, draws, task):
    """Dispatch a request now, or owe it, as ``send`` of the queues; ENOUGH if it is done."""
    times, busy = flight[1], flight[3]
    client, duration = _ask(at, clock, law, draws, task)
    if client < 0:
        return NOBODY
    slot = find(busy, client)
    is_idle = busy[LAST, slot] < 0
    if is_idle and 0 <= at[MOST_ACTIVE] <= at[NUM_BUSY]:
        tasks[OWED, task] += 1
    else:
        ready = clock[NOW] if is_idle else times[ARRIVES, busy[LAST, slot]]
        start, end, is_lost = _work(law, at[LOSES_WORK], client, ready, duration)
        if end < 0:
            return ENDLESS
        if is_idle:
            busy[WHO, slot], busy[SINCE, slot] = client, at[STAMP]
            at[STAMP], at[NUM_BUSY] = at[STAMP] + 1, at[NUM_BUSY] + 1
        is_doomed = is_lost or draws[2][at[ATTEMPTS]]
        busy[LAST, slot] = _append(at, clock, tasks, flight, task, client, start, end, is_doomed)
    at[ATTEMPTS], at[FOUND] = at[ATTEMPTS] + 1, -1
    return ENOUGH


@njit
def _append(at, clock, tasks, flight, task, client, start, end, is_doomed):
    """Write a request down and put it into the heap; its place."""
    requests, times, heap, _ = flight
    request = at[PLACES]
    requests[TASK, request], requests[CLIENT, request] = task, client
    requests[BASE, request], requests[DOOMED, request] = tasks[ROUNDS, task], is_doomed
    times[DISPATCHED, request], times[STARTED, request] = clock[NOW], start
    times[ARRIVES, request] = end
    tasks[IN_FLIGHT, task] += 1
    push(times, heap, at[IN_HEAP], request)
    at[PLACES], at[IN_HEAP] = at[PLACES] + 1, at[IN_HEAP] + 1
    return request


@njit
def _ask(at, clock, law, draws, task):
    """Who is on now, of those named in turn, and what a request takes there; -1: nobody."""
    clients, steps, _, units, per_load = draws
    attempt = at[ATTEMPTS]
    client, step = at[FOUND], clock[STEP]
    if client < 0:
        for turn in range(clients.shape[0]):
            named = clients[turn, attempt]
            if law[0] == ALWAYS or is_on(law, named, clock[NOW]):
                client, step = named, steps[turn, attempt]
                break
    duration = units[0, task] * step
    if client >= 0 and per_load.size:
        duration += units[1, task] * per_load[client]
    return client, duration


@njit
def _work(law, loses_work, client, ready, duration):
    """Start, end and whether it is lost, as ``Presence.work``; an end of -1: it never ends."""
    if law[0] == ALWAYS:
        return ready, ready + duration, False
    start, off = stretch(law, client, ready)
    if start + duration <= off:
        return start, start + duration, False
    if loses_work:
        return start, off, True
    left = duration - (off - start)
    for _ in range(MOST_STRETCHES):
        begin, off = stretch(law, client, off)
        if begin + left <= off:
            return start, begin + left, False
        left -= off - begin
    return start, -1.0, False


def _kept(sources: str) -> Callable:
    """``_lay_out``, kept for the next process, and compiled anew where ``sources`` differ.

    What is kept is known by this file's date and by what the function closes over: without that the
    files that it calls could change, and nobody would notice.
    """

    @njit(cache=True)
    def lay_out(at, clock, tasks, law, held, ends, heap, busy, draws, accepts):
        sources  # noqa: B018  # pyright: ignore[reportUnusedExpression]
        return _lay_out(at, clock, tasks, law, held, ends, heap, busy, draws, accepts)

    return lay_out


lay_out = _kept("".join(read_text(str(one.__file__)) for one in (compiled_flight, compiled_laws)))
