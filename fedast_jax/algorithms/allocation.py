"""Option D: how the server shares its requests out among the tasks (Algorithms 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Rules:
    """How requests are shared out, and what the first ones train from; the paper's by default."""

    variance_scale: Callable[[float, float, int], float] = lambda eta_c, eta_s, tau: (
        eta_c * eta_s * tau
    )
    """``(eta_c, eta_s, tau) -> factor`` of the spread of a task's updates."""
    weight: Callable[[float, float], float] = sigma_hat
    """``(spread, factor) -> what R_m is in proportion to``."""
    share_out: Callable[[Sequence[float], int], list[int]] = share_out
    """``(weights of the unfinished tasks, sum of R) -> R_m``."""
    window: int | None = None
    """None: the spread of the last V updates. Otherwise the mean, over the arrivals since the last
    reallocation, of the spread of the last ``window`` updates, biases left out."""
    least_rounds: int = -1  # no reallocation before every task has more rounds than this
    flight_granule: int | None = None  # with option D b_m = ceil(A_m / this) after every arrival
    starts_late: bool = False  # the first requests train from the version current at their arrival
