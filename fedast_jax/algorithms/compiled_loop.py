"""The events of Algorithm 2 in which nothing is decided in Python, compiled.

``take_events`` does what ``async_server.Server.take_event`` does, on tables; that is the
definition. It stops before an event that needs more: a task's last round, a reallocation.

Requests are known by their places in the tables, which grow with their numbers. The rows of each
table have names here.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ARRIVALS, ATTEMPTS, UNTIL, MOST_ACTIVE, PLACES, IN_HEAP, NUM_BUSY, STAMP, TAKEN, CLOSED = range(10)
"""``at``: what is counted, so far or in this call, and the bounds; no most active: -1."""

NOW, LATEST = range(2)
"""``clock``: times, ``float64[2]``."""

ACTIVE, STOPPED, IN_FLIGHT, OWED, SIZE, ROUND_SIZE, BUFFERED, ARRIVED, ROUNDS, LAST_ROUND = range(
    10
)
"""``tasks``: as in ``AsyncState``, and arrivals, rounds, the last round or -1, ``[10, tasks]``."""

TASK, CLIENT, BASE = range(3)
"""``requests``: whose, and from which version, ``[3, places]``."""

DISPATCHED, STARTED, ARRIVES = range(3)
"""``times``: of the same, ``float64[3, places]``."""

WHO, LAST, SINCE = range(3)
"""``busy``: clients at work, the ends of their queues, when they became busy; -1: nobody."""

TAKEN_TASK, REQUEST, IS_KEPT = range(3)
"""``taken``: arrivals, ``[3, events]``."""

ROUND_TASK, END, EVENT = range(3)
"""``closed``: rounds, ``[3, events]``; when they did is beside it."""

ENOUGH, NOT_HERE, UNKNOWN = range(3)
"""Why ``take_events`` stops: all is done, an event for the plain loop, an answer is missing."""

MOST_SENT = 3  # dispatches that follow from one arrival: K <= 2 of its task, and one owed


@njit(cache=True)
def lay_out(at, clock, tasks, scale, held, ends, heap, busy, clients, steps, accepts):
    """Lay out events, with ``at[4:]`` to be counted here.

    Args:
        held, ends: task, client, base round and end of what is in flight, in order of number.
        heap: of their places there.
        busy: clients at work and the places of their last requests, in the order in which they
            became busy.
    Returns:
        Why it stops; then, of what is in flight afterwards, the places, ``heap`` and ``busy`` as
        above; and ``requests`` and ``times``, ``taken``, ``closed`` and when the rounds closed.
    """
    num_held, num_events = len(ends), at[UNTIL] - at[ARRIVALS]
    num_sent = max(0, min(MOST_SENT * num_events, len(clients) - at[ATTEMPTS]))
    requests, times = (
        np.empty((3, num_held + num_sent), np.int64),
        np.empty((3, num_held + num_sent)),
    )
    requests[:, :num_held], times[ARRIVES, :num_held] = held, ends
    room = np.empty(num_held + num_sent, np.int64)
    room[:num_held] = heap
    table = _table(busy, num_sent)
    at[PLACES] = at[IN_HEAP] = num_held
    at[NUM_BUSY] = at[STAMP] = busy.shape[1]
    taken, closed = np.empty((3, num_events), np.int64), np.empty((3, num_events), np.int64)
    moments = np.empty(num_events)
    why = take_events(
        at,
        clock,
        tasks,
        scale,
        requests,
        times,
        room,
        table,
        clients,
        steps,
        accepts,
        taken,
        closed,
        moments,
    )
    places, heap = _settle(room[: at[IN_HEAP]], at[PLACES])
    return (
        why, places, heap, _busy(table, places), requests, times,
        taken[:, : at[TAKEN]], closed[:, : at[CLOSED]], moments[: at[CLOSED]]
    )  # fmt: skip


@njit(cache=True)
def _table(busy, num_sent):
    """Clients at work in a table with open addressing, of which half at least stays empty."""
    size = 16
    while size < 2 * (busy.shape[1] + num_sent):
        size *= 2
    table = np.full((3, size), -1)
    for number in range(busy.shape[1]):
        slot = _find(table, busy[0, number])
        table[WHO, slot], table[LAST, slot], table[SINCE, slot] = (
            busy[0, number],
            busy[1, number],
            number,
        )
    return table


@njit(cache=True)
def _settle(heap, num_places):
    """The places that are in use, in order, and the heap by their numbers in it."""
    number = np.full(num_places, -1)
    number[heap] = 0
    places = np.flatnonzero(number == 0)
    number[places] = np.arange(len(places))
    return places, number[heap]


@njit(cache=True)
def _busy(table, places):
    """The clients at work as ``lay_out`` takes them, by the numbers of the places in use."""
    slots = np.flatnonzero(table[LAST] >= 0)
    slots = slots[np.argsort(table[SINCE][slots])]
    busy = np.empty((2, len(slots)), np.int64)
    busy[0] = table[WHO][slots]
    busy[1] = np.searchsorted(places, table[LAST][slots])
    return busy


@njit(cache=True)
def take_events(
    at,
    clock,
    tasks,
    scale,
    requests,
    times,
    heap,
    busy,
    clients,
    steps,
    accepts,
    taken,
    closed,
    ends,
):
    """Lay out events; return why it stops. ``accepts[task, staleness]`` is -1 where unknown."""
    while at[ARRIVALS] < at[UNTIL]:
        request = heap[0]
        task = requests[TASK, request]
        if not at[IN_HEAP] or times[ARRIVES, request] > clock[LATEST]:
            return NOT_HERE
        if tasks[STOPPED, task]:  # it was cancelled: only its client was still busy
            if not tasks[IN_FLIGHT].any():
                return NOT_HERE
            _next_end(at, requests, times, heap, busy)
            continue
        is_kept = _is_accepted(tasks, requests, accepts, task, request)
        if is_kept < 0:
            return UNKNOWN
        closes = tasks[BUFFERED, task] + is_kept >= tasks[ROUND_SIZE, task]
        if closes and tasks[ROUNDS, task] + 1 == tasks[LAST_ROUND, task]:
            return NOT_HERE
        if at[ATTEMPTS] + MOST_SENT > len(clients):
            return NOT_HERE
        clock[NOW] = times[ARRIVES, request]
        _next_end(at, requests, times, heap, busy)
        _arrive(at, tasks, taken, task, request, is_kept)
        if closes:
            _close_round(at, clock, tasks, closed, ends, task)
        for _ in range(_num_missing(tasks, task)):
            _send(at, clock, tasks, scale, requests, times, heap, busy, clients, steps, task)
        neediest = _neediest(tasks) if at[MOST_ACTIVE] >= 0 else -1
        if neediest >= 0:
            tasks[OWED, neediest] -= 1
            _send(at, clock, tasks, scale, requests, times, heap, busy, clients, steps, neediest)
    return ENOUGH


@njit(cache=True, forceinline=True)
def _is_accepted(tasks, requests, accepts, task, request):
    """1 or 0; -1 where it is not known."""
    if not accepts.size:
        return 1
    staleness = tasks[ROUNDS, task] - requests[BASE, request]
    return accepts[task, staleness] if staleness < accepts.shape[1] else -1


@njit(cache=True, forceinline=True)
def _next_end(at, requests, times, heap, busy):
    """Take the next end of work from the heap; its client may be idle from now on."""
    request = _pop(at, times, heap)
    slot = _find(busy, requests[CLIENT, request])
    if busy[LAST, slot] == request:
        busy[LAST, slot] = -1
        at[NUM_BUSY] -= 1


@njit(cache=True, forceinline=True)
def _arrive(at, tasks, taken, task, request, is_kept):
    """Count an arrival, and its update where it is kept."""
    number = at[TAKEN]
    taken[TAKEN_TASK, number], taken[REQUEST, number] = task, request
    taken[IS_KEPT, number] = is_kept
    at[TAKEN] += 1
    at[ARRIVALS] += 1
    tasks[IN_FLIGHT, task] -= 1
    tasks[BUFFERED, task] += is_kept
    tasks[ARRIVED, task] += is_kept


@njit(cache=True, forceinline=True)
def _close_round(at, clock, tasks, closed, ends, task):
    """Empty the buffer and note the round."""
    tasks[BUFFERED, task] = 0
    tasks[ROUND_SIZE, task] = tasks[SIZE, task]
    tasks[ROUNDS, task] += 1
    number = at[CLOSED]
    closed[ROUND_TASK, number], closed[END, number] = task, tasks[ARRIVED, task]
    closed[EVENT, number], ends[number] = at[ARRIVALS], clock[NOW]
    at[CLOSED] += 1


@njit(cache=True, forceinline=True)
def _num_missing(tasks, task):
    """K, as ``AsyncState.num_missing``."""
    missing = tasks[ACTIVE, task] - tasks[IN_FLIGHT, task] - tasks[OWED, task]
    if missing < 2:
        return missing
    total = 0
    for one in range(tasks.shape[1]):
        total += tasks[ACTIVE, one] - tasks[IN_FLIGHT, one] - tasks[OWED, one]
    return min(2, missing, total)


@njit(cache=True, forceinline=True)
def _neediest(tasks):
    """Of the tasks that are owed dispatches, as ``allocation.neediest``; -1: there is none."""
    neediest, most = -1, 0.0
    for task in range(tasks.shape[1]):
        if tasks[OWED, task]:
            part = tasks[OWED, task] / tasks[ACTIVE, task]
            if part > most:
                neediest, most = task, part
    return neediest


@njit(cache=True)
def _send(at, clock, tasks, scale, requests, times, heap, busy, clients, steps, task):
    """Dispatch a request now, or owe it, as ``Queues.send``."""
    client, step = clients[at[ATTEMPTS]], steps[at[ATTEMPTS]]
    at[ATTEMPTS] += 1
    slot = _find(busy, client)
    if busy[LAST, slot] >= 0:
        start = times[ARRIVES, busy[LAST, slot]]
    elif 0 <= at[MOST_ACTIVE] <= at[NUM_BUSY]:
        tasks[OWED, task] += 1
        return
    else:
        start = clock[NOW]
        busy[WHO, slot], busy[SINCE, slot] = client, at[STAMP]
        at[STAMP] += 1
        at[NUM_BUSY] += 1
    request = at[PLACES]
    at[PLACES] += 1
    requests[TASK, request], requests[CLIENT, request] = task, client
    requests[BASE, request] = tasks[ROUNDS, task]
    times[DISPATCHED, request], times[STARTED, request] = clock[NOW], start
    times[ARRIVES, request] = start + scale[task] * step
    busy[LAST, slot] = request
    tasks[IN_FLIGHT, task] += 1
    _push(at, times, heap, request)


@njit(cache=True, forceinline=True)
def _find(busy, client):
    """The client's place in the table (open addressing), or the one that it can have."""
    mask = busy.shape[1] - 1
    slot = (client * 0x9E3779B1) & mask
    while busy[WHO, slot] != client and busy[WHO, slot] >= 0:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True, forceinline=True)
