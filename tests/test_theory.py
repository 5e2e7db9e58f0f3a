"""The theorems against hand-worked numbers and each other; the quadratic against its constants."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedast_jax.data.errors import DataError
from fedast_jax.study.paper import theorem_runs as runs
from fedast_jax.study.paper.quadratic import CURVATURE, KIND, QuadraticData, build, quadratic
from fedast_jax.study.paper.theory import (
    Problem,
    Setting,
    Skew,
    check_rates,
    corollary1,
    corollary_rates,
    corollary_rounds,
    is_asynchrony_minor,
    most_rates,
    most_requests,
    theorem1,
    theorem1_bound,
    theorem2,
    theorem2_bound,
)

PROBLEM = Problem(L=2.0, sigma_l2=3.0, sigma_g2=5.0, delta=7.0)


def test_inequality_4_by_hand():
    """T = 10, b = 2, R = 3, tau = 4, eta_c = 0.01, eta_s = 0.5: eta_s eta_c tau = 0.02."""
    terms = theorem1(PROBLEM, Setting(10, 2, 3, 4, 0.01, 0.5))
    assert terms.fedavg_1 == pytest.approx(7 / 0.2)
    assert terms.fedavg_2 == pytest.approx((0.005 + 0.0016) * 23)
    assert terms.asynchronous == pytest.approx(4 * 0.25 * 1e-4 * 4 * 3 / 4 * (3 + 60))
    assert terms.total == pytest.approx(sum(terms))


def test_corollary_1_is_theorem_1_at_its_rates():
    """eta_c = 1 / (tau L sqrt(T)), eta_s = sqrt(tau b)."""
    T, b, R, tau = 10_000, 4, 8, 3
    setting = Setting(T, b, R, tau, 1 / (tau * PROBLEM.L * math.sqrt(T)), math.sqrt(tau * b))
    terms, expected = theorem1(PROBLEM, setting), corollary1(PROBLEM, T, b, R, tau)
    np.testing.assert_allclose(terms, expected)


@given(st.integers(1, 50), st.integers(1, 20), st.floats(1, 40), st.integers(1, 12))
def test_corollary_rates_are_allowed_and_are_its_own_from_its_rounds_on(R, b, gamma_max, tau):
    L = PROBLEM.L
    T = corollary_rounds(b, R, tau, gamma_max)
    for rounds in (1, T // 2 + 1, T, 4 * T):
        rates = corollary_rates(L, rounds, b, R, tau, gamma_max)
        check_rates(PROBLEM, Setting(rounds, b, R, tau, *rates), gamma_max)
    eta_c, eta_s = corollary_rates(L, T, b, R, tau, gamma_max)
    assert eta_c == pytest.approx(1 / (tau * L * math.sqrt(T)))
    assert eta_s == pytest.approx(math.sqrt(tau * b))


def test_rates_beyond_the_theorem_are_refused():
    most_c, most_s = most_rates(2.0, 4, 8, 3, 5.0)
    assert most_c == pytest.approx(1 / (4 * 2 * 3 * math.sqrt(120)))
    with pytest.raises(ValueError, match="eta_c of at most"):
        check_rates(PROBLEM, Setting(10, 4, 8, 3, 1.01 * most_c, most_s), 5.0)
    with pytest.raises(ValueError, match="eta_s of at most"):
        check_rates(PROBLEM, Setting(10, 4, 8, 3, most_c, 1.01 * most_s), 5.0)


@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 9), st.integers(1, 10_000))
def test_the_proof_s_bound_is_its_terms_up_to_constants(R, b, tau, T):
    """Within the theorem's rates: between half and 33 times the terms without constants."""
    eta_c, eta_s = corollary_rates(PROBLEM.L, T, b, R, tau, max(1.0, R / b))
    setting = Setting(T, b, R, tau, eta_c, eta_s)
    bound, terms = theorem1_bound(PROBLEM, setting), theorem1(PROBLEM, setting)
    assert 2.5 * terms.total <= bound <= 33 * terms.total


