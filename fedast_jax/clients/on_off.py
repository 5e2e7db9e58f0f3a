"""Clients that come on and go off at random, for exponential times, each on its own.

Such a client is a Markov chain of two states. Let *points* come to it at the rate 1/mean_on +
1/mean_off, and let each say "on" with the probability mean_on / (mean_on + mean_off), else "off":
then it leaves either state at the right rate, and between two points of different words it is what
the first has said. Points of different stretches of time are independent, so a client's future can
be worked out from any time on without its past: what it is when a *block* of time begins, the last
point before has said, or at time 0 a word of its own. So the process is exact, in steady state, a
function of seed, client and time, and nothing is kept but what has been asked for lately.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from math import exp, inf

import numpy as np

from .streams import GOLDEN, WORD, Stream, mix, uniform

POINTS = 12.0  # mean number in a block
MOST_KEPT = 100_000  # clients' blocks that are kept
FEW = 4096  # clients that are drawn all together
COUNTS = np.cumsum(
    np.fromiter(accumulate(range(1, 80), lambda p, k: p * POINTS / k, initial=exp(-POINTS)), float)
)
"""``P(N <= n)`` of a Poisson number N of mean ``POINTS``; beyond these it rounds to 1."""

Path = tuple[bool, list[float]]
"""Of a client in a block: whether it is on when the block begins, and when that changes."""


class OnOff:
    """On for exponential times of mean ``mean_on``, off for those of mean ``mean_off``."""

    def __init__(self, seed: int, num_clients: int, mean_on: float, mean_off: float) -> None:
        """Nothing is drawn yet."""
        self.share = mean_on / (mean_on + mean_off)
        self._length = POINTS / (1.0 / mean_on + 1.0 / mean_off)  # of a block
        self._key = np.uint64(mix(mix((seed * GOLDEN + Stream.ON_OFF) & WORD)))
        self._blocks: dict[int, dict[int, Path]] = {}
        self._num_kept = 0
        self._is_small = num_clients <= FEW
        self._expected = np.arange(num_clients if self._is_small else 0)
        self._prepared: set[int] = set()  # blocks for which ``_expected`` have been drawn

    def on_until(self, client: int, time: float) -> float:
        """As in ``OnLaw``."""
        block = int(time / self._length)
        paths = self._blocks.get(block)
        path = paths.get(client) if paths else None
        began_on, changes = path or self._path(client, block)
        place = bisect_right(changes, time)
        if began_on != (place % 2 == 0):
            return -inf
        return changes[place] if place < len(changes) else self._changes_beyond(client, block, 1)[0]

    def stretch(self, client: int, time: float) -> tuple[float, float]:
        """As in ``OnLaw``."""
        off = self.on_until(client, time)
        if off > time:
            return time, off
        block = int(time / self._length)
        changes = self._path(client, block)[1]
        ahead = changes[bisect_right(changes, time) :][:2]
        if len(ahead) < 2:
            ahead += self._changes_beyond(client, block, 2 - len(ahead))
        return ahead[0], ahead[1]

    def are_on(self, clients: np.ndarray, time: float) -> np.ndarray:
        """As in ``OnLaw``."""
        block = int(time / self._length)
        began_on, times, is_change = self._draw(clients, block)
        num_changes = (is_change & (times <= time)).sum(axis=1)
        return began_on == (num_changes % 2 == 0)

    def expect(self, clients: np.ndarray) -> None:
        """As in ``OnLaw``: they are drawn together, a block at a time."""
        if not self._is_small:
            self._expected = np.unique(clients)
            self._prepared.clear()

    def _changes_beyond(self, client: int, block: int, count: int) -> list[float]:
        """At least so many changes after a block."""
        found: list[float] = []
        while len(found) < count:
            block += 1
            found += self._path(client, block)[1]
        return found

    def _path(self, client: int, block: int) -> Path:
        known = self._blocks.setdefault(block, {})
        if client not in known:
            wanted = [client]
            if block not in self._prepared:
                self._prepared.add(block)
                wanted += [other for other in self._expected.tolist() if other not in known]
            self._keep(known, np.array(wanted, np.int64), block)
        return known[client]

    def _keep(self, known: dict[int, Path], clients: np.ndarray, block: int) -> None:
        began_on, times, is_change = self._draw(clients, block)
        changes = times[is_change].tolist()
        ends = np.cumsum(is_change.sum(axis=1)).tolist()
        self._num_kept += len(ends)
        if self._num_kept > MOST_KEPT:
            self._num_kept = len(ends)
            known.clear()
            self._blocks = {block: known}
            self._prepared = set()
        start = 0
        for client, was_on, end in zip(clients.tolist(), began_on.tolist(), ends, strict=True):
            known[client] = was_on, changes[start:end]
            start = end

    def _draw(self, clients: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The clients' points in a block.

        Returns:
            ``bool[n]``: whether each is on when it begins. ``float64[n, most]``: times of the
            points, in order. ``bool[n, most]``: at which of them it changes.
        """
        places, count = self._points(clients, block)
        is_there = np.arange(places.shape[1]) < count[:, None]
        says_on = self._words(places)
        began_on = self._state_before(clients, block)
        before = np.concatenate([began_on[:, None], says_on[:, :-1]], axis=1)
        times = (block + uniform(places)) * self._length
        return began_on, times, is_there & (says_on != before)

    def _points(self, clients: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Random words for the places of each client's points, in order; how many it has."""
        key = mix(mix(clients.astype(np.uint64) * GOLDEN ^ self._key) + np.uint64(block))
        count = np.searchsorted(COUNTS, uniform(mix(key)), side="right")
        index = np.arange(1, max(int(count.max()), 1) + 1, dtype=np.uint64)
        places = mix(key[:, None] + index * GOLDEN)
        places[index > count[:, None].astype(np.uint64)] = np.uint64(WORD)
        places.sort(axis=1)
        return places, count

    def _words(self, places: np.ndarray) -> np.ndarray:
        """What the points say: True is on."""
        return uniform(mix(places ^ self._key)) < self.share

    def _state_before(self, clients: np.ndarray, block: int) -> np.ndarray:
        """What the last point before a block has said, ``bool[n]``."""
        is_on = np.zeros(len(clients), bool)
        open_ = np.arange(len(clients))
        while block > 0 and len(open_):
            block -= 1
            places, count = self._points(clients[open_], block)
            last = places[np.arange(len(open_)), np.maximum(count - 1, 0)]
            is_known = count > 0
            is_on[open_[is_known]] = self._words(last[is_known])
            open_ = open_[~is_known]
        first = mix(clients[open_].astype(np.uint64) * GOLDEN ^ self._key)
        is_on[open_] = self._words(first)
        return is_on
