"""Verdicts on made-up seeds: each of them, its interval, and how many seeds would tell."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedast_jax.study.gains import LEAST_SEEDS
from fedast_jax.study.paper import judge as judging
from fedast_jax.study.paper.judge import FAILS, HOLDS, OPEN, Claim, judge


def verdict(*numbers: float, low: float = 0.0, high: float = math.inf):
    """Of the claim that a mean lies between."""
    return judge(Claim("", "", np.array(numbers)[:, None], judging.mean, low, high))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1.0, 2.0, 3.0), HOLDS),
        ((-1.0, -2.0, -3.0), FAILS),
        ((-1.0, 2.0, 3.0), OPEN),
        ((0.0, 0.0, 0.0), FAILS),  # the claim is that it is above 0
        ((5.0, 6.0), OPEN),  # two seeds have no interval, whatever they say
        ((), OPEN),
    ],
)
def test_each_verdict(numbers, expected):
    assert verdict(*numbers).verdict == expected


def test_a_claim_with_two_ends():
    assert verdict(0.40, 0.41, 0.42, low=0.3, high=0.5).verdict == HOLDS
    assert verdict(0.60, 0.61, 0.62, low=0.3, high=0.5).verdict == FAILS
    assert verdict(0.10, 0.11, 0.12, low=0.3, high=0.5).verdict == FAILS
    assert verdict(0.45, 0.50, 0.55, low=0.3, high=0.5).verdict == OPEN


def test_seeds_that_would_tell_by_hand():
    """Mean 1 and standard deviation 4: 1.96 * 4 / sqrt(n) is below 1 from n = 62 on."""
    found = verdict(-3.0, 1.0, 5.0)
    assert found.verdict == OPEN
    assert found.seeds_needed == math.ceil((1.96 * 4) ** 2) == 62
    assert found.reason is not None


def test_so_many_seeds_do_tell():
    """The number named for a few seeds is about that from which on a verdict is usual."""
    rng = np.random.default_rng(3)
    needed = verdict(*(1.0 + 4.0 * np.array([-1.0, 0.0, 1.0]))).seeds_needed
    assert needed is not None
    told = [verdict(*rng.normal(1.0, 4.0, 2 * needed)).verdict == HOLDS for _ in range(40)]
    assert sum(told) >= 28


def test_two_seeds_need_at_least_three():
    assert verdict(5.0, 5.1).seeds_needed == LEAST_SEEDS
    assert verdict(5.0).seeds_needed == LEAST_SEEDS


def test_a_mean_on_the_edge_can_never_be_told():
    assert verdict(-1.0, 0.0, 1.0).seeds_needed is None


def test_seeds_without_a_number_are_left_out():
    found = verdict(1.0, math.nan, 2.0, 3.0)
    assert (found.num_seeds, found.verdict) == (3, HOLDS)


numbers = st.lists(st.integers(-50, 50).map(float), min_size=3, max_size=6)


@given(numbers, st.permutations(range(6)))
def test_the_order_of_seeds_changes_no_estimate(values, order):
    shuffled = [values[place] for place in order if place < len(values)]
    one, other = verdict(*values), verdict(*shuffled)
    assert one.estimate == pytest.approx(other.estimate, abs=1e-12)
    assert one.seeds_needed == other.seeds_needed or OPEN not in (one.verdict, other.verdict)


@given(numbers, st.integers(1, 9))
def test_units_change_no_verdict(values, factor):
    """Of a claim about a sign: seconds or minutes are the same."""
    scaled = [factor * value for value in values]
    assert verdict(*values).verdict == verdict(*scaled).verdict


@given(numbers)
def test_a_claim_and_its_contrary_never_both_hold(values):
    for_it, against = verdict(*values), verdict(*values, low=-math.inf, high=0.0)
    assert {for_it.verdict, against.verdict} != {HOLDS}
    assert (for_it.verdict == HOLDS) <= (against.verdict == FAILS)


@given(numbers, st.floats(0.01, 5.0))
def test_a_wider_claim_holds_where_a_narrower_one_does(values, wider):
    if verdict(*values, low=-1.0, high=1.0).verdict == HOLDS:
        assert verdict(*values, low=-1.0 - wider, high=1.0 + wider).verdict == HOLDS


@given(st.lists(st.tuples(*[st.integers(1, 90).map(float)] * 2), min_size=3, max_size=6))
def test_a_gain_does_not_depend_on_the_unit_of_time(pairs):
    values = np.array(pairs)
    of = [judge(Claim("", "", times, judging.time_gain, low=0)) for times in (values, 7 * values)]
    assert of[0].estimate == pytest.approx(of[1].estimate, abs=1e-12)


def test_statistics_by_hand():
    """Two seeds; columns' means 2 and 4, or 2, 4, 6, 12."""
    two, four = np.array([[1.0, 3.0], [3.0, 5.0]]), np.array([[2.0, 4.0, 6.0, 12.0]] * 2)
    assert judging.difference(two) == -2
    assert judging.time_gain(two) == 0.5
    assert judging.ratio(two) == 0.5
    assert judging.lead(four) == -10
    assert judging.above_best(four) == -0.5
    assert judging.largest(four) == 12
    assert judging.least_gain(four) == judging.largest_gain(four) == 0.5
    assert judging.slope(np.array([0, 1, 2, 3]))(four) == pytest.approx(3.2)
    assert judging.slope_of_gains(np.array([2, 4]))(four) == 0
    assert judging.log_slope(np.array([1, 2]))(two) == pytest.approx(1)


def test_statistics_take_resamples_in_front():
    values = np.random.default_rng(0).uniform(1, 2, (5, 4, 6))
    places = np.arange(6)
    for statistic in (
        judging.difference, judging.time_gain, judging.ratio, judging.lead, judging.above_best,
        judging.largest, judging.least_gain, judging.largest_gain, judging.mean,
        judging.slope(places), judging.slope_of_gains(places[:3]), judging.log_slope(places + 1),
    ):  # fmt: skip
        np.testing.assert_allclose(statistic(values), [statistic(one) for one in values])
