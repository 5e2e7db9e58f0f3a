"""Tables of numbers that a user's CSV or Parquet file holds, read and checked column by column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

from ..config import disk
from ..config.parquet import read_parquet
from ..config.words import few, show
from ..data.errors import DataError

LONGEST_REASON, LONGEST_NAME = 200, 40  # characters
LARGEST_FILE = 10**9  # bytes; some ten million rows
NUMBERS = (
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null),
    *(pa.types.is_string, pa.types.is_large_string),  # a CSV file holds nothing else
)
"""What a column of numbers may be of."""


def stamp(path: str, what: str) -> tuple[int, int]:
    """When a file was changed and its bytes: by these it is known whether it must be read anew.

    Args:
        path: where it is.
        what: what it is called in a message: "trace".
    Raises:
        DataError: it cannot be read, or is too large.
    """
    try:
        stat = disk.stamp(path)
    except (OSError, ValueError) as error:  # a name with a zero character is a ValueError
        reason = error.strerror if isinstance(error, OSError) else "no file has such a name"
        raise DataError(f"cannot read the {what} {path!r}: {reason}") from None
    if stat.st_size > LARGEST_FILE:
        raise DataError(f"the {what} {path!r} has over {LARGEST_FILE:,} bytes; take a part of it")
    return stat.st_mtime_ns, stat.st_size


def read_table(path: str, columns: Sequence[str], what: str) -> pa.Table:
    """The named columns of a ``.csv`` or ``.parquet`` file; of a CSV file all are text.

    Raises:
        DataError: the file cannot be read, lacks a column or has no rows.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise DataError(f"a {what} must be a .csv or .parquet file, got {path!r}")
    try:
        with disk.reading(path) as file:
            table = read_parquet(file) if suffix == ".parquet" else _read_csv(file, columns)
        present = table.column_names
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"cannot read the {what} {path!r}: {_reason(error)}") from None
    for name in columns:
        if present.count(name) != 1:
            names = few(name[:LONGEST_NAME] for name in present)
            raise DataError(f"{what} {path!r} must have one column {name!r}; it has {names}")
    if not table.num_rows:
        raise DataError(f"{what} {path!r} has no rows")
    return table.select(list(columns))


def numbers(table: pa.Table, name: str, path: str, what: str) -> np.ndarray:
    """A column as ``float64[rows]``; not a number where a cell holds none.

    Raises:
        DataError: it cannot hold numbers.
    """
    kind = table[name].type
    if not any(is_kind(kind) for is_kind in NUMBERS):
        raise DataError(f"{what} {path!r}: the column {name} must hold numbers, not {kind}")
    cells = pd.Series(table[name].to_pylist(), dtype=object)
    return np.asarray(pd.to_numeric(cells, errors="coerce"), np.float64)


def client_numbers(table: pa.Table, path: str, what: str, num_clients: int) -> np.ndarray:
    """The column ``client``, ``int64[rows]``: 0 to ``num_clients - 1``.

    Raises:
        DataError: a row names another client; the message says which row, counted from 1.
    """
    found = numbers(table, "client", path, what)
    with np.errstate(invalid="ignore"):
        is_known = (found >= 0) & (found < num_clients) & (found == np.floor(found))
    bad = np.flatnonzero(~is_known)
    if len(bad):
        raise DataError(
            f"{what} {path!r}, row {bad[0] + 1}: clients are numbered 0 to {num_clients - 1} "
            f"(num_clients={num_clients}), got {shown(table, 'client', int(bad[0]))}"
        )
    return found.astype(np.int64)


def shown(table: pa.Table, name: str, row: int) -> str:
    """A cell as a message shows it."""
    value = table[name][row].as_py()
    return "nothing" if value in (None, "") else show(value)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:LONGEST_REASON]


def _read_csv(file: IO[bytes], columns: Sequence[str]) -> pa.Table:
    text = {name: pa.string() for name in columns}
    options = pyarrow.csv.ConvertOptions(column_types=text, strings_can_be_null=False)
    return pyarrow.csv.read_csv(file, convert_options=options)
