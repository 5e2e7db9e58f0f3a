"""Sync-Bayes-ST: costs and expected improvements worked by hand, and the rounds around them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedast_jax.algorithms.log import Limits
from fedast_jax.algorithms.round_rules import Clients, SyncTask
from fedast_jax.algorithms.rounds import SyncTimeline
from fedast_jax.algorithms.sync_bayes import (
    MEMORY,
    RULES,
    Observation,
    best,
    cost,
    expected_improvement,
    improvement,
)

DENSITY = 1 / math.sqrt(2 * math.pi)  # of a standard normal at 0


def test_the_cost_by_hand():
    """Uses 2, 0, 1, 1 have mean 1 and variance (1 + 1) / 4; uses 0, 0, 0, 4: (3 + 9) / 4 = 3.

    0.25 (7 + 5) + 0.75 (0.5 + 3) = 5.625.
    """
    uses = np.array([[2, 0, 1, 1], [0, 0, 0, 4]])
    assert cost([7.0, 5.0], uses) == pytest.approx(5.625)


def test_the_expected_improvement_of_normals_by_hand():
    """With z = 0: std phi(0); with z = 1: Phi(1) + phi(1); a certain loss promises nothing."""
    found = improvement(np.array([0.0, 1.0, -50.0]), np.array([2.0, 1.0, 1.0]))
    np.testing.assert_allclose(found, [2 * DENSITY, 0.8413447 + 0.2419707, 0.0], rtol=1e-6)


def test_the_first_of_equal_promises_is_taken():
    assert best(np.array([0.5, 1.0 - 1e-12, 1.0, 0.2])) == 1
    assert best(np.array([0.5, 1.0 - 1e-6, 1.0, 0.2])) == 2
    assert best(np.zeros(4)) == 0


def test_one_observation_by_hand():
    """Its cost is all that is expected anywhere; how surely depends on the distance.

    Correlation at distance d, in units of the length: (1 + sqrt(3) d) exp(-sqrt(3) d); variance
    1 - correlation^2 / 1.1 with the noise of 0.1. Selections of two pairs: the same (d = 0), one
    pair in common (d^2 = 2 of 4), none (d = 1).
    """
    seen = [Observation(np.array([3, 8]), 12.5)]
    found = expected_improvement(seen, np.array([[8, 3], [3, 5], [1, 2]]))
    for one, d in zip(found, [0.0, math.sqrt(0.5), 1.0], strict=True):
        correlation = (1 + math.sqrt(3) * d) * math.exp(-math.sqrt(3) * d)
        assert one == pytest.approx(math.sqrt(1 - correlation**2 / 1.1) * DENSITY)


def test_what_was_cheap_promises_more_than_what_was_dear():
    cheap, dear = np.arange(10), np.arange(10, 20)
    seen = [Observation(cheap, 1.0), Observation(dear, 9.0), Observation(dear, 9.5)]
    nearly_cheap, nearly_dear = np.r_[cheap[:9], 30], np.r_[dear[:9], 30]
    found = expected_improvement(seen, np.stack([nearly_dear, nearly_cheap]))
    assert found[1] > 1.5 * found[0]


def started(**more) -> SyncTimeline:
    speeds = np.array([1.3, 1.0, 1.0, 0.7])[np.arange(20) % 4]
    clients = Clients(20, 8, speeds, "shifted_exponential")
    tasks = [SyncTask(1.0, more.pop("max_rounds", None), 1.0), SyncTask(3.0, None, 0.5)]
    return SyncTimeline(more.pop("seed", 3), tasks, Limits(**more), clients, 2, RULES)


def test_a_round_chooses_among_its_candidates_and_remembers_what_it_used():
    timeline = started(max_updates=4 * 70)
    timeline.advance(4)
    (first,), uses = timeline._state.memory
    columns = timeline.requests
    assert len(set(columns.client)) == 8
    pairs = [task * 20 + one for task, one in zip(columns.task, columns.client, strict=True)]
    assert first.selection.tolist() == pairs
    kept = [rounds.arrived.tolist() for rounds in timeline.rounds]
    durations = [max(columns.arrives_at[one] for one in mine) for mine in kept]  # all start at 0
    variance = 2 / 20 - (2 / 20) ** 2  # of two ones among twenty
    assert first.cost == pytest.approx(0.25 * sum(durations) + 0.75 * 2 * variance)
    for task, mine in enumerate(kept):
        assert np.flatnonzero(uses[task]).tolist() == sorted(columns.client[one] for one in mine)
    timeline.advance(1000)
    observations, uses = timeline._state.memory
    assert len(observations) == MEMORY
    assert uses.sum() == timeline.num_arrivals == 4 * 70


def test_experience_changes_whom_a_round_takes():
    """Two replicates with the same candidates, one of which has seen other costs."""
    one, other = started(max_updates=40), started(max_updates=40)
    one.advance(20)
    other.advance(20)
    memory = other._state.memory
    mirrored = tuple(Observation(old.selection, -old.cost) for old in memory.observations)
    other._state.memory = memory._replace(observations=mirrored)
    one.advance(24)
    other.advance(24)
    assert one.requests.client[:40] == other.requests.client[:40]
    assert one.requests.client[40:] != other.requests.client[40:]


@pytest.mark.parametrize("first", [0, 3, 8, 17])
def test_rewinding_changes_nothing(first):
    whole, cut = started(max_updates=50, max_rounds=5), started(max_updates=50, max_rounds=5)
    whole.advance(1000)
    cut.advance(first)
    mark = cut.mark()
    cut.advance(first + 13)
    cut.rewind(mark)
    cut.advance(1000)
    assert vars(whole.requests) == vars(cut.requests)
    assert whole.rounds == cut.rounds
    assert whole.allocations == cut.allocations
    assert len(whole.rounds[0]) == 5
