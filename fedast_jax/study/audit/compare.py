"""Tables and texts beside what they should be: the first place at which they differ."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ...config import disk
from ..recorded import reading
from .findings import Difference


def _types(table: pa.Table) -> list[str]:
    return [str(kind).removeprefix("large_") for kind in table.schema.types]


def check_rows(file: str, expected: pa.Table, found: pa.Table, rows: Sequence[int]) -> None:
    """Raise Difference at the first row that differs; of a row the first column.

    Args:
        file: its name.
        expected, found: some rows of it.
        rows: where in the file those found are.
    """
    _check_schema(file, expected, found)
    places = [
        (row, number, name)
        for number, name in enumerate(expected.column_names)
        if (row := _first_unequal(expected[name], found[name])) is not None
    ]
    if places:
        row, _, name = min(places)
        one, other = (repr(table[name][row].as_py()) for table in (expected, found))
        raise Difference(file, one, other, int(rows[row]), name)
    if len(expected) != len(found):
        place = min(len(expected), len(found))
        row = int(rows[place]) if place < len(rows) else None
        raise Difference(file, f"{len(expected)} rows", f"{len(found)} rows", row)


def _check_schema(file: str, expected: pa.Table, found: pa.Table) -> None:
    for name, one, other in (
        ("columns", expected.column_names, found.column_names),
        ("types", _types(expected), _types(found)),
    ):
        if one != other:
            raise Difference(file, one, other, column=name)


def _first_unequal(expected: pa.ChunkedArray, found: pa.ChunkedArray) -> int | None:
    """Of two columns, as far as both go; what is no number equals itself."""
    length = min(len(expected), len(found))
    one, other = (column.slice(0, length).to_numpy() for column in (expected, found))
    is_equal = one == other
    if one.dtype.kind == "f":
        is_equal |= np.isnan(one) & np.isnan(other)
    unequal = np.flatnonzero(~np.asarray(is_equal, bool))
    return int(unequal[0]) if len(unequal) else None


def read_json(path: Path) -> Any:
    """Any JSON file of a folder."""
    with reading(path):
        return json.loads(disk.read_text(path))


def check_json(file: str, expected: Any, found: Any) -> None:
    """Raise Difference at the first entry of a JSON file that is not as expected."""
    expected = json.loads(json.dumps(expected))
    ours, theirs = dict(_entries(expected)), dict(_entries(found))
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        one, other = ours.get(key, "nothing"), theirs.get(key, "nothing")
        if one != other or type(one) is not type(other):
            raise Difference(file, _show(one), _show(other), column=key)


def _entries(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every number and word of JSON by its dotted key; what is empty stands for itself."""
    if isinstance(content, Mapping) and content:
        for name, value in content.items():
            yield from _entries(value, f"{key}.{name}" if key else name)
    elif isinstance(content, list) and content:
        for number, value in enumerate(content):
            yield from _entries(value, f"{key}[{number}]")
    else:
        yield key, content


def _show(value: Any) -> str:
    return value if value == "nothing" else repr(value)


def is_close(expected: float, found: float, absolute: float, relative: float = 0.0) -> bool:
    """Within a tolerance; what is no number is like itself."""
    if not (math.isfinite(expected) and math.isfinite(found)):
        return expected == found or (math.isnan(expected) and math.isnan(found))
    return abs(expected - found) <= absolute + relative * abs(expected)
