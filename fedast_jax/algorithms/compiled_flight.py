"""What is in flight, for the compiled loop: a heap of ends of work, and a table of who works.

Requests are known by their places in the tables of ``compiled_loop``.
"""

from __future__ import annotations

import numpy as np
from numba import njit

DISPATCHED, STARTED, ARRIVES = range(3)
"""``times``: of requests, ``float64[3, places]``."""

WHO, LAST, SINCE = range(3)
"""``busy``: clients at work, the ends of their queues, when they became busy; -1: nobody."""


@njit
def make_table(busy, num_sent):
    """Clients at work in a table with open addressing, of which half at least stays empty."""
    size = 16
    while size < 2 * (busy.shape[1] + num_sent):
        size *= 2
    table = np.full((3, size), -1)
    for number in range(busy.shape[1]):
        slot = find(table, busy[0, number])
        table[WHO, slot], table[LAST, slot], table[SINCE, slot] = (
            busy[0, number],
            busy[1, number],
            number,
        )
    return table


@njit
def clients_at_work(table, places):
    """The clients at work as ``lay_out`` takes them, by the numbers of the places in use."""
    slots = np.flatnonzero(table[LAST] >= 0)
    slots = slots[np.argsort(table[SINCE][slots])]
    busy = np.empty((2, len(slots)), np.int64)
    busy[0] = table[WHO][slots]
    busy[1] = np.searchsorted(places, table[LAST][slots])
    return busy


@njit
def find(busy, client):
    """The client's place in the table (open addressing), or the one that it can have."""
    mask = busy.shape[1] - 1
    slot = (client * 0x9E3779B1) & mask
    while busy[WHO, slot] != client and busy[WHO, slot] >= 0:
        slot = (slot + 1) & mask
    return slot


@njit
def settle(heap, num_places):
    """The places that are in use, in order, and the heap by their numbers in it."""
    number = np.full(num_places, -1)
    number[heap] = 0
    places = np.flatnonzero(number == 0)
    number[places] = np.arange(len(places))
    return places, number[heap]


@njit
def push(times, heap, length, request):
    """``heapq.heappush``: the heap's layout is the same, too."""
    heap[length] = request
    _move_up(times, heap, length)


@njit
def pop(times, heap, length):
    """``heapq.heappop`` of a heap that has one more than ``length``."""
    first, last, place, child = heap[0], heap[length], 0, 1
    while child < length:
        if child + 1 < length and not _is_before(times, heap[child], heap[child + 1]):
            child += 1
        heap[place] = heap[child]
        place, child = child, 2 * child + 1
    if length:
        heap[place] = last
        _move_up(times, heap, place)
    return first


@njit
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


@njit
def _is_before(times, first, second):
    """Whether one request ends before another; ties by number."""
    if times[ARRIVES, first] != times[ARRIVES, second]:
        return times[ARRIVES, first] < times[ARRIVES, second]
    return first < second
