"""A contract for every duration law: what requests take, whichever way they are laid out."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest

from fedast_jax.algorithms import ALGORITHMS
from fedast_jax.clients.delays import LAWS, TRACE, client_delays
from fedast_jax.config.settings import Config
from fedast_jax.run.resolve import make_config

RECORDED = {"laptop": [1.0, 2.0, 6.0], "phone": [4.0, 4.0, 7.0, 21.0, 64.0]}
NUM_STEPS, STEP_TIME = 3, 0.5  # of the kind "tanh"


class Expected(NamedTuple):
    """In units of tau * beta at speed 1."""

    mean: float
    least: float
    most: float


EXPECTED = {
    "shifted_exponential": Expected(3.0, 1.0, math.inf),
    "shifted_uniform": Expected(3.0, 1.0, 5.0),
    "half_normal": Expected(3.0, 0.0, math.inf),
    "lognormal": Expected(3.0, 0.0, math.inf),
    "constant": Expected(3.0, 3.0, 3.0),
}


@pytest.fixture
def trace(tmp_path):
    """A CSV file with ``RECORDED``."""
    rows = [f"{name},{time}" for name, times in RECORDED.items() for time in times]
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(["device_class,duration", *rows]) + "\n")
    return str(path)


def taken(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """What the requests of seed 0 take, and the class of the client that each went to."""
    timeline = ALGORITHMS[config.algorithm].make_timeline(config, config.seed)
    timeline.advance(8000)
    columns = timeline.requests
    times = np.asarray(columns.arrives_at) - np.asarray(columns.started_at)
    classes = client_delays(config.delays, config.seed, config.num_clients).classes
    return times, classes[np.asarray(columns.client)]


def make(algorithm: str, **delays) -> Config:
    """One task over 200 clients."""
    task = {"kind": "tanh", "num_active": 150, "buffer_size": 3}
    return make_config(
        {
            "algorithm": algorithm,
            "delays": delays,
            "num_clients": 200,
            "max_active_clients": 150,
            "max_updates": 8000,
            "tasks": {"a": task},
        }
    )


def test_every_law_is_here():
    assert set(EXPECTED) == set(LAWS)


@pytest.mark.parametrize("algorithm", ["fedast", "sync_st"])
@pytest.mark.parametrize("law", sorted(EXPECTED))
def test_every_law_has_its_mean_and_support(law, algorithm):
    times, classes = taken(make(algorithm, law=law))
    mean, least, most = EXPECTED[law]
    for number, speed in enumerate([1.3, 1.0, 0.7]):
        x = times[classes == number] / (NUM_STEPS * STEP_TIME * speed)
        assert len(x) > 1000
        assert x.mean() == pytest.approx(mean, abs=5 * x.std() / math.sqrt(len(x)) + 1e-9)
        assert x.min() >= least * (1 - 1e-9)
        assert x.max() <= most * (1 + 1e-9)


@pytest.mark.parametrize("algorithm", ["fedast", "sync_st"])
def test_a_trace_has_the_means_and_the_values_of_its_classes(algorithm, trace):
    times, classes = taken(make(algorithm, law=TRACE, trace=trace, trace_scale=0.5))
    for number, name in enumerate(sorted(RECORDED)):
        x, recorded = times[classes == number] / 0.5, np.array(RECORDED[name])
        assert len(x) > 1000
        assert x.mean() == pytest.approx(recorded.mean(), abs=5 * x.std() / math.sqrt(len(x)))
        assert set(x.round(9)) == set(recorded)
