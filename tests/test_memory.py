"""A process takes what was estimated, and does not grow by what it has done."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import psutil
import pytest
from compile_cache import without_cache

import fedast_jax as fx
from fedast_jax.data import DataError, load_dataset
from fedast_jax.engine.engine import Engine
from fedast_jax.run.resolve import make_config

pytestmark = pytest.mark.optimised

TINY = {
    "machine": {"batch_width": 4},
    "max_updates": 20,
    "num_clients": 2000,
    "tasks": {"softmax": {"num_active": 4}},
}


def resident_bytes() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


def test_without_requests_an_ended_replicate_is_small():
    """What is left of it: its tests, rounds and allocations; the tables but one are as before."""
    config = make_config({**TINY, "num_seeds": 3})
    whole, lean = fx.simulate(config), fx.simulate(config, keep_requests=False)
    assert whole.summary() == lean.summary()
    assert whole.evaluations.equals(lean.evaluations)
    assert whole.lanes.equals(lean.lanes)
    for one, other in zip(whole.partition(), lean.partition(), strict=True):
        assert one.equals(other)
    assert len(whole.requests()) == 3 * 24
    with pytest.raises(ValueError, match="simulate with keep_requests=True"):
        lean.requests()


@pytest.mark.slow
def test_a_thousand_replicates():
    """The 900 after the first 100 take at most 30 kB each."""
    sizes: list[int] = []

    def note(progress):
        if progress.num_ended >= 100 * (len(sizes) + 1):
            sizes.append(resident_bytes())

    config = make_config({**TINY, "num_seeds": 1000, "machine": {"batch_width": 16}})
    fx.simulate(config, on_progress=note, keep_requests=False)
    assert len(sizes) >= 9
    assert (sizes[-1] - sizes[0]) / 900 < 30e3, np.diff(sizes)


@pytest.mark.slow
@pytest.mark.usefixtures("own_engines")
def test_one_run_after_another():
    """Compiled programs, rows and data go with the run that needed them."""
    sizes = []
    for number in range(50):
        fx.simulate(make_config({**TINY, "num_clients": 20, "seed": number}))
        gc.collect()
        assert not any(isinstance(one, Engine) for one in gc.get_objects())
        sizes.append((resident_bytes(), len(jax.live_arrays()), len(gc.get_objects())))
    assert sizes[-1][1] == sizes[4][1]
    assert (sizes[-1][0] - sizes[9][0]) / 40 < 0.3e6, sizes
    assert (sizes[-1][2] - sizes[9][2]) / 40 < 5, sizes  # some are counters, caches that fill up


def measured(machine: dict[str, int] | None = None, **config) -> dict[str, int]:
    """Bytes of a run in a new process."""
    table = {"num_clients": 200, "machine": {"checkpoint_seconds": 0, **(machine or {})}, **config}
    script = Path(__file__).with_name("measured_run.py")
    command = [sys.executable, str(script), json.dumps(table)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=without_cache())
    return json.loads(done.stdout)


def assert_within_a_quarter(found: dict[str, int]) -> None:
    assert found["estimate"] == pytest.approx(found["peak"] - found["base"], rel=0.25), found


WIDE = {"kind": "wide", "num_active": 12, "target_accuracy": "none"}
MNIST = {"target_accuracy": "none", "local_epochs": 1}


def test_the_estimate_is_what_a_process_takes():
    """Rows of 17 MB, nearly all of the memory."""
    assert_within_a_quarter(measured({"batch_width": 8}, max_updates=40, tasks={"wide": WIDE}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        {
            "num_seeds": 3,
            "max_updates": 40,
            "machine": {"batch_width": 16},
            "tasks": {"wide": WIDE},
        },
        {"num_clients": 2_000_000, "max_updates": 40, "tasks": {"digits": {}}},
        {"max_updates": 300, "tasks": {"mnist": MNIST}},
        {"num_seeds": 16, "max_updates": 150, "tasks": {"mnist": MNIST}},
        {"num_clients": 2000, "max_updates": 900, "tasks": {"mnist": {**MNIST, "num_active": 800}}},
        {"max_updates": 32, "tasks": {"fashion_mnist": MNIST}},
        {"max_updates": 32, "tasks": {"cifar10": {**MNIST, "test_samples": 200}}},
        {"max_updates": 100, "tasks": {"mnist": MNIST, "fashion_mnist": MNIST}},
    ],
)
def test_the_estimate_of_other_runs(config):
    needed = {"mnist", "fashion_mnist", "cifar10"} & set(config["tasks"])
    for name in needed:
        try:
            load_dataset(name)
        except DataError:
            pytest.skip(f"{name} is not here")
    assert_within_a_quarter(measured(**config))
