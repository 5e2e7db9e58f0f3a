"""How much sooner: time gains over paired seeds, and intervals by bootstrap.

Reference:
    Askin et al., UAI 2024, Section 5.3: Gain = (T_baseline - T_FedAST) / T_baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

NUM_RESAMPLES = 10_000
LEAST_SEEDS = 3  # fewer have no interval: there is next to nothing to resample
LEVEL = 0.95  # of the intervals

Statistic = Callable[[np.ndarray], np.ndarray]
"""``float[..., seeds, columns] -> float[...]``"""


def gain(first: np.ndarray, baseline: np.ndarray) -> dict[str, Any]:
    """How much sooner ``first`` is there than ``baseline``, from the means over common seeds.

    Args:
        first, baseline: simulated times of the same seeds in the same order, no number where the
            target was not met.
    Returns:
        ``mean`` (a share: 0.4 is 40% sooner), ``low`` and ``high`` of the 95% interval,
        ``num_seeds`` in which both got there, ``num_paired`` seeds in all, ``share_reached`` of
        both, and ``reason`` where a number is None.
    """
    both = np.isfinite(first) & np.isfinite(baseline)
    num_seeds = int(both.sum())
    counts = {
        "num_seeds": num_seeds,
        "num_paired": len(both),
        "share_reached": {
            "first": _share(np.isfinite(first)),
            "baseline": _share(np.isfinite(baseline)),
        },
    }
    if not num_seeds:
        return no_gain("in no seed do both meet the target") | counts
    times = np.stack([first[both], baseline[both]], axis=1)
    low, high = interval(times, _gain)
    reason = None if low is not None else few_seeds(num_seeds)
    return {"mean": float(_gain(times)), "low": low, "high": high, "reason": reason} | counts


def no_gain(reason: str) -> dict[str, Any]:
    """A gain that cannot be computed, and why."""
    return {"mean": None, "low": None, "high": None, "reason": reason}


def few_seeds(num_seeds: int, which: str = "that meet the target") -> str:
    """Why there is no interval."""
    return f"an interval needs at least {LEAST_SEEDS} seeds {which}, got {num_seeds}"


def interval(values: np.ndarray, statistic: Statistic) -> tuple[float | None, float | None]:
    """The 95% percentile interval of a statistic, seeds drawn with replacement.

    The draws depend on the number of seeds alone, so equal data give equal intervals.

    Args:
        values: ``float[seeds, columns]``, a seed's numbers side by side.
        statistic: of a sample.
    """
    if len(values) < LEAST_SEEDS:
        return None, None
    from scipy.stats import bootstrap  # takes most of a second, for comparisons alone

    def of_columns(*columns: np.ndarray, axis: int) -> np.ndarray:
        return statistic(np.stack([np.moveaxis(one, axis, -1) for one in columns], axis=-1))

    found = bootstrap(
        values.T,
        of_columns,
        n_resamples=NUM_RESAMPLES,
        paired=True,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def mean_interval(values: np.ndarray) -> tuple[float | None, float | None]:
    """The interval of the mean of ``float[seeds]``."""
    return interval(values[:, None], lambda drawn: drawn.mean(axis=(-2, -1)))


def _gain(times: np.ndarray) -> np.ndarray:
    first, baseline = np.moveaxis(times.mean(axis=-2), -1, 0)
    return (baseline - first) / baseline


def _share(reached: np.ndarray) -> float | None:
    return float(reached.mean()) if len(reached) else None
