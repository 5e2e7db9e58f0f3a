"""Several devices share every batch: the same results, whatever their number.

On a CPU they are parts of the host; conftest.py asks for four.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest
from test_cli import run
from test_exactness import check_for_real, fixed_scenario

import fedast_jax as fx
from fedast_jax.config.errors import ConfigError
from fedast_jax.engine.engine import Engine
from fedast_jax.run.checkpoint import Checkpoints
from fedast_jax.run.prepare import prepare_run
from fedast_jax.run.resolve import make_config, resolve
from fedast_jax.run.sizing import Sizing, batch_width, narrower
from fedast_jax.study.fuzz.drive import engine_spec

pytestmark = pytest.mark.optimised

DIGITS = {"digits": {"num_active": 6, "buffer_size": 2, "samples_per_client": 20}}
TASKS: dict[str, Any] = {
    "tanh": {"num_active": 7, "test_every": 1},
    "softmax": {"num_active": 5, "copies": 2},
}


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_models_equal_the_oracle(num_devices):
    """Batches that are not full, rounds of every size, a target met in the middle of a batch."""
    tasks = {**TASKS, "tanh": {**TASKS["tanh"], "target_accuracy": 0.2}}
    scenario = fixed_scenario(
        machine={"num_devices": num_devices, "batch_width": 8},
        tasks=tasks,
        num_seeds=2,
        max_updates=90,
    )
    check_for_real(scenario)


@pytest.mark.parametrize("num_devices", [2, 4])
def test_what_is_asked_of_updates_is_the_same_on_every_device(num_devices):
    """Option D's spreads and UCB's losses."""
    more = {"machine": {"num_devices": num_devices, "batch_width": 8}, "tasks": TASKS}
    check_for_real(fixed_scenario(allocation="dynamic", max_updates=120, window=20, **more))
    rounds = {"algorithm": "sync_ucb_st", "keep_first": 3, "max_updates": 90}
    check_for_real(fixed_scenario(**rounds, **more))


def test_every_device_trains_its_part():
    """Fewer slots side by side on each; a copy of every row."""
    machine = {"num_devices": 4, "batch_width": 4}
    config = make_config({"machine": machine, "max_updates": 9, "tasks": TASKS})
    spec = engine_spec(config, resolve(config).tasks[0])
    assert spec.micro_batch == 1
    assert replace(spec, num_devices=2).micro_batch == 2
    pool = Engine(spec).empty_pool(6, 6)
    for rows in pool:
        assert len(rows.sharding.device_set) == 4
        assert rows.is_fully_replicated


def test_a_run_is_resumed_on_several_devices(tmp_path: Path):
    """Rows are read from all devices and written to all; replicates take turns."""
    machine = {"num_devices": 2, "batch_width": 4, "checkpoint_seconds": 0.0}
    table = {"num_seeds": 4, "max_updates": 300, "num_clients": 30, "tasks": DIGITS}
    config = make_config({**table, "machine": machine})
    whole = fx.simulate(config, keep_models=True)
    calls, checkpoints = count(), Checkpoints(tmp_path)
    first = fx.simulate(
        config, keep_models=True, checkpoints=checkpoints, is_stopped=lambda: next(calls) > 5
    )
    assert first.status == "interrupted"
    assert checkpoints.paths
    rest = fx.simulate(config, keep_models=True, checkpoints=Checkpoints(tmp_path))
    pd.testing.assert_frame_equal(rest.evaluations, whole.evaluations, check_exact=True)
    ours, theirs = rest.models(), whole.models()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_the_width_is_a_multiple_of_the_devices():
    table = {"max_updates": 9, "tasks": TASKS}
    assert batch_width([make_config({**table, "machine": {"num_devices": 3}})]) == 48
    with pytest.raises(ConfigError, match="batch_width must be a multiple of num_devices=4, got 6"):
        make_config({**table, "machine": {"num_devices": 4, "batch_width": 6}})


@pytest.mark.parametrize(
    ("num_devices", "widths"), [(1, [16]), (3, [48, 24, 12]), (4, [64, 32, 16])]
)
def test_narrower_widths_are_multiples_too(num_devices, widths):
    table = {"max_updates": 9, "tasks": TASKS}
    machine = {"num_devices": num_devices}
    assert list(narrower([make_config({**table, "machine": machine})])) == widths
    machine["batch_width"] = 12
    assert list(narrower([make_config({**table, "machine": machine})])) == [12]


def test_the_widest_batch_that_fits_is_taken(monkeypatch):
    """Where no sizing of a wider one does, the width is halved, and at the end refused."""
    table = {"max_updates": 9, "tasks": DIGITS, "num_clients": 30}
    config = make_config({**table, "machine": {"num_devices": 4}})

    def fits(limit: int, sizings: Iterable[Sizing], *rest: Any) -> Sizing:
        sizing = next(iter(sizings))
        if sizing.needs[0].width > limit:
            raise ConfigError("too large")
        return sizing

    monkeypatch.setattr("fedast_jax.run.prepare.fit", partial(fits, 32))
    assert prepare_run([config]).pools[0].spec.width == 32
    monkeypatch.setattr("fedast_jax.run.prepare.fit", partial(fits, 8))
    with pytest.raises(ConfigError, match="too large"):
        prepare_run([config])


def test_memory_of_devices_that_share_a_host():
    """Rows, workspace and data are there once a device; the host's own part is there once."""
    table = {"max_updates": 9, "tasks": DIGITS, "num_clients": 30}
    machines = [{"batch_width": 16, "num_devices": number} for number in (1, 2)]
    configs = [make_config({**table, "machine": machine}) for machine in machines]
    one, two = (prepare_run([config]).sizing.needs[0] for config in configs)
    assert two.version_bytes == 2 * one.version_bytes
    assert two.update_bytes == 2 * one.update_bytes
    assert one.fixed_bytes < two.fixed_bytes < 2 * one.fixed_bytes
    assert two.saved_bytes == one.saved_bytes > 0


def test_more_devices_than_there_are():
    config = make_config({"machine": {"num_devices": 400}, "max_updates": 9, "tasks": TASKS})
    found = jax.local_device_count()
    with pytest.raises(ConfigError, match=rf"machine\.num_devices=400, but JAX has {found}; lower"):
        fx.simulate(config)


def test_command_line(monkeypatch, tmp_path: Path):
    """A run on two devices equals that on one; its settings say how many."""
    config = tmp_path / "small.toml"
    config.write_text("max_updates = 60\n[tasks.digits]\nnum_active = 6\nbuffer_size = 2\n")
    for number in (1, 2):
        out = ["--out", str(tmp_path / str(number))]
        assert run(monkeypatch, "run", str(config), "--devices", str(number), *out) == 0
    one, two = (pd.read_parquet(tmp_path / name / "evaluations.parquet") for name in "12")
    for exact in ("replicate", "seed", "task", "round", "time", "arrivals"):
        assert one[exact].tolist() == two[exact].tolist()
    np.testing.assert_allclose(one.loss, two.loss, rtol=1e-4)
    assert fx.load_config(tmp_path / "2" / "config.toml").machine.num_devices == 2
