"""The paper or the authors' program: what differs where the two do not agree.

The authors' public code departs from the paper in a number of places; with
``fidelity = "authors"`` this program does the same, so that published curves can be met.
docs/differences.md lists all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from math import floor, isfinite

from ..config.settings import Config
from .allocation import Rules

GRANULE = 32  # R_m in multiples of this; b_m is one for each begun one in flight
WINDOW = 7  # updates that one estimate rests on
LEAST_ROUNDS = 8  # no reallocation before every task has more


def authors_scale(eta_c: float, eta_s: float, tau: int) -> float:
    """``eta_s eta_c / (eta_c tau)^2``, where the paper has eta_c eta_s tau."""
    return eta_s * eta_c / (eta_c * tau) ** 2


def authors_weight(spread: float, scale: float) -> float:
    """Half of sigma^2, where the paper takes the square root: R follows the variance itself."""
    return scale * spread / 2


def share_out_granules(weights: Sequence[float], total: int, granule: int) -> list[int]:
    """Multiples of ``granule`` that add up to ``total``, at least one of them for each weight.

    Everyone has one; each of the others goes to who is furthest below its share (rounded down), of
    equals the first. Weights that say nothing (none positive, or one not finite) count as equal.
    """
    if not all(map(isfinite, weights)) or min(weights) < 0 or not any(weights):
        weights = [1.0] * len(weights)
    parts = [Fraction(weight) for weight in weights]
    wanted = [floor(total * part / sum(parts)) for part in parts]
    counts = [granule] * len(weights)
    while sum(counts) < total:
        below = [want - count for want, count in zip(wanted, counts, strict=True)]
        counts[below.index(max(below))] += granule
    return counts


def authors() -> Rules:
    """The rules of the authors' code."""
    return Rules(
        variance_scale=authors_scale,
        weight=authors_weight,
        share_out=partial(share_out_granules, granule=GRANULE),
        window=WINDOW,
        least_rounds=LEAST_ROUNDS,
        flight_granule=GRANULE,
        starts_late=True,
        at_once=True,
        authors_models=True,
        one_mix=True,
    )


RULES: dict[str, Callable[[], Rules]] = {"paper": Rules, "authors": authors}


def rules_of(config: Config) -> Rules:
    """Whom a configuration follows: the one place that asks."""
    return RULES[config.fidelity]()


def check_granules(num_active: Sequence[int], granule: int) -> None:
    """Raise ValueError where the sum of R cannot be shared out among the tasks in granules."""
    total = sum(num_active)
    if total % granule or total < granule * len(num_active):
        raise ValueError(
            f'with fidelity "authors" option D shares requests out in multiples of {granule}, at '
            f"least one for each task: the num_active of {len(num_active)} tasks must add up to "
            f"such a multiple, got {total}"
        )
