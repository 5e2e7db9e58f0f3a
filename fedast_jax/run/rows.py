"""Rows of a pool, copied from the device and back: what a checkpoint holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from ..engine.aggregate import write_rows

ROWS_MOVED = 8  # that are copied at once


class UsedRows(NamedTuple):
    """Rows of a pool that hold something."""

    versions: list[int]
    updates: list[int]


class Contents(NamedTuple):
    """What they hold: an entry along the first axis for each row."""

    versions: np.ndarray
    updates: np.ndarray
    losses: np.ndarray  # of the updates


_gather = jax.jit(lambda array, rows: array[rows])
_scatter = jax.jit(write_rows, donate_argnums=0)


def read_rows(array: jax.Array, rows: Sequence[int]) -> np.ndarray:
    """Rows of an array on the device, a few at a time: the rest stays where it is."""
    values = np.empty((len(rows), *array.shape[1:]), array.dtype)
    for start in range(0, len(rows), ROWS_MOVED):
        part = values[start : start + ROWS_MOVED]
        padded = np.zeros(ROWS_MOVED, np.int32)
        padded[: len(part)] = rows[start : start + ROWS_MOVED]
        part[:] = np.asarray(_gather(array, padded))[: len(part)]
    return values


def put_rows(array: jax.Array, rows: Sequence[int], values: np.ndarray) -> jax.Array:
    """Put values into rows."""
    for start in range(0, len(rows), ROWS_MOVED):
        part = values[start : start + ROWS_MOVED]
        places = np.arange(len(array), len(array) + ROWS_MOVED, dtype=np.int32)  # beyond the rows
        places[: len(part)] = rows[start : start + ROWS_MOVED]
        padded = np.zeros((ROWS_MOVED, *array.shape[1:]), array.dtype)
        padded[: len(part)] = part
        array = _scatter(array, places, padded)
    return array
