"""List scheduling, compiled: ``plan_steps`` does what ``schedule`` does, on arrays.

Requests of all lanes stand one lane after another; a request's *place* is its number there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FIRST, FIRST_END, LAST_DUE, ROW = range(4)
"""``lanes``, ``[4, lanes + 1]``: first place and first round, requests that must be trained, row of
the latest version."""

REQUEST, BASE_ROW, WAITS_FOR, UPDATE_ROW = range(4)
"""``requests``, ``[4, places]``: the row of the version it trains from, or the round of its lane
that makes it, and the row of its update; -1: none."""

SLOT_LANE, SLOT_REQUEST, SLOT_BASE_ROW, SLOT_UPDATE_ROW = range(4)
"""``slots``: as in ``Schedule``, ``[4, slots]``."""

ROUND_LANE, SOURCE, TARGET, UPDATE_STOP = range(4)
"""``rounds``: as in ``Schedule``, ``[4, rounds]``."""

NUM_SLOTS, NUM_ROUNDS, NUM_STEPS, NUM_UPDATES, READY, DUE = range(6)
"""``at``: what is counted."""

DONE, OUT_OF_ROWS, TOO_LARGE = range(3)
"""How ``plan_steps`` ends."""

AHEAD = 1 << 60  # requests that no round of this segment uses
LANE_BITS = 20


@njit(cache=True)
def plan_steps(
    at,
    width,
    most,
    lanes,
    requests,
    ends,
    free_versions,
    free_updates,
    slots,
    rounds,
    stops,
    updates,
):
    """Plan the steps; ``stops[0]`` and ``stops[1]`` end their slots and rounds."""
    num_lanes = lanes.shape[1] - 1
    ready, after = np.empty(requests.shape[1], np.int64), np.empty(requests.shape[1], np.int64)
    heads = np.full(len(ends) + 1, -1)  # of each round: the last request that waits for it
    front, number = np.zeros(num_lanes, np.int64), np.zeros(num_lanes, np.int64)
    for lane in range(num_lanes):
        _enter(at, lanes, requests, ready, heads, after, lane)
    touched = np.arange(num_lanes)
    while True:
        limit = at[NUM_UPDATES] + most
        num_open = 0
        for lane in touched:
            why = _close_rounds(
                *(at, limit, most, lanes, requests, ends, free_versions, rounds, updates),
                *(ready, heads, after, front, number, lane),
            )
            if why in (OUT_OF_ROWS, TOO_LARGE):
                return why
            if why < 0:  # no room
                touched[num_open] = lane
                num_open += 1
        if at[NUM_SLOTS] or at[NUM_ROUNDS]:
            stops[0, at[NUM_STEPS]], stops[1, at[NUM_STEPS]] = at[NUM_SLOTS], at[NUM_ROUNDS]
            at[NUM_STEPS] += 1
        if num_open:
            touched = touched[:num_open]
        elif not at[DUE]:
            return DONE
        else:
            before = at[NUM_SLOTS]
            if not _fill_batch(at, width, lanes, requests, free_updates, slots, ready):
                return OUT_OF_ROWS
            touched = np.unique(slots[SLOT_LANE, before : at[NUM_SLOTS]])


@njit
def _enter(at, lanes, requests, ready, heads, after, lane):
    """Sort a lane's requests into those that are ready and those that wait for a round."""
    first, last_due = lanes[FIRST, lane], lanes[LAST_DUE, lane]
    num_rounds = lanes[FIRST_END, lane + 1] - lanes[FIRST_END, lane]
    for place in range(first, lanes[FIRST, lane + 1]):
        if requests[UPDATE_ROW, place] >= 0:
            continue
        is_due = place - first < last_due
        at[DUE] += is_due
        waits_for = requests[WAITS_FOR, place]
        if waits_for < 0:
            _push(at, ready, ((place - first) << LANE_BITS) + lane + (0 if is_due else AHEAD))
        elif waits_for < num_rounds:
            head = lanes[FIRST_END, lane] + waits_for
            after[place], heads[head] = heads[head], place


