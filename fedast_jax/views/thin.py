"""Curves with fewer points that still show what matters: their extremes and what must be kept."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np

Table = Any
"""A DataFrame whose columns are known by name; checkers know nothing of them."""
DIGITS = 6  # of a number on a page


def thinned(values: np.ndarray, most: int, always: Iterable[int] = ()) -> np.ndarray:
    """Which points of a curve to show: ``int64[kept]``, rising.

    The first, the last and those of ``always`` are kept, and of as many equal stretches as there
    is room for the lowest and the highest: no peak is lost.

    Args:
        values: the curve; what is not finite is never an extreme.
        most: points at best; those that must be kept may be more.
        always: places that must be kept.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    kept = {0, count - 1, *always}
    edges = np.linspace(0, count, max(1, (most - len(kept)) // 2) + 1).astype(np.int64)
    for start, stop in pairwise(edges.tolist()):
        kept |= _extremes(values[start:stop], start)
    return np.array(sorted(kept), np.int64)


def _extremes(stretch: np.ndarray, start: int) -> set[int]:
    finite = np.flatnonzero(np.isfinite(stretch))
    if not len(finite):
        return set()
    known = stretch[finite]
    return {start + int(finite[known.argmin()]), start + int(finite[known.argmax()])}


def plain_numbers(values: Any) -> list[float | int | None]:
    """As JSON has them: six digits, whole where they are, None for what is no number."""
    return [_plain(value) for value in np.asarray(values, np.float64).tolist()]


def _plain(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short
