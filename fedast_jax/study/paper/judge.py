"""Does a claim hold? A number over paired seeds, its interval, and the range the claim puts it in.

Intervals are ``study.gains.interval``: 95%, by bootstrap over the seeds. Of three seeds that is
about their range, so a verdict of three seeds is a weak one; the number of seeds stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..gains import LEAST_SEEDS, Statistic, few_seeds, interval

HOLDS = "holds"
FAILS = "does not hold"
OPEN = "cannot tell"
TWO_SIDED = 1.96  # standard errors on either side of a mean: 95%
MOST_SEEDS = 10_000  # beyond these no number is named
PERCENT = "{:.1%}"  # how a share is written


@dataclass(frozen=True)
class Claim:
    """What the paper says, as the range in which a number has to lie."""

    words: str
    paper: str  # its own number, as it stands there; "" where it gives none
    values: np.ndarray  # float[seeds, columns]: what the number is computed from
    statistic: Statistic  # the number
    low: float = -math.inf  # of the claim's range
    high: float = math.inf
    form: str = "{:.3g}"  # how the number is written
    needs_paper: bool = False  # the paper's number can only be met at the paper's settings


class Verdict(NamedTuple):
    """A claim and what the seeds say of it."""

    words: str
    paper: str
    verdict: str  # ``HOLDS``, ``FAILS`` or ``OPEN``
    estimate: float | None
    interval: tuple[float, float] | None  # 95%
    claimed: tuple[float | None, float | None]  # the claim's range; None: no end
    num_seeds: int
    seeds_needed: int | None  # where the seeds cannot tell: how many would, from their spread
    reason: str | None  # where they cannot tell
    form: str

    def to_json(self) -> dict[str, Any]:
        """As ``claims.json`` has it."""
        return self._asdict()


def judge(claim: Claim) -> Verdict:
    """``HOLDS`` where the whole interval lies in the claim's range, ``FAILS`` where none of it."""
    values = claim.values[np.isfinite(claim.values).all(axis=1)]
    estimate = float(claim.statistic(values)) if len(values) else None
    low, high = interval(values, claim.statistic)
    found = None if low is None or high is None else (low, high)
    verdict = _verdict(claim, found)
    is_open = verdict == OPEN
    return Verdict(
        words=claim.words,
        paper=claim.paper,
        verdict=verdict,
        estimate=estimate,
        interval=found,
        claimed=(_finite(claim.low), _finite(claim.high)),
        num_seeds=len(values),
        seeds_needed=_seeds_needed(claim, values) if is_open else None,
        reason=_reason(len(values), found) if is_open else None,
        form=claim.form,
    )


def _verdict(claim: Claim, found: tuple[float, float] | None) -> str:
    if found is None or not np.isfinite(found).all():
        return OPEN
    low, high = found
    if claim.low < low and high < claim.high:
        return HOLDS
    return FAILS if high <= claim.low or low >= claim.high else OPEN


def _reason(num_seeds: int, found: tuple[float, float] | None) -> str:
    if found is None:
        return few_seeds(num_seeds, "that have the number")
    return "the interval reaches over the end of what is claimed"


def _seeds_needed(claim: Claim, values: np.ndarray) -> int | None:
    """So many that the interval, of the width seen, ends before the claim's nearest end."""
    if len(values) < 2:
        return LEAST_SEEDS
    estimate, spread = float(claim.statistic(values)), _spread(values, claim.statistic)
    distance = min(abs(estimate - end) for end in (claim.low, claim.high))
    if not math.isfinite(spread) or not math.isfinite(distance) or distance == 0:
        return None
    number = math.ceil((TWO_SIDED * spread / distance) ** 2)
    least = LEAST_SEEDS if len(values) < LEAST_SEEDS else len(values) + 1
    return max(number, least) if number <= MOST_SEEDS else None


def _spread(values: np.ndarray, statistic: Statistic) -> float:
    """The standard deviation of one seed's part in the number, by the jackknife."""
    count = len(values)
    others = np.stack([np.delete(values, seed, axis=0) for seed in range(count)])
    each = np.asarray(statistic(others), np.float64)
    return math.sqrt((count - 1) * float(((each - each.mean()) ** 2).sum()))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def difference(values: np.ndarray) -> np.ndarray:
    """Mean of the first column less that of the second."""
    means = values.mean(axis=-2)
    return means[..., 0] - means[..., 1]


def time_gain(values: np.ndarray) -> np.ndarray:
    """How much sooner the first column is than the second, as a share (Section 5.3)."""
    means = values.mean(axis=-2)
    return 1 - means[..., 0] / means[..., 1]


def mean(values: np.ndarray) -> np.ndarray:
    """Of the only column."""
    return values[..., 0].mean(axis=-1)


def slope(places: np.ndarray) -> Statistic:
    """The slope of the columns' means over their places, by least squares."""
    centred = np.asarray(places, np.float64) - np.mean(places)

    def of(values: np.ndarray) -> np.ndarray:
        return (values.mean(axis=-2) * centred).sum(axis=-1) / (centred**2).sum()

    return of


def gains(values: np.ndarray) -> np.ndarray:
    """Of column pairs, each a method's time and the baseline's: ``float[..., pairs]``."""
    means = values.mean(axis=-2)
    return 1 - means[..., ::2] / means[..., 1::2]


def least_gain(values: np.ndarray) -> np.ndarray:
    """Of all pairs."""
    return gains(values).min(axis=-1)


def largest_gain(values: np.ndarray) -> np.ndarray:
    """Of all pairs."""
    return gains(values).max(axis=-1)


def slope_of_gains(places: np.ndarray) -> Statistic:
    """As ``slope``, of the pairs' gains."""
    rising = slope(places)
    return lambda values: rising(gains(values)[..., None, :])


def above_best(values: np.ndarray) -> np.ndarray:
    """How far the first column's mean lies above the least of the others, as a share of that."""
    means = values.mean(axis=-2)
    return means[..., 0] / means[..., 1:].min(axis=-1) - 1


def lead(values: np.ndarray) -> np.ndarray:
    """How far the first column's mean lies above the largest of the others."""
    means = values.mean(axis=-2)
    return means[..., 0] - means[..., 1:].max(axis=-1)


def largest(values: np.ndarray) -> np.ndarray:
    """The largest of the columns' means."""
    return values.mean(axis=-2).max(axis=-1)


def ratio(values: np.ndarray) -> np.ndarray:
    """The first column's mean by the second's."""
    means = values.mean(axis=-2)
    return means[..., 0] / means[..., 1]


def log_slope(places: np.ndarray) -> Statistic:
    """As ``slope``, of the means' logarithms over those of their places."""
    rising = slope(np.log(places))
    return lambda values: rising(np.log(values.mean(axis=-2))[..., None, :])
