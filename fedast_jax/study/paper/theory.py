"""What the paper proves: Theorems 1 and 2 and Corollary 1.1, in its symbols.

The theorems are stated with O(.), so their terms (``Terms``) have no constants. The proofs do: the
last line before constants go into the O(.) is a bound (``theorem1_bound``, ``theorem2_bound``) that
a measured mean of ||grad f||^2 must not exceed, where ``check_rates`` has nothing to say.

Reference:
    Askin et al., UAI 2024, Section 4, Appendices E.3 and F.
"""

from __future__ import annotations

import math
from typing import NamedTuple

CONSTANT = 11.0  # of both proofs: inequalities (13) and (19) leave 1/11 of ||grad f||^2


class Problem(NamedTuple):
    """What is assumed of a task's losses (Assumptions 1 to 3)."""

    L: float  # smoothness of every f_i
    sigma_l2: float  # sigma_l^2: variance of a stochastic gradient
    sigma_g2: float  # sigma_g^2: largest ||grad f_i - grad f||^2
    delta: float  # f(x^(0)) - min f


class Setting(NamedTuple):
    """How the task is trained, option S."""

    T: int  # rounds
    b: int  # buffer size
    R: int  # active requests
    tau: int  # local steps
    eta_c: float
    eta_s: float

    @property
    def step(self) -> float:
        """eta_s eta_c tau: how far a round moves along a gradient."""
        return self.eta_s * self.eta_c * self.tau


class Terms(NamedTuple):
    """The three terms of (4), without the constants that O(.) hides."""

    fedavg_1: float
    fedavg_2: float
    asynchronous: float

    @property
    def total(self) -> float:
        """Their sum."""
        return sum(self)


class Skew(NamedTuple):
    """How R and b change under option D (Appendix F)."""

    b_min: int
    b_max: int
    R_max: int

    @property
    def rho_b(self) -> float:
        """b_max / b_min."""
        return self.b_max / self.b_min


def theorem1(problem: Problem, setting: Setting) -> Terms:
    """Inequality (4)."""
    L, sigma_l2, sigma_g2, delta = problem
    T, b, R, tau, eta_c, eta_s = setting
    fedavg_2 = (L * eta_c * eta_s / b + L**2 * eta_c**2 * tau) * (sigma_l2 + tau * sigma_g2)
    share = L**2 * eta_s**2 * eta_c**2 * tau * R / b**2
    return Terms(delta / (T * setting.step), fedavg_2, share * (sigma_l2 + tau * R * sigma_g2))


def theorem1_bound(problem: Problem, setting: Setting) -> float:
    """The bound of Theorem 1's proof with its constants (Appendix E.3.1)."""
    L, sigma_l2, sigma_g2, delta = problem
    T, b, R, tau, eta_c, _ = setting
    step, D = setting.step, _drift(problem, setting)
    local = (
        L * step / (2 * tau * b)
        + 3 * L**3 * eta_c**2 * step * tau / (4 * (1 - D))
        + L**2 * eta_c**2 * tau / (4 * (1 - D))
        + (1 + 3 * R * L**2 * eta_c**2 * tau**2 / (2 * (1 - D)))
        * (L**2 * step**2 * R / (2 * b**2 * tau))
    )
    between = (
        3 * L * step / (2 * b)
        + 3 * L * step * D / (2 * (1 - D))
        + D / (2 * (1 - D))
        + (1 + D) / (1 - D) * 3 * L**2 * step**2 * R**2 / (2 * b**2)
    )
    return CONSTANT * (delta / (T * step) + local * sigma_l2 + between * sigma_g2)


def corollary1(problem: Problem, T: int, b: int, R: int, tau: int) -> Terms:
    """Inequality (5): Theorem 1 at the rates of ``corollary_rates``."""
    L, sigma_l2, sigma_g2, delta = problem
    noise = sigma_l2 + tau * sigma_g2
    root = math.sqrt(T * b * tau)
    staleness = R / (T * b) * (sigma_l2 + tau * R * sigma_g2)
    return Terms(delta * L / root, (1 / root + 1 / (tau * T)) * noise, staleness)


def corollary_rounds(b: int, R: int, tau: int, gamma_max: float) -> int:
    """The T from which on Corollary 1.1 holds."""
    return math.ceil(tau * max(36 * b, 16 * R * gamma_max))


