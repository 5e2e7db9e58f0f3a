"""What is found where the engine and the oracle do not agree."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any


class Difference(AssertionError):
    """Something that must hold does not; the message names the place."""


def expect(is_so: bool, what: str) -> None:
    """Raise Difference where something is not so, even where Python leaves assertions out."""
    if not is_so:
        raise Difference(what)


def expect_equal(place: str, ours: Any, theirs: Any) -> None:
    """Raise Difference where the engine and the oracle say different things of one place."""
    if not is_like(ours, theirs):
        raise Difference(f"{place}: the engine says {ours!r}, the oracle {theirs!r}")


def expect_column(place: str, ours: Sequence[Any], theirs: Sequence[Any]) -> None:
    """The same of two columns, the first unequal row."""
    if ours == theirs:
        return
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        expect_equal(f"{place}, row {number}", one, other)
    expect_equal(f"{place}, number of rows", len(ours), len(theirs))


def is_like(one: Any, other: Any, tolerance: float = 0.0) -> bool:
    """Whether two numbers are equal, or within a relative tolerance; nothing is like nothing."""
    if isinstance(one, float) and isinstance(other, float) and (one != one or other != other):
        return one != one and other != other
    if tolerance and isinstance(one, float) and math.isfinite(one) and math.isfinite(other):
        return abs(one - other) <= tolerance * abs(other)
    return one == other


def are_like(ours: Iterable[Any], theirs: Iterable[Any], tolerance: float) -> bool:
    """Whether two columns of one length are, row for row."""
    pairs = zip(ours, theirs, strict=True)
    return all(is_like(one, other, tolerance) for one, other in pairs)
