"""Clients that are on when they were seen on: a table of intervals, over and over again."""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from math import floor, inf, nextafter
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..data.errors import DataError
from .columns import client_numbers, numbers, read_table, shown, stamp
from .hours import Hours
from .law_columns import TRACE, LawColumns

COLUMNS = ("client", "start", "end")
WHAT = "trace of clients"


class Intervals(NamedTuple):
    """Every client's, in order, one client after another; none touches the next.

    An interval that goes on when the period starts again ends beyond the period.
    """

    first: np.ndarray  # int64[num_clients + 1]: the place of each client's first interval
    start: np.ndarray  # float64[intervals], in [0, period)
    end: np.ndarray  # float64[intervals]; inf of a client that is always on


class OnTrace(Hours):
    """On as the trace says, which begins anew with every period."""

    def __init__(self, intervals: Intervals, period: float) -> None:
        """Keep the intervals of one replicate."""
        self._all, self._period = intervals, period
        self._first, self._starts, self._ends = (column.tolist() for column in intervals)
        lengths = np.minimum(intervals.end, intervals.start + period) - intervals.start
        self.share = float(lengths.sum()) / (period * (len(self._first) - 1))

    def columns(self) -> LawColumns:
        """As in ``OnLaw``."""
        numbers = np.array([self._period, self._period, self.share])
        first, starts, ends = (np.ascontiguousarray(column) for column in self._all)
        return LawColumns(TRACE, numbers, first=first, starts=starts, ends=ends)

    def stretch(self, client: int, time: float) -> tuple[float, float]:
        """As in ``OnLaw``."""
        first, last = self._first[client], self._first[client + 1]
        period = self._period
        began = floor(time / period) * period
        within = time - began
        if self._ends[last - 1] - period > within:  # it has gone on from the period before
            place, began = last - 1, began - period
        else:
            place = bisect_right(self._ends, within, first, last)
            if place == last:
                place, began = first, began + period
        start, end = began + self._starts[place], began + self._ends[place]
        if start <= time:
            start = time
        return start, end if end > start else nextafter(start, inf)

    def are_on(self, clients: np.ndarray, time: float) -> np.ndarray:
        """As in ``OnLaw``."""
        return np.array([self.stretch(client, time)[0] <= time for client in clients.tolist()])


def read_on_trace(path: str, period: float, num_clients: int) -> Intervals:
    """Read ``.csv`` or ``.parquet`` with a row an interval, in any order.

    Raises:
        DataError: there is no such file or column, an interval cannot be used, two of a client
            overlap, or a client has none; the message says which.
    """
    return _read(path, period, num_clients, *stamp(path, WHAT))


@lru_cache(maxsize=4)  # every replicate asks; what has changed since is read anew
def _read(path: str, period: float, num_clients: int, mtime_ns: int, size: int) -> Intervals:
    del mtime_ns, size
    table = read_table(path, COLUMNS, WHAT)
    client = client_numbers(table, path, WHAT, num_clients)
    start, end = (numbers(table, name, path, WHAT) for name in COLUMNS[1:])
    _check_rows(path, table, start, end, period)
    order = np.lexsort((start, client))
    client, start, end = client[order], start[order], end[order]
    _check_clients(path, order, client, start, end, num_clients)
    return _joined(client, start, end, period, num_clients)


def _check_rows(
    path: str, table: pa.Table, start: np.ndarray, end: np.ndarray, period: float
) -> None:
    for is_good, rule in (
        (start >= 0, "start must be a number of at least 0"),
        (end > start, "end must be a number above start"),
        (end <= period, f"end must be at most period={period:g}"),
    ):
        bad = np.flatnonzero(~is_good)
        if len(bad):
            row = int(bad[0])
            cells = f"{shown(table, 'start', row)} and {shown(table, 'end', row)}"
            raise DataError(f"{WHAT} {path!r}, row {row + 1}: {rule}, got {cells}")


def _check_clients(
    path: str,
    order: np.ndarray,
    client: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    num_clients: int,
) -> None:
    overlaps = np.flatnonzero((client[1:] == client[:-1]) & (start[1:] < end[:-1]))
    if len(overlaps):
        one, other = sorted(order[overlaps[0] : overlaps[0] + 2] + 1)
        raise DataError(
            f"{WHAT} {path!r}: rows {one} and {other} of client {client[overlaps[0]]} overlap; "
            f"make one interval of them"
        )
    missing = np.flatnonzero(np.bincount(client, minlength=num_clients) == 0)
    if len(missing):
        raise DataError(
            f"{WHAT} {path!r}: client {missing[0]} is never on ({len(missing)} of num_clients="
            f"{num_clients} have no row); give each an interval, or lower num_clients"
        )


def _joined(
    client: np.ndarray, start: np.ndarray, end: np.ndarray, period: float, num_clients: int
) -> Intervals:
    """With those that touch made one, across the end of the period, too."""
    is_first = np.ones(len(client), bool)
    is_first[1:] = (client[1:] != client[:-1]) | (start[1:] > end[:-1])
    firsts = np.flatnonzero(is_first)
    client, start, end = client[firsts], start[firsts], np.maximum.reduceat(end, firsts)
    first = np.searchsorted(client, np.arange(num_clients + 1))
    heads, tails = first[:-1], first[1:] - 1
    goes_on = (start[heads] == 0) & (end[tails] == period)
    is_always = goes_on & (heads == tails)
    end[heads[is_always]] = np.inf
    wraps = goes_on & ~is_always
    end[tails[wraps]] += end[heads[wraps]]
    kept = np.ones(len(client), bool)
    kept[heads[wraps]] = False
    client, start, end = client[kept], start[kept], end[kept]
    return Intervals(np.searchsorted(client, np.arange(num_clients + 1)), start, end)
