"""Time gains: worked by hand, what is refused, and that the intervals cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedast_jax.study.gains import LEAST_SEEDS, gain, mean_interval

NAN = math.nan


def test_a_gain_by_hand():
    """Means 6 and 10 over the seeds in which both got there: the third and fourth are left out."""
    found = gain(np.array([5.0, 7.0, 1.0, NAN]), np.array([8.0, 12.0, NAN, 2.0]))
    assert found["mean"] == pytest.approx(0.4)
    assert (found["num_seeds"], found["num_paired"]) == (2, 4)
    assert found["share_reached"] == {"first": 0.75, "baseline": 0.75}
    assert found["low"] is found["high"] is None
    assert f"at least {LEAST_SEEDS}" in found["reason"]
    assert "got 2" in found["reason"]


def test_the_interval_of_equal_pairs_is_a_point():
    found = gain(np.full(3, 6.0), np.full(3, 8.0))
    assert (found["mean"], found["low"], found["high"]) == (0.25, 0.25, 0.25)
    assert found["reason"] is None


def test_seeds_stay_paired():
    """Times differ by a factor of 100 between seeds, but each is 20% sooner than its partner."""
    baseline = np.array([1.0, 10.0, 100.0, 3.0])
    found = gain(0.8 * baseline, baseline)
    assert (found["low"], found["high"]) == (pytest.approx(0.2), pytest.approx(0.2))


def test_a_slower_method_has_a_negative_gain():
    assert gain(np.array([3.0]), np.array([2.0]))["mean"] == pytest.approx(-0.5)


def test_no_common_seed_is_no_gain():
    found = gain(np.array([NAN, 2.0]), np.array([1.0, NAN]))
    assert found["mean"] is found["low"] is found["high"] is None
    assert "no seed" in found["reason"]


def test_the_interval_of_three_seeds_by_enumeration():
    """Of the 27 samples the mean is 1 or 9 in one each (3.7%): beyond the 2.5% on either side."""
    low, high = mean_interval(np.array([1.0, 5.0, 9.0]))
    assert (low, high) == (1.0, 9.0)


def test_intervals_cover_the_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        low, high = mean_interval(rng.normal(10, 2, 20))
        assert low is not None
        assert high is not None
        hits += low <= 10 <= high
    assert 0.88 <= hits / 200 <= 0.99  # 95% in the limit; percentile intervals of 20 are narrower


def test_equal_data_give_equal_intervals():
    values = np.random.default_rng(2).normal(size=12)
    assert mean_interval(values) == mean_interval(values.copy())
