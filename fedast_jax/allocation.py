"""Option D: how the server shares its requests out among the tasks (Algorithms 3 and 4)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

import numpy as np

NUM_UPDATES = 8  # V: updates that an estimate rests on
PERIOD = 0.75  # c_period = PERIOD * unfinished tasks * sum of R, in arrivals


def sigma_hat(spread: float, scale: float) -> float:
    """EstimateVariances (Algorithm 4): ``sqrt(eta_c eta_s tau * spread)``.

    Args:
        spread: ``(1/V) sum ||Delta_i - mean||^2 / ||mean||^2`` of a task's last V updates.
        scale: eta_c eta_s tau.
    """
    return float(np.sqrt(scale * spread))


def share_out(weights: Sequence[float], total: int) -> list[int]:
    """Integers in proportion to weights that add up to ``total``, each at least 1 (Algorithm 3).

    The largest remainders are rounded up, ties to the first; what falls short of 1 is taken from
    the largest share. Weights that say nothing (none positive, or one not finite) count as equal.

    Raises:
        ValueError: ``total`` is less than the number of weights.
    """
    if total < len(weights):
        raise ValueError(f"cannot give each of {len(weights)} tasks one of {total} requests")
    if not all(np.isfinite(weights)) or min(weights) < 0 or not any(weights):
        weights = [1.0] * len(weights)
    parts = [Fraction(weight) for weight in weights]  # exact: ties are ties
    exact = [total * part / sum(parts) for part in parts]
    counts = np.array([floor(share) for share in exact])
    by_remainder = sorted(range(len(exact)), key=lambda one: counts[one] - exact[one])
    counts[by_remainder[: total - int(counts.sum())]] += 1
    while counts.min() < 1:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return counts.tolist()
