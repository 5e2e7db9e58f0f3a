"""Sync-Bayes-ST: clients are chosen by Bayesian optimization.

Zhou et al. (2022), as Askin et al. (2024, Section 5.2) compare with it: a Gaussian process over 0/1
vectors that say which client works for which task predicts what a round costs. A round takes, of
some random selections, the one with the largest expected improvement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from ..config.settings import Config
from . import sync
from .round_rules import Round, SyncRules, Work
from .rounds import SyncTimeline

NUM_SELECTIONS = 75  # random selections among which a round chooses
ALPHA = 0.25  # weight of the durations in the cost
MEMORY = 50  # rounds that the Gaussian process rests on, the latest ones
NOISE = 0.1  # variance of a cost among equal selections; that of all costs is 1
TIE = 1e-9  # numbers that are equal but for rounding, relative


class Observation(NamedTuple):
    """One round."""

    selection: np.ndarray  # int64: (task, client) as task * number of clients + client
    cost: float


class Memory(NamedTuple):
    """What is known of past rounds; replaced, never changed."""

    observations: tuple[Observation, ...]
    uses: np.ndarray  # int64[tasks, clients]: updates of each client that each task has used


def cost(durations: Sequence[float], uses: np.ndarray) -> float:
    """``alpha sum_m max duration_m + (1 - alpha) sum_m var(uses_m)``.

    Args:
        durations: per task, the longest of its kept updates.
        uses: ``int64[tasks, clients]``, the round's own included.
    """
    return ALPHA * sum(durations) + (1.0 - ALPHA) * float(uses.var(axis=1).sum())


def expected_improvement(observations: Sequence[Observation], selections: np.ndarray) -> np.ndarray:
    """By how much each selection is expected to cost less than the cheapest round so far.

    A Gaussian process with a Matern kernel (nu = 3/2) of fixed length: the distance of two
    selections that have nothing in common. Costs are taken relative to their mean and spread; those
    that are equal but for rounding have none.

    Args:
        observations: at least one.
        selections: ``int64[n, pairs]``, as in ``Observation``.
    Returns:
        ``float[n]``, at least 0.
    """
    # Imported late: it takes a second, which no other method should wait for.
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import Matern

    past = [observation.selection for observation in observations]
    columns = np.unique(np.concatenate([*past, selections.ravel()]))  # the others are all zeros
    kernel = Matern(math.sqrt(2.0 * selections.shape[1]), "fixed", nu=1.5)
    process = GaussianProcessRegressor(kernel, alpha=NOISE, normalize_y=True)
    costs = np.array([observation.cost for observation in observations])
    if np.ptp(costs) <= TIE * costs.max():
        costs[:] = costs[0]
    process.fit(_vectors(past, columns), costs)
    predicted: Any = process.predict(_vectors(selections, columns), return_std=True)
    mean, std = predicted
    return improvement(costs.min() - mean, std)


def improvement(gain: np.ndarray, std: np.ndarray) -> np.ndarray:
    """``E max(G, 0)`` of normal G: ``gain Phi(z) + std phi(z)``, ``z = gain / std``."""
    z = gain / std
    return gain * ndtr(z) + std * np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)


def best(improvements: np.ndarray) -> int:
    """The place of the largest number; of those equal but for rounding, the first."""
    return int(np.argmax(improvements >= improvements.max() * (1.0 - TIE)))


def _vectors(selections: Sequence[np.ndarray] | np.ndarray, columns: np.ndarray) -> np.ndarray:
    """``float[n, columns]`` of zeros and ones."""
    vectors = np.zeros((len(selections), len(columns)))
    for vector, selection in zip(vectors, selections, strict=True):
        vector[np.searchsorted(columns, selection)] = 1.0
    return vectors


def choose(memory: Memory, round_: Round, random: np.random.Generator) -> np.ndarray:
    """Of some random selections the one that promises most; the first while nothing is known."""
    del random
    candidates, stream = round_.candidates()
    orders = stream.permuted(np.tile(candidates, (NUM_SELECTIONS, 1)), axis=1)
    clients = orders[:, : sum(round_.shares)]
    if not memory.observations:
        return clients[0]
    pairs = round_.task_of * round_.clients.num_clients + clients
    return clients[best(expected_improvement(memory.observations, pairs))]


def first_memory(num_tasks: int, num_clients: int) -> Memory:
    """Nothing has been observed."""
    return Memory((), np.zeros((num_tasks, num_clients), np.int64))


def learn(memory: Memory, round_: Round, sent: Work, kept: Work) -> Memory:
    """Note what the round has cost, and whom it has used."""
    longest, uses = np.zeros(len(round_.shares)), memory.uses.copy()
    np.maximum.at(longest, kept.task, kept.duration)
    np.add.at(uses, (kept.task, kept.client), 1)
    selection = sent.task * round_.clients.num_clients + sent.client
    observation = Observation(selection, cost(longest.tolist(), uses))
    return Memory((*memory.observations, observation)[-MEMORY:], uses)


def to_plain(memory: Memory) -> tuple[list[tuple[Any, ...]], np.ndarray]:
    """Without named tuples."""
    return [tuple(observation) for observation in memory.observations], memory.uses


def from_plain(plain: tuple[list[tuple[Any, ...]], np.ndarray]) -> Memory:
    """The inverse of ``to_plain``."""
    observations, uses = plain
    return Memory(tuple(Observation(*row) for row in observations), uses)


RULES = SyncRules(
    sync.shares,
    choose,
    init=first_memory,
    learn=learn,
    to_plain=to_plain,
    from_plain=from_plain,
)


def make_timeline(config: Config, seed: int) -> SyncTimeline:
    """Lay out one replicate."""
    return sync.lay_out(RULES, config, seed, sync.keep_first(config))