def corollary_rates(
    L: float, T: int, b: int, R: int, tau: int, gamma_max: float
) -> tuple[float, float]:
    """``(eta_c, eta_s)`` of Corollary 1.1's proof: allowed for every T (Appendix E.3.2)."""
    most_c, eta_s = most_rates(L, b, R, tau, gamma_max)
    return min(1 / (tau * L * math.sqrt(T)), most_c), eta_s


def most_rates(L: float, b: int, R: int, tau: int, gamma_max: float) -> tuple[float, float]:
    """The largest ``(eta_c, eta_s)`` that Theorem 1 allows."""
    root = math.sqrt(tau * b)
    stale = math.sqrt(tau * R * gamma_max)
    most_c = 1 / (6 * L * tau * root)
    return min(most_c, 1 / (4 * L * tau * stale)) if stale else most_c, root


def check_rates(problem: Problem, setting: Setting, gamma_max: float) -> None:
    """Raise ValueError where Theorem 1 says nothing of a setting."""
    most_c, most_s = most_rates(problem.L, setting.b, setting.R, setting.tau, gamma_max)
    for name, value, most in (
        ("eta_c", setting.eta_c, most_c),
        ("eta_s", setting.eta_s, most_s),
    ):
        if value > most * (1 + 1e-9):
            raise ValueError(f"Theorem 1 needs {name} of at most {most:.3g}, got {value:.3g}")


def is_asynchrony_minor(L: float, setting: Setting) -> bool:
    """Whether L eta_s eta_c R^2 tau <= b: then the rate is that of synchronous FedAvg."""
    return L * setting.step * setting.R**2 <= setting.b


def most_requests(L: float, b: int, step: float) -> float:
    """The R up to which asynchrony is minor; ``step`` is eta_s eta_c tau.

    R/b may thus be as large as 1 / sqrt(L step b): a larger buffer allows a larger R, by its root
    alone, and a smaller step a larger one.
    """
    return math.sqrt(b / (L * step))


def theorem2(problem: Problem, setting: Setting, skew: Skew) -> Terms:
    """Theorem 2, option D; of ``setting`` R and b do not count.

    Its terms as Theorem 1 groups them: start, both of FedAvg, asynchronous.
    """
    L, sigma_l2, sigma_g2, delta = problem
    T, _, _, tau, eta_c, eta_s = setting
    rho, b, R = skew.rho_b, skew.b_min, skew.R_max
    buffered = L * eta_s * eta_c * rho**3 / b
    fedavg_2 = (buffered + L**2 * eta_c**2 * rho**2 * tau) * sigma_l2 + (
        buffered * tau + L**2 * eta_c**2 * tau * (tau - 1) * rho**2
    ) * sigma_g2
    share = L**2 * eta_s**2 * eta_c**2 * tau * R * rho**2 / b**2
    start = delta * rho / (T * setting.step)
    return Terms(start, fedavg_2, share * (sigma_l2 + tau * R * sigma_g2))


def theorem2_bound(problem: Problem, setting: Setting, skew: Skew) -> float:
    """The bound of Theorem 2's proof with its constants (Appendix F)."""
    L, sigma_l2, sigma_g2, delta = problem
    T, _, _, tau, eta_c, _ = setting
    rho, b, R = skew.rho_b, skew.b_min, skew.R_max
    step, D = setting.step, _drift(problem, setting)
    local = (
        2 * rho**3 * L * step / (tau * b)
        + 3 * rho**3 * L**3 * eta_c**2 * step * tau / (1 - D)
        + rho**2 * L**2 * eta_c**2 * tau / (2 * (1 - D))
        + (1 + 3 * R * L**2 * eta_c**2 * tau**2 / (2 * (1 - D)))
        * (L**2 * step**2 * R * rho**2 / (b**2 * tau))
    )
    between = (
        6 * rho**3 * L * step / b
        + 6 * rho**3 * L * step * D / (1 - D)
        + rho**2 * D / (1 - D)
        + (1 + D) / (1 - D) * 3 * L**2 * step**2 * R**2 * rho**2 / b**2
    )
    return CONSTANT * (rho * delta / (T * step) + local * sigma_l2 + between * sigma_g2)


def _drift(problem: Problem, setting: Setting) -> float:
    """D = L^2 eta_c^2 tau (tau - 1)."""
    drift = problem.L**2 * setting.eta_c**2 * setting.tau * (setting.tau - 1)
    if drift >= 1:
        raise ValueError(
            f"the bound needs L^2 eta_c^2 tau (tau - 1) below 1, got {drift:.3g}: lower eta_c"
        )
    return drift
