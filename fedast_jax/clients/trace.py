"""Durations that were recorded on real devices: a table of (device class, duration)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ..config.words import few, show
from ..data.errors import DataError
from .columns import numbers, read_table, shown, stamp

LONGEST = 1e18  # 30 years in nanoseconds; sums of durations stay far from where floats end
COLUMNS = ("device_class", "duration")


class Trace(NamedTuple):
    """The recorded durations of each device class, shortest first."""

    classes: tuple[str, ...]  # in alphabetical order
    durations: tuple[np.ndarray, ...]  # float64[rows of the class]

    @property
    def shares(self) -> tuple[float, ...]:
        """Each class's part of the rows."""
        counts = [len(times) for times in self.durations]
        return tuple(count / sum(counts) for count in counts)

    def of_classes(self, names: Sequence[str], path: str) -> Trace:
        """These classes alone, in this order.

        Raises:
            DataError: the trace has no such class.
        """
        for name in names:
            if name not in self.classes:
                known = few(show(one) for one in self.classes)
                raise DataError(f"trace {path!r} has no device class {show(name)}; it has {known}")
        rows = [self.durations[self.classes.index(name)] for name in names]
        return Trace(tuple(names), tuple(rows))


class ClientTrace:
    """The durations of the clients of a replicate."""

    def __init__(self, trace: Trace, classes: np.ndarray) -> None:
        """Say which device class each client is of, ``int[clients]``."""
        self._classes = classes
        self._durations = np.concatenate(trace.durations)
        self._sizes = np.array([len(times) for times in trace.durations])
        self._starts = np.cumsum(self._sizes) - self._sizes

    def durations(self, clients: np.ndarray, u: np.ndarray) -> np.ndarray:
        """The clients' empirical quantile functions, ``inf {x: F(x) >= u}``, ``float64[n]``.

        Args:
            clients: ``int[n]``.
            u: ``float64[n]``, in (0, 1).
        """
        classes = self._classes[clients]
        sizes = self._sizes[classes]
        rank = np.clip(np.ceil(u * sizes).astype(np.int64) - 1, 0, sizes - 1)
        return self._durations[self._starts[classes] + rank]


def read_trace(path: str) -> Trace:
    """Read ``.csv`` or ``.parquet`` with the columns ``device_class`` and ``duration``.

    Raises:
        DataError: there is no such file or column, or a row that cannot be used; the message says
            which, counted from 1.
    """
    return _read(path, *stamp(path, "trace"))


@lru_cache(maxsize=4)  # every replicate asks; what has changed since is read anew
def _read(path: str, mtime_ns: int, size: int) -> Trace:
    del mtime_ns, size
    table = _table(path)
    names = np.array(table["device_class"].fill_null("").to_pylist(), dtype=object)
    values = numbers(table, "duration", path, "trace")
    _check_rows(path, table, names == "", (values > 0) & (values <= LONGEST))
    classes = tuple(sorted(set(names)))
    return Trace(classes, tuple(np.sort(values[names == name]) for name in classes))


def _table(path: str) -> pa.Table:
    """The two columns, the classes as text; of a CSV file both are text."""
    table = read_table(path, COLUMNS, "trace")
    try:
        classes = table["device_class"].cast(pa.string())
    except pa.ArrowException as error:
        reason = " ".join(str(error).split())
        raise DataError(f"cannot read the trace {path!r}: {reason}") from None
    return table.set_column(0, "device_class", classes)


def _check_rows(path: str, table: pa.Table, unnamed: np.ndarray, is_usable: np.ndarray) -> None:
    """Raise DataError for the first row that lacks a class or has a duration out of range."""
    bad = np.flatnonzero(unnamed | ~is_usable)
    if not len(bad):
        return
    row = int(bad[0])
    if unnamed[row]:
        raise DataError(f"trace {path!r}, row {row + 1}: device_class is missing")
    raise DataError(
        f"trace {path!r}, row {row + 1}: duration must be a positive number, "
        f"got {shown(table, 'duration', row)} "
        f"(the longest that can be is {LONGEST:g})"
    )
