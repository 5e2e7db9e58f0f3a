"""When clients are on, compiled: ``stretch`` of every law of ``availability``, on its columns.

A law is ``LawColumns``; the classes of the laws are the definition.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .law_columns import DIURNAL, ON_OFF, TRACE
from .streams import GOLDEN

MOST_POINTS = 80  # of a block: as many as ``on_off.COUNTS`` tells apart

_GOLDEN = np.uint64(GOLDEN)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)


@njit(cache=True)
def stretch(law, client, time):
    """From ``time`` or from when a client next comes on, until it goes off, as in ``OnLaw``."""
    kind, numbers, key, first, starts, ends = law
    if kind == DIURNAL:
        start, end = _of_day(numbers[0], numbers[1], starts[client], time)
    elif kind == TRACE:
        start, end = _of_trace(numbers[0], first, starts, ends, client, time)
    elif kind == ON_OFF:
        return _of_chain(numbers[1], numbers[2], key, ends, client, time)
    else:
        return time, np.inf
    if start <= time:
        start = time
    return start, end if end > start else np.nextafter(start, np.inf)


@njit
def _of_day(period, length, phase, time):
    """As ``diurnal.Diurnal``."""
    number = np.floor((time - phase) / period) - 1
    while phase + number * period + length <= time:
        number += 1
    return phase + number * period, phase + number * period + length


@njit
def _of_trace(period, first, starts, ends, client, time):
    """As ``on_trace.OnTrace``."""
    begin, stop = first[client], first[client + 1]
    began = np.floor(time / period) * period
    within = time - began
    if ends[stop - 1] - period > within:  # it has gone on from the period before
        place, began = stop - 1, began - period
    else:
        place = begin + np.searchsorted(ends[begin:stop], within, side="right")
        if place == stop:
            place, began = begin, began + period
    return began + starts[place], began + ends[place]


@njit(cache=True)
def is_on(law, client, time):
    """Whether a client is on: whether ``stretch`` starts at once."""
    kind, numbers, key, _, _, counts = law
    if kind != ON_OFF:
        return stretch(law, client, time)[0] <= time
    block, places = int(time / numbers[1]), np.empty(MOST_POINTS, np.uint64)
    count = _points(key, counts, client, block, places)
    return _state_at(numbers[1], numbers[2], key, counts, client, time, places[:count])[0]


@njit
def _of_chain(length, share, key, counts, client, time):
    """As ``on_off.OnOff``: from point to point, until the state at ``time`` has changed."""
    places = np.empty(MOST_POINTS, np.uint64)
    block, start = int(time / length), time
    count = _points(key, counts, client, block, places)
    state, count = _state_at(length, share, key, counts, client, time, places[:count])
    while True:
        _sort(places, count)
        for place in places[:count]:
            if _says_on(share, key, place) == state:
                continue
            moment, state = (block + _uniform(place)) * length, not state
            if not state:
                return start, moment
            start = moment
        block += 1
        count = _points(key, counts, client, block, places)


@njit
def _state_at(length, share, key, counts, client, time, places):
    """What the last point by ``time`` has said; and how many come later, which are moved up."""
    block, is_known, latest, num_later = int(time / length), False, np.uint64(0), 0
    for place in places:
        if (block + _uniform(place)) * length > time:
            places[num_later] = place
            num_later += 1
        else:
            is_known, latest = True, max(latest, place)
    if not is_known:
        return _state_before(share, key, counts, client, block), num_later
    return _says_on(share, key, latest), num_later


@njit
def _sort(places, count):
    """The first few of them, in order: for so few numpy's sort takes several times as long."""
    for number in range(1, count):
        place, before = places[number], number - 1
        while before >= 0 and places[before] > place:
            places[before + 1] = places[before]
            before -= 1
        places[before + 1] = place


@njit
def _state_before(share, key, counts, client, block):
    """What the last point before a block has said."""
    places = np.empty(MOST_POINTS, np.uint64)
    while block > 0:
        block -= 1
        count = _points(key, counts, client, block, places)
        if count:
            return _says_on(share, key, places[:count].max())
    return _says_on(share, key, _mix(np.uint64(client) * _GOLDEN ^ key))


@njit
def _points(key, counts, client, block, places):
    """Random words for the places of a client's points in a block; how many there are."""
    word = _mix(_mix(np.uint64(client) * _GOLDEN ^ key) + np.uint64(block))
    count = np.searchsorted(counts, _uniform(_mix(word)), side="right")
    for index in range(count):
        places[index] = _mix(word + np.uint64(index + 1) * _GOLDEN)
    return count


@njit
def _says_on(share, key, place):
    """What a point says."""
    return _uniform(_mix(place ^ key)) < share


@njit
def _mix(word):
    """As ``streams.mix``."""
    word = (word ^ (word >> _30)) * _FIRST
    word = (word ^ (word >> _27)) * _SECOND
    return word ^ (word >> _31)


@njit
def _uniform(word):
    """As ``streams.uniform``."""
    return np.float64(word >> _11) * 2.0**-53
