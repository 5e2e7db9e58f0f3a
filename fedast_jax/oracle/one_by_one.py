"""Every replicate of a configuration, by its algorithm's own loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax

from ..config.settings import Config
from .asynchronous import Asynchronous
from .authors import AuthorsAsynchronous
from .bayes import BayesRounds
from .centralized import Centralized
from .learner import RealLearner
from .rounds import SequentialRounds, SyncRounds
from .state import Learner
from .ucb import UcbRounds

LOOPS = {
    "sync_st": SyncRounds,
    "sync_st_no_mitigation": SyncRounds,
    "sync_bayes_st": BayesRounds,
    "sync_ucb_st": UcbRounds,
    "sequential": SequentialRounds,
    "centralized": Centralized,
}


def loop_of(config: Config) -> Callable[[Config, int, Learner], Any]:
    """What plays one replicate of a configuration."""
    asynchronous = AuthorsAsynchronous if config.fidelity == "authors" else Asynchronous
    return LOOPS.get(config.algorithm, asynchronous)


def simulate_one_by_one(config: Config, learner: Learner | None = None) -> list[Any]:
    """Every replicate of a configuration, one after another: what its algorithm's oracle says."""
    make = loop_of(config)
    with jax.enable_x64(config.machine.precision == "float64"):
        learner = learner or RealLearner(config)
        return [make(config, seed, learner).run() for seed in config.seeds]