@njit
def _close_rounds(
    at,
    limit,
    most,
    lanes,
    requests,
    ends,
    free_versions,
    rounds,
    updates,
    ready,
    heads,
    after,
    front,
    number,
    lane,
):
    """Aggregate a lane's rounds whose requests are trained; -1: this step has no room for one."""
    first, first_end = lanes[FIRST, lane], lanes[FIRST_END, lane]
    num_requests, num_rounds = (
        lanes[FIRST, lane + 1] - first,
        lanes[FIRST_END, lane + 1] - first_end,
    )
    while front[lane] < num_requests and requests[UPDATE_ROW, first + front[lane]] >= 0:
        front[lane] += 1
    while number[lane] < num_rounds and ends[first_end + number[lane]] <= front[lane]:
        start = ends[first_end + number[lane] - 1] if number[lane] else 0
        end = ends[first_end + number[lane]]
        if end - start > most:
            return TOO_LARGE
        if at[NUM_UPDATES] + end - start > limit:
            return -1
        if at[NUM_ROUNDS] == len(free_versions):
            return OUT_OF_ROWS
        for place in range(first + start, first + end):
            updates[at[NUM_UPDATES]] = requests[UPDATE_ROW, place]
            at[NUM_UPDATES] += 1
        target, head = free_versions[at[NUM_ROUNDS]], first_end + number[lane]
        _note_round(at, lanes, rounds, lane, target)
        number[lane] += 1
        _release(at, lanes, requests, ready, heads, after, lane, head, target)
    return DONE


@njit
def _note_round(at, lanes, rounds, lane, target):
    """Write a round down; its version is the lane's latest from now on."""
    place = at[NUM_ROUNDS]
    rounds[ROUND_LANE, place], rounds[SOURCE, place] = lane, lanes[ROW, lane]
    rounds[TARGET, place], rounds[UPDATE_STOP, place] = target, at[NUM_UPDATES]
    lanes[ROW, lane] = target
    at[NUM_ROUNDS] += 1


@njit
def _release(at, lanes, requests, ready, heads, after, lane, head, target):
    """Those that waited for a round are ready, now that its version is in a row."""
    place, first = heads[head], lanes[FIRST, lane]
    while place >= 0:
        requests[BASE_ROW, place] = target
        is_due = place - first < lanes[LAST_DUE, lane]
        _push(at, ready, ((place - first) << LANE_BITS) + lane + (0 if is_due else AHEAD))
        place = after[place]


@njit
def _fill_batch(at, width, lanes, requests, free_updates, slots, ready):
    """Give the most urgent ready requests slots; False where there are too few rows."""
    count = min(width, at[READY])
    if at[NUM_SLOTS] + count > len(free_updates):
        return False
    for _ in range(count):
        key, slot = _pop(at, ready), at[NUM_SLOTS]
        at[DUE] -= key < AHEAD
        lane = key & ((1 << LANE_BITS) - 1)
        place = lanes[FIRST, lane] + ((key & (AHEAD - 1)) >> LANE_BITS)
        requests[UPDATE_ROW, place] = free_updates[slot]
        slots[SLOT_LANE, slot], slots[SLOT_REQUEST, slot] = lane, requests[REQUEST, place]
        slots[SLOT_BASE_ROW, slot] = requests[BASE_ROW, place]
        slots[SLOT_UPDATE_ROW, slot] = free_updates[slot]
        at[NUM_SLOTS] += 1
    return True


@njit
def _push(at, heap, key):
    """Add a key to a binary heap."""
    place = at[READY]
    at[READY] += 1
    while place > 0 and key < heap[(place - 1) >> 1]:
        heap[place] = heap[(place - 1) >> 1]
        place = (place - 1) >> 1
    heap[place] = key


@njit
def _pop(at, heap):
    """Take the least key from it."""
    at[READY] -= 1
    length, least, place, child = at[READY], heap[0], 0, 1
    last = heap[length]
    while child < length:
        if child + 1 < length and heap[child + 1] < heap[child]:
            child += 1
        if last <= heap[child]:
            break
        heap[place] = heap[child]
        place, child = child, 2 * child + 1
    heap[place] = last
    return least
