"""What every algorithm of the registry must do, with every kind that needs no download."""

from __future__ import annotations

import numpy as np
import pytest

from fedast_jax.algorithms import ALGORITHMS, get_algorithm
from fedast_jax.oracle import load_data, simulate_one_by_one
from fedast_jax.run.resolve import make_config
from fedast_jax.study.fuzz.drive import run_driver
from fedast_jax.study.fuzz.programs import shared_device

KINDS = ["softmax", "tanh", "digits", "digits_cnn"]
SIZES = {"samples_per_client": 20, "batch_size": 10, "local_epochs": 1}


def two_rounds(algorithm: str, kind: str):
    """Of one task, over six clients."""
    task = {**SIZES, "max_rounds": 2, "num_active": 4, "test_every": 1, "target_accuracy": "none"}
    if not get_algorithm(algorithm).defaults:
        task["buffer_size"] = 2
    top = {
        "num_clients": 6,
        "max_active_clients": 4,
        "keep_first": 3,
        "machine": {"batch_width": 2},
    }
    return make_config({"algorithm": algorithm, **top, "tasks": {kind: task}})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_two_rounds(algorithm, kind):
    config = two_rounds(algorithm, kind)
    ran = run_driver(config, shared_device(), capacity=(20, 20), step_updates=16)
    (replicate,) = ran.driver.ended
    assert replicate.timeline.end_reason == "finished"
    assert ran.evaluations["round"].tolist() == [1, 2]
    assert np.isfinite(ran.evaluations.loss).all()
    assert max(np.diff(replicate.timeline.rounds[0].end, prepend=0)) <= get_algorithm(
        algorithm
    ).largest_round(config)
    (oracle,) = simulate_one_by_one(config)
    assert replicate.timeline.num_arrivals == oracle.num_arrivals
    assert ran.evaluations.time.tolist() == [one[2] for one in oracle.evaluations]
    tolerance = 3.0 / load_data(kind).num_tests  # float32 and ReLU
    theirs = [one[4] for one in oracle.evaluations]
    np.testing.assert_allclose(ran.evaluations.accuracy, theirs, atol=tolerance)


def test_an_unknown_algorithm_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'sync_ucb_st'"):
        get_algorithm("sync_ucb")
