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
from math import exp

import numpy as np

from .law_columns import ON_OFF, LawColumns
from .names import Names
from .streams import GOLDEN, WORD, Stream, mix, uniform

POINTS = 8.0  # mean number in a block
MOST_KEPT = 100_000  # clients' blocks that are kept
TOGETHER = ((0, 1), (1, 3), (3, None))  # names in turn of a dispatch that are drawn together
FEW = 4096  # clients that are drawn all together
COUNTS = np.cumsum(
    np.fromiter(accumulate(range(1, 80), lambda p, k: p * POINTS / k, initial=exp(-POINTS)), float)
)
"""``P(N <= n)`` of a Poisson number N of mean ``POINTS``; beyond these it rounds to 1."""


class Block:
    """What has been drawn of a stretch of time: flat lists, which cost the least to fill and read.

    Of the client in row i: whether it is on when the block begins, ``began_on[i]``, and when that
    changes, ``changes[first[i] : first[i + 1]]``.
    """

    __slots__ = ("began_on", "changes", "first", "row_of")

    def __init__(self) -> None:
        self.row_of: dict[int, int] = {}
        self.began_on: list[bool] = []
        self.first: list[int] = [0]
        self.changes: list[float] = []

    def add(
        self, clients: list[int], began_on: np.ndarray, times: np.ndarray, is_change: np.ndarray
    ) -> None:
        """Rows for clients that have none; the arrays are those of ``OnOff._draw``."""
        rows = range(len(self.began_on), len(self.began_on) + len(clients))
        self.row_of.update(zip(clients, rows, strict=True))
        self.began_on += began_on.tolist()
        self.first += (len(self.changes) + np.cumsum(is_change.sum(axis=1))).tolist()
        self.changes += times[is_change].tolist()