def _is_before(times, first, second):
    """Whether one request ends before another; ties by number."""
    if times[ARRIVES, first] != times[ARRIVES, second]:
        return times[ARRIVES, first] < times[ARRIVES, second]
    return first < second


@njit(cache=True, forceinline=True)
def _push(at, times, heap, request):
    """``heapq.heappush``: the heap's layout is the same, too."""
    heap[at[IN_HEAP]] = request
    at[IN_HEAP] += 1
    _move_up(times, heap, at[IN_HEAP] - 1)


@njit(cache=True, forceinline=True)
def _pop(at, times, heap):
    """``heapq.heappop``."""
    at[IN_HEAP] -= 1
    length, first = at[IN_HEAP], heap[0]
    last, place, child = heap[length], 0, 1
    while child < length:
        if child + 1 < length and not _is_before(times, heap[child], heap[child + 1]):
            child += 1
        heap[place] = heap[child]
        place, child = child, 2 * child + 1
    if length:
        heap[place] = last
        _move_up(times, heap, place)
    return first


@njit(cache=True, forceinline=True)
def _move_up(times, heap, place):
    """Move an entry towards the root until its parent comes before it."""
    request = heap[place]
    while place > 0:
        parent = (place - 1) >> 1
        if not _is_before(times, request, heap[parent]):
            break
        heap[place] = heap[parent]
        place = parent
    heap[place] = request