def test_theorem_2_without_skew_has_the_terms_of_theorem_1():
    """With rho_b = 1; between clients it has tau (tau - 1) where (4) has tau^2."""
    setting = Setting(500, 4, 8, 3, 1e-3, 1.0)
    ours = theorem1(PROBLEM, setting)
    theirs = theorem2(PROBLEM, setting, Skew(b_min=4, b_max=4, R_max=8))
    local = PROBLEM.L**2 * setting.eta_c**2 * setting.tau * PROBLEM.sigma_g2
    np.testing.assert_allclose(theirs, (ours[0], ours[1] - local, ours[2]))


def test_skew_only_loosens_theorem_2():
    setting = Setting(500, 4, 8, 3, 1e-3, 1.0)
    even, skewed = Skew(4, 4, 8), Skew(4, 8, 8)
    assert skewed.rho_b == 2
    for ours, theirs in zip(
        theorem2(PROBLEM, setting, even), theorem2(PROBLEM, setting, skewed), strict=True
    ):
        assert ours < theirs
    bounds = [theorem2_bound(PROBLEM, setting, skew) for skew in (even, skewed)]
    assert theorem1_bound(PROBLEM, setting) < bounds[0] < bounds[1]


def test_the_bound_needs_a_small_drift():
    with pytest.raises(ValueError, match="lower eta_c"):
        theorem1_bound(PROBLEM, Setting(10, 1, 1, 2, 0.5, 1.0))


def test_the_most_requests_are_where_asynchrony_stops_being_minor():
    setting = Setting(100, 4, 1, 2, 0.01, 1.0)
    most = most_requests(PROBLEM.L, setting.b, setting.step)
    assert most == pytest.approx(10.0)
    assert is_asynchrony_minor(PROBLEM.L, setting._replace(R=10))
    assert not is_asynchrony_minor(PROBLEM.L, setting._replace(R=11))


def test_the_quadratic_s_constants_are_its_own():
    """L by the largest curvature, sigma and delta by sums over all points at another x."""
    found, problem = quadratic(), quadratic().problem
    x = np.linspace(-1, 2, len(CURVATURE))
    each = CURVATURE * (x - found.points)  # stochastic gradients
    clients, whole = each.mean(axis=1), each.mean(axis=(0, 1))
    variances = ((each - clients[:, None]) ** 2).sum(-1).mean(-1)
    assert problem.sigma_l2 == pytest.approx(variances.max())
    assert problem.sigma_g2 == pytest.approx(((clients - whole) ** 2).sum(-1).max())
    assert CURVATURE.max() == problem.L

    def f(x):
        return (CURVATURE * (x - found.points) ** 2).sum(-1).mean() / 2

    assert problem.delta == pytest.approx(f(np.zeros(len(x))) - f(found.centre))
    assert found.first == pytest.approx((CURVATURE * found.centre) @ (CURVATURE * found.centre))


def test_the_task_s_gradient_and_score_are_the_quadratic_s():
    data, task = QuadraticData(), build(QuadraticData.shape)
    params = {"x": jnp.linspace(-1.0, 1.0, len(CURVATURE))}
    mine = data.partition(None, 100, (0,)).samples([7])[0]  # type: ignore[arg-type]
    index = jnp.arange(mine[0], mine[0] + mine[1])
    batch = task.take(data.on_device.train, index, None)
    gradient = jax.grad(task.loss)(params, batch)["x"]
    expected = CURVATURE * (np.asarray(params["x"]) - quadratic().centres[7])
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)
    test = task.take(data.on_device.test, jnp.zeros(1, jnp.int32), None)
    norm = ((CURVATURE * (np.asarray(params["x"]) - quadratic().centre)) ** 2).sum()
    np.testing.assert_allclose(task.score(params, test)[1], [norm], rtol=1e-5)


def test_the_quadratic_has_its_clients_and_no_others():
    with pytest.raises(DataError, match="100 clients, got num_clients = 50"):
        KIND.load("quadratic", None).check_num_clients(50)


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_every_run_of_the_theorem_is_one_that_it_speaks_of(scale):
    for line in runs.lines(scale):
        assert line.places == sorted(line.places)
        for setting in line.settings:
            check_rates(quadratic().problem, setting, runs.most_stale(setting))
