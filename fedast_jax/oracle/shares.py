"""Whole numbers in proportion to weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction


def shared_out(weights: Sequence[float], total: int) -> list[int]:
    """Whole numbers near ``total * weight / sum``: exact fractions, largest remainders first.

    Who would get nothing takes one from whoever has most; of equals, the first.
    """
    known = all(math.isfinite(weight) and weight >= 0 for weight in weights)
    if not known or not any(weights):
        weights = [1.0] * len(weights)
    parts = [Fraction(weight) for weight in weights]
    exact = [part * total / sum(parts) for part in parts]
    counts = [math.floor(one) for one in exact]
    by_remainder = sorted(range(len(parts)), key=lambda one: (counts[one] - exact[one], one))
    for one in by_remainder[: total - sum(counts)]:
        counts[one] += 1
    for one in range(len(counts)):
        if counts[one] == 0:
            counts[counts.index(max(counts))] -= 1
            counts[one] = 1
    return counts
