"""How the server shares its requests out among the tasks: Algorithms 3 and 4, and whose turn it is.

All of it is exact: integers and fractions, so that nothing drifts and ties are ties.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np

NUM_UPDATES = 8  # V: updates that an estimate rests on
PERIOD = Fraction(3, 4)  # c_period = PERIOD * unfinished tasks * sum of R, in arrivals


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
    by_remainder = sorted(range(len(exact)), key=lambda place: counts[place] - exact[place])
    counts[by_remainder[: total - int(counts.sum())]] += 1
    while counts.min() < 1:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return counts.tolist()


def share_out_known(
    share_out: Callable[[Sequence[float], int], list[int]],
    sigma_hat: Sequence[float],
    num_active: Sequence[int],
    num_arrived: Sequence[int],
) -> list[int]:
    """New R of the unfinished tasks: one with fewer than two arrivals keeps its own.

    Args:
        share_out: ``(weights, total) -> R`` of the others.
        sigma_hat, num_active, num_arrived: of each unfinished task.
    """
    known = [task for task, number in enumerate(num_arrived) if number > 1]
    new_active = list(num_active)
    if known:
        total = sum(num_active[task] for task in known)
        shares = share_out([sigma_hat[task] for task in known], total)
        for task, share in zip(known, shares, strict=True):
            new_active[task] = share
    return new_active


def follow(num_active: int, first_active: int, first_size: int) -> int:
    """``b = floor(R b0 / R0 + 1/2)``, at least 1."""
    return max(1, (2 * num_active * first_size + first_active) // (2 * first_active))


def next_multiple(count: int, period: Fraction) -> int:
    """The least whole number at or above the first multiple of ``period`` beyond ``count``."""
    return ceil((count // period + 1) * period)


def hand_on(freed: int, num_active: Sequence[int], random: np.random.Generator) -> list[int]:
    """What each unfinished task gets of the requests of one that has ended.

    In proportion to their R, rounded down; what is left over goes one each to tasks at random.
    """
    shares = [freed * active // sum(num_active) for active in num_active]
    for lucky in random.permutation(len(num_active))[: freed - sum(shares)]:
        shares[lucky] += 1
    return shares


def in_turn(counts: Sequence[int]) -> list[int]:
    """Tasks in the order in which they get ``counts`` requests, ``int[sum(counts)]``.

    The next one goes to the task that waits for the largest part of its own, of equals the first.
    """
    if sum(map(bool, counts)) < 2:
        return [task for task, count in enumerate(counts) for _ in range(count)]
    turns = np.concatenate([np.arange(count) / count for count in counts if count])
    task_of = np.repeat(np.arange(len(counts)), counts)
    return task_of[np.argsort(turns, kind="stable")].tolist()  # equal quotients are equal floats


def neediest(owed: Sequence[int], num_active: Sequence[int]) -> int | None:
    """The task with the largest ``owed_m / R_m``, of equals the first; None where none is owed."""
    if not any(owed):
        return None
    parts = [part and part / whole for part, whole in zip(owed, num_active, strict=True)]
    return parts.index(max(parts))


@dataclass(frozen=True)
class Rules:
    """What the paper and its authors' code do differently; the paper's by default.

    How requests are shared out, what the first ones train from, whose models, how data are divided.
    """

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
    at_once: bool = False  # a new b holds for the round that is open, too
    authors_models: bool = False  # of kinds that have the authors' beside the paper's
    one_mix: bool = False  # a client draws its class proportions once, for all of its tasks