class OnOff:
    """On for exponential times of mean ``mean_on``, off for those of mean ``mean_off``."""

    def __init__(self, seed: int, num_clients: int, mean_on: float, mean_off: float) -> None:
        """Nothing is drawn yet."""
        self.share = mean_on / (mean_on + mean_off)
        self._length = POINTS / (1.0 / mean_on + 1.0 / mean_off)  # of a block
        self._key = np.uint64(mix(mix((seed * GOLDEN + Stream.ON_OFF) & WORD)))
        self._blocks: dict[int, Block] = {}
        self._is_small = num_clients <= FEW
        self._expected = list(range(num_clients if self._is_small else 0))
        self._named = np.zeros((0, 0), np.int64)  # whom ``expect`` was last given
        self._time = 0.0  # and when

    def columns(self) -> LawColumns:
        """As in ``OnLaw``."""
        return LawColumns(ON_OFF, np.array([0.0, self._length, self.share]), self._key, ends=COUNTS)

    def pick(self, names: Names, place: int, time: float) -> tuple[int, float]:
        """As in ``OnLaw``."""
        number = int(time / self._length)
        block = self._blocks.get(number) or self._open(number)
        row_of, first, changes, began_on = block.row_of, block.first, block.changes, block.began_on
        for turn, clients in enumerate(names):
            client = clients[place]
            row = row_of[client] if client in row_of else self._row(client, number)
            start, stop = first[row], first[row + 1]
            next_ = bisect_right(changes, time, start, stop)
            if began_on[row] == ((next_ - start) % 2 == 0):
                return turn, changes[next_] if next_ < stop else (number + 1) * self._length
        return -1, time

    def stretch(self, client: int, time: float) -> tuple[float, float]:
        """As in ``OnLaw``."""
        number = int(time / self._length)
        began_on, changes = self._path(client, number)
        place = bisect_right(changes, time)
        is_on = began_on == (place % 2 == 0)
        missing = 1 if is_on else 2
        ahead = changes[place : place + missing]
        while len(ahead) < missing:
            number += 1
            ahead += self._path(client, number)[1]
        return (time, ahead[0]) if is_on else (ahead[0], ahead[1])

    def are_on(self, clients: np.ndarray, time: float) -> np.ndarray:
        """As in ``OnLaw``."""
        block = int(time / self._length)
        began_on, times, is_change = self._draw(clients, block)
        num_changes = (is_change & (times <= time)).sum(axis=1)
        return began_on == (num_changes % 2 == 0)

    def expect(self, named: np.ndarray, time: float) -> None:
        """As in ``OnLaw``: they are drawn together, and block by block from then on.

        Later names are drawn where the earlier may be off at some time before the next call, which
        is as far away as the last one was.
        """
        if self._is_small:
            return
        if sum(len(block.began_on) for block in self._blocks.values()) > MOST_KEPT:
            self._blocks = {}
        number = int(time / self._length)
        later = min(2 * time - self._time, (number + 1) * self._length)
        places, self._time = np.arange(named.shape[1]), time
        self._expected, self._named = [], named
        for start, stop in TOGETHER:
            asked = named[start:stop, places]
            self._expect(asked, number)
            columns, goes_off = asked.tolist(), []
            for place in range(len(places)):
                turn, until = self.pick(columns, place, time)
                goes_off.append(turn < 0 or until < later)
            places = places[goes_off]

    def _expect(self, clients: np.ndarray, number: int) -> None:
        wanted = np.unique(clients).tolist()
        self._expected += wanted
        block = self._blocks.get(number) or self._open(number)
        self._add(block, [one for one in wanted if one not in block.row_of], number)

    def _open(self, number: int) -> Block:
        """A block of which nothing was known: all that are expected are drawn."""
        if sum(len(block.began_on) for block in self._blocks.values()) > MOST_KEPT:
            self._blocks = {}
        block = self._blocks[number] = Block()
        self._add(block, list(dict.fromkeys(self._expected)), number)
        return block

    def _row(self, client: int, number: int) -> int:
        """A client's row in a block that is open."""
        block = self._blocks[number]
        if client not in block.row_of:
            self._expect(self._named, number)  # more are needed than was thought
            self._named = self._named[:0]
        if client not in block.row_of:
            self._add(block, [client], number)
        return block.row_of[client]

    def _path(self, client: int, number: int) -> tuple[bool, list[float]]:
        """Whether a client is on when a block begins, and when that changes."""
        block = self._blocks.get(number) or self._open(number)
        row = self._row(client, number)
        return block.began_on[row], block.changes[block.first[row] : block.first[row + 1]]

    def _add(self, block: Block, clients: list[int], number: int) -> None:
        if clients:
            block.add(clients, *self._draw(np.array(clients, np.int64), number))

    def _draw(self, clients: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The clients' points in a block.

        Returns:
            ``bool[n]``: whether each is on when it begins. ``float64[n, most]``: times of the
            points, in order. ``bool[n, most]``: at which of them it changes.
        """
        places, is_there = self._points(clients, block)
        places[~is_there] = np.uint64(WORD)
        places.sort(axis=1)
        is_there = np.arange(places.shape[1]) < is_there.sum(axis=1)[:, None]
        says_on = self._words(places)
        began_on = self._state_before(clients, block)
        before = np.concatenate([began_on[:, None], says_on[:, :-1]], axis=1)
        times = (block + uniform(places)) * self._length
        return began_on, times, is_there & (says_on != before)

    def _points(self, clients: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
        """Random words for the places of each client's points, and which of them there are."""
        key = mix(mix(clients.astype(np.uint64) * GOLDEN ^ self._key) + np.uint64(block))
        count = np.searchsorted(COUNTS, uniform(mix(key)), side="right")
        index = np.arange(1, max(int(count.max()), 1) + 1)
        places = mix(key[:, None] + index.astype(np.uint64) * GOLDEN)
        return places, index <= count[:, None]

    def _words(self, places: np.ndarray) -> np.ndarray:
        """What the points say: True is on."""
        return uniform(mix(places ^ self._key)) < self.share

    def _state_before(self, clients: np.ndarray, block: int) -> np.ndarray:
        """What the last point before a block has said, ``bool[n]``."""
        is_on = np.zeros(len(clients), bool)
        open_ = np.arange(len(clients))
        while block > 0 and len(open_):
            block -= 1
            places, is_there = self._points(clients[open_], block)
            last = np.where(is_there, places, np.uint64(0)).max(axis=1)
            is_known = is_there[:, 0]
            is_on[open_[is_known]] = self._words(last[is_known])
            open_ = open_[~is_known]
        first = mix(clients[open_].astype(np.uint64) * GOLDEN ^ self._key)
        is_on[open_] = self._words(first)
        return is_on
