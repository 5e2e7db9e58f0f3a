"""The settings of a sweep: values by dotted key; keys joined by a comma vary together.

``{"a.b": [1, 3], "c, d": [[0, 100], [1, 200]]}`` has two axes of two values, so four points.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from .bounds import MOST_SETTINGS
from .words import show

Point = dict[str, Any]  # dotted key -> value

NOT_SWEPT = {
    "name": "it names the whole sweep",
    "algorithm": "use study.compare",
    "allocation": 'use study.compare = ["fedast:static", "fedast:dynamic"]',
    "seed": "use num_seeds",
    "num_seeds": "it holds for every setting",
    "study": "it holds for every setting",
    "machine": "it holds for every setting, for all run together",
}
"""Why not, by a key or the table that it is in."""


def axis_keys(axis: str) -> list[str]:
    """The keys that vary together along one axis."""
    return [key.strip() for key in axis.split(",")]


def short_name(axis: str) -> str:
    """The last parts of an axis' keys, each once: ``"buffer_size"``."""
    return ", ".join(dict.fromkeys(key.rpartition(".")[2] for key in axis_keys(axis)))


def value_name(axis: str, value: Any) -> str:
    """A value as a person reads it: one number where all keys of the axis share it."""
    parts = [str(part) for part in _parts(axis, value)]
    is_one = "," not in short_name(axis) and len(set(parts)) == 1
    return parts[0] if is_one else ", ".join(parts)


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
    num_settings = prod(map(len, grid.values()))
    if num_settings > MOST_SETTINGS:
        raise ValueError(
            f"a sweep has at most {MOST_SETTINGS:,} settings, got {num_settings:,}; leave some out"
        )
    seen: set[str] = set()
    for axis, values in grid.items():
        keys = axis_keys(axis)
        for key in keys:
            reason = NOT_SWEPT.get(key.partition(".")[0])
            if reason is not None:
                raise ValueError(f"{key!r} cannot be swept: {reason}")
            if key in seen or not key:
                raise ValueError(f"each key must be there once, got {key!r} in {axis!r} again")
            seen.add(key)
        if not values:
            raise ValueError(f"{axis!r} has no values; give at least one")
        for place, value in enumerate(values):
            if len(keys) > 1 and not (isinstance(value, list | tuple) and len(value) == len(keys)):
                raise ValueError(f"{axis!r} needs lists of {len(keys)} values, got {show(value)}")
            if value in values[:place]:
                raise ValueError(f"{axis!r} has the value {show(value)} twice; leave one out")


def parse_axis(option: str) -> tuple[str, list[Any]]:
    """``KEY=VALUE,VALUE`` or ``KEY,KEY=[VALUE,VALUE],...``, values in TOML, bare words as strings.

    Raises:
        ValueError: it does not read so.
    """
    axis, sign, text = option.partition("=")
    if not sign or not axis.strip():
        raise ValueError(f"a grid must read KEY=VALUE,VALUE,..., got {option!r}")
    if not text.strip():
        raise ValueError(f"{axis.strip()!r} has no values; give at least one")
    values = parse_value(f"[{text}]")
    return axis.strip(), values if isinstance(values, list) else list(
        map(parse_value, text.split(","))
    )


def parse_value(text: str) -> Any:
    """A TOML value; what is none is a string.

    Raises:
        ValueError: a number with thousands of digits, or lists too deep in each other.
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
    except RecursionError:
        raise ValueError("its lists or tables lie too deep in each other") from None
    except ValueError:
        raise ValueError("it has a number of thousands of digits") from None


def flat_keys(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested tables."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flat_keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parts(axis: str, value: Any) -> Sequence[Any]:
    return value if len(axis_keys(axis)) > 1 else [value]
