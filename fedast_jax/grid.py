"""The settings of a sweep: values by dotted key; keys joined by a comma vary together.

``{"a.b": [1, 3], "c, d": [[0, 100], [1, 200]]}`` has two axes of two values, so four points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

Point = dict[str, Any]  # dotted key -> value

NOT_SWEPT = {
    "name": "it names the whole sweep",
    "algorithm": "use compare",
    "allocation": 'use compare = ["fedast:static", "fedast:dynamic"]',
    "compare": "it holds for every setting",
    "sweep": "it is the sweep",
    "seed": "use num_seeds",
    "num_seeds": "it holds for every setting",
    "paired_seeds": "it holds for every setting",
}


def axis_keys(axis: str) -> list[str]:
    """The keys that vary together along one axis."""
    return [key.strip() for key in axis.split(",")]


def points(grid: Mapping[str, Sequence[Any]]) -> list[Point]:
    """Every combination of the axes' values, the last axis fastest; one empty point of no axes."""
    axes = [
        [dict(zip(axis_keys(axis), _parts(axis, value), strict=True)) for value in values]
        for axis, values in grid.items()
    ]
    return [
        {key: value for part in parts for key, value in part.items()} for parts in product(*axes)
    ]


def check_grid(grid: Mapping[str, Sequence[Any]]) -> None:
    """Raise ValueError where an axis is empty, uneven or repeated, or must not be swept."""
    seen: set[str] = set()
    for axis, values in grid.items():
        keys = axis_keys(axis)
        for key in keys:
            if key in NOT_SWEPT:
                raise ValueError(f"{key!r} cannot be swept: {NOT_SWEPT[key]}")
            if key in seen or not key:
                raise ValueError(f"each key must be there once, got {key!r} in {axis!r} again")
            seen.add(key)
        if not values:
            raise ValueError(f"{axis!r} has no values; give at least one")
        for place, value in enumerate(values):
            if len(keys) > 1 and not (isinstance(value, list | tuple) and len(value) == len(keys)):
                raise ValueError(f"{axis!r} needs lists of {len(keys)} values, got {value!r}")
            if value in values[:place]:
                raise ValueError(f"{axis!r} has the value {value!r} twice; leave one out")


def flat_keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested tables."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat_keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parts(axis: str, value: Any) -> Sequence[Any]:
    return value if len(axis_keys(axis)) > 1 else [value]
