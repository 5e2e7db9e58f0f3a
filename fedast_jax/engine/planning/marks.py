"""What a method must know of each update that a round uses: weight, age, what came before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...algorithms.methods.bound import Bound
from .schedule import Marks


class RoundsToMark(NamedTuple):
    """New rounds of a lane."""

    version: int  # that the first of them starts from
    ends: Sequence[int]  # requests used when each closed
    num_active: Sequence[int]  # R_m when each closed


def mark_requests(
    method: Bound, rounds: RoundsToMark, bases: Sequence[int], previous: Sequence[int | None]
) -> Marks:
    """The marks of the requests that rounds use.

    Args:
        method: of the lane.
        rounds: new ones.
        bases: the version that each request trains from.
        previous: of each request that a round uses, what came before it.
    """
    staleness: list[int] = []
    weights: list[float] = []
    for number, (end, num_active) in enumerate(zip(rounds.ends, rounds.num_active, strict=True)):
        ages = [rounds.version + number - base for base in bases[len(staleness) : end]]
        staleness += ages
        weights += [method.weight(age, num_active) for age in ages]
    return Marks(weights, staleness, previous, rounds.num_active)
