"""Nested plain values as JSON and flat arrays, exactly: what a checkpoint file is made of.

Values are None, bool, int, float, str, lists, tuples, dicts, columns (``array.array``), NumPy
arrays and NumPy scalars, nested at will. Anything else is refused when it is written, not when it
is read.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np

LARGE = 1 << 20  # bytes from which an array is kept by itself; smaller ones of a type are joined


class Joined:
    """Arrays on their way into few entries: a file of ten thousand entries would be slow."""

    def __init__(self) -> None:
        self._large: list[np.ndarray] = []
        self._small: dict[str, list[np.ndarray]] = {}
        self._length: dict[str, int] = {}

    def add(self, values: np.ndarray) -> list[Any]:
        """Take an array; return where it will be: entry, offset, shape."""
        if values.dtype.hasobject or values.dtype.names:
            raise TypeError(f"an array of {values.dtype} cannot be kept in a checkpoint")
        if values.nbytes >= LARGE:
            self._large.append(values)
            return [f"large_{len(self._large) - 1}", 0, list(values.shape)]
        name = f"small_{values.dtype.str}"
        values = values.view(values.dtype.str)  # C's long long becomes int64
        offset = self._length.get(name, 0)
        self._small.setdefault(name, []).append(values.ravel())
        self._length[name] = offset + values.size
        return [name, offset, list(values.shape)]

    def entries(self) -> dict[str, np.ndarray]:
        """Every entry by its name."""
        small = {name: _concatenate(parts) for name, parts in self._small.items()}
        return small | {f"large_{index}": values for index, values in enumerate(self._large)}


def _concatenate(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts, dtype=parts[0].dtype)  # without it the byte order is lost


def flatten(value: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """A value as what JSON can hold, and the arrays that it refers to.

    Raises:
        TypeError: a value of another type; the message names it.
    """
    joined = Joined()
    return _encode(value, joined), joined.entries()


def unflatten(tree: Any, entries: Mapping[str, np.ndarray]) -> Any:
    """The inverse of ``flatten``: equal values of equal types."""
    if isinstance(tree, list):
        return [unflatten(item, entries) for item in tree]
    if not isinstance(tree, dict):
        return tree
    ((tag, content),) = tree.items()
    if tag == "tuple":
        return tuple(unflatten(item, entries) for item in content)
    if tag == "dict":
        return {unflatten(key, entries): unflatten(item, entries) for key, item in content}
    values = _cut_out(entries, *content[:3])
    if tag == "column":
        return array(content[3], values.tobytes())
    return values[()] if tag == "scalar" else values


def _encode(value: Any, joined: Joined) -> Any:
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_encode(item, joined) for item in value]
    if kind is tuple:
        return {"tuple": [_encode(item, joined) for item in value]}
    if kind is dict:
        pairs = [[_encode(key, joined), _encode(item, joined)] for key, item in value.items()]
        return {"dict": pairs}
    if kind is array:
        return {"column": [*joined.add(np.array(value)), value.typecode]}
    if kind is np.ndarray:
        return {"array": joined.add(value)}
    if isinstance(value, np.generic):
        return {"scalar": joined.add(np.asarray(value))}
    raise TypeError(f"a {kind.__name__} cannot be kept in a checkpoint, got {value!r}")


def _cut_out(
    entries: Mapping[str, np.ndarray], name: str, offset: int, shape: list[int]
) -> np.ndarray:
    """An array of its own, but for a large one, which is an entry of its own."""
    flat = entries[name]
    if name.startswith("large"):
        return flat.reshape(shape)
    size = int(np.prod(shape, dtype=np.int64))
    return flat[offset : offset + size].reshape(shape).copy()
