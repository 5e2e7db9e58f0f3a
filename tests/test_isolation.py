"""A replicate whose loss is not finite stops alone: nothing of it reaches another, in any bit.

All in float32, with real training: a NaN that is multiplied by a weight of 0, or that lies in a row
which is handed on, would show in every bit it reaches.
"""

from __future__ import annotations

import json
from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import assert_identical
from test_engine import assert_same_bits, base, models, of_replicate, replicate, run, spoil

import fedast_jax as fx
from fedast_jax.engine.engine import Engine, PoolArrays
from fedast_jax.results import run_folder
from fedast_jax.results.figures import accuracy_figure, held_mean
from fedast_jax.run.driver import Driver
from fedast_jax.run.executor import Contents, Device, UsedRows
from fedast_jax.run.resolve import make_config, resolve
from fedast_jax.study.fuzz.drive import Ran, engine_spec, run_driver
from fedast_jax.study.fuzz.programs import shared_device, shared_engine

pytestmark = pytest.mark.optimised

WAYS = [{}, {"allocation": "dynamic", "max_updates": 90}, {"algorithm": "sync_st", "keep_first": 3}]


class PoisonedDevice(Device):
    """After every segment all that lies in free rows is not a number.

    Rows are so as the device makes them, too.
    """

    def _load(self, pool):
        is_new = id(pool) not in self._loaded
        loaded = super()._load(pool)
        if is_new:
            loaded.arrays = PoolArrays(*(jnp.full_like(array, jnp.nan) for array in loaded.arrays))
        return loaded

    def on_segment(self, driver: Driver) -> None:
        for pool, mark in zip(driver.pools, driver.planner.standing.pools, strict=True):
            arrays = self._load(pool).arrays
            rows = UsedRows(list(mark.free.versions), list(mark.free.updates))
            contents = (
                np.full((len(numbers), *array.shape[1:]), np.nan, array.dtype)
                for numbers, array in zip((*rows, rows.updates), arrays, strict=True)
            )
            self.write(pool, rows, Contents(*contents))


def everything(ran: Ran) -> list:
    """Models, tests and allocations of every replicate."""
    done = sorted(ran.driver.ended, key=lambda one: one.index)
    return [
        (
            {name: model.tobytes() for name, model in models(ran, one.index).items()},
            [tuple(test) for test in one.evaluations],
            [tuple(change) for change in one.timeline.allocations],
        )
        for one in done
    ]


@pytest.mark.parametrize("way", WAYS)
def test_what_lies_in_free_rows_reaches_nothing(way):
    """Also the spread of updates for option D, which is padded to V rows."""
    config = base(num_seeds=3, **way)
    how = {"window": 15, "capacity": (60, 60), "step_updates": 16}
    clean = run_driver(config, shared_device(), **how)
    poisoned = run_driver(config, PoisonedDevice(make_engine=shared_engine), **how)
    assert clean.driver.counts.segments > 2
    assert_identical(everything(poisoned), everything(clean))
    assert np.isfinite(clean.evaluations.loss).all()


@pytest.mark.parametrize("way", WAYS)
def test_several_that_diverge_leave_the_others_as_they_are(way):
    """Two of four; their rows are free at once and too few for all, so that others get them."""
    config = base(num_seeds=4, **way)
    how = {"window": 15, "capacity": (60, 60), "step_updates": 16}
    calm = run(config, **how)

    def spoil_two(driver: Driver) -> None:
        spoil(0, driver)
        spoil(2, driver)

    ran = run(config, change=spoil_two, **how)
    for index in (0, 2):
        assert replicate(ran, index).diverged == "tanh_1"
        assert replicate(ran, index).timeline.end_reason == "diverged"
    for index in (1, 3):
        assert replicate(ran, index).diverged is None
        assert_same_bits(ran, calm, index)


def test_a_replicate_is_let_into_the_rows_of_one_that_diverged():
    """One after another: the second and third begin in rows full of NaN."""
    config = base(num_seeds=3)
    calm = run(config, num_resident=1, capacity=(24, 24), window=15)
    change = partial(spoil, 0)
    ran = run(config, num_resident=1, capacity=(24, 24), window=15, change=change)
    assert replicate(ran, 0).diverged == "tanh_1"
    for index in (1, 2):
        assert_same_bits(ran, calm, index)


def test_updates_that_no_round_sums_weigh_nothing():
    """A round reads its own rows alone: an infinite one beside them, of weight 0, is not read."""
    config = base()
    engine = Engine(engine_spec(config, resolve(config).tasks[0]))
    updates = np.full((5, engine.num_params), np.nan, np.float32)
    updates[:3] = np.random.default_rng(0).normal(size=(3, engine.num_params))
    rows = np.array([0, 1, 2, 3, 4, 4, 4, 4], np.int32)
    found = engine.spread(jnp.asarray(updates), rows, np.int32(3))
    chosen = updates[:3].astype(np.float64)
    mean = chosen.mean(0)
    expected = ((chosen - mean) ** 2).sum() / 3 / (mean**2).sum()
    assert float(found) == pytest.approx(expected, rel=1e-5)


TASKS = {
    "bad": {"kind": "tanh", "client_lr": 1e30, "max_rounds": 30},
    "good": {"kind": "softmax", "max_rounds": 30},
}


def test_divergence_is_told_with_task_and_time(tmp_path):
    config = make_config({"num_seeds": 2, "machine": {"batch_width": 4}, "tasks": TASKS})
    result = fx.simulate(config)
    folder = run_folder.save(result, tmp_path / "out")
    told = json.loads((folder / "summary.json").read_text())
    assert told["num_diverged"] == 2
    assert [(one["replicate"], one["seed"], one["task"]) for one in told["diverged"]] == [
        (0, 0, "bad"),
        (1, 1, "bad"),
    ]
    for one in told["diverged"]:
        last = of_replicate(result.evaluations, one["replicate"]).iloc[-1]
        assert not np.isfinite(last.loss)
        assert one["time"] == last.time
    assert told["tasks"]["good"]["num_seeds"] == 0
    assert told["tasks"]["good"]["accuracy"]["mean"] is None
    lanes = result.lanes.set_index(["replicate", "task"])
    assert lanes.diverged.all()
    assert lanes.diverged_at[(0, "bad")] == told["diverged"][0]["time"]
    assert np.isnan(lanes.diverged_at[(0, "good")])


def mark_diverged(result: fx.Result, task: str) -> None:
    """Replicate 1, at time 1."""
    lanes = result.lanes
    lanes.loc[lanes.replicate == 1, "diverged"] = True
    lanes.loc[(lanes.replicate == 1) & (lanes.task == task), "diverged_at"] = 1.0


def test_means_and_figures_leave_out_what_diverged():
    """One of three: the numbers are those of the other two, and say so."""
    config = make_config(
        {"num_seeds": 3, "machine": {"batch_width": 4}, "tasks": {"good": TASKS["good"]}}
    )
    result = fx.simulate(config)
    two = result.lanes[result.lanes.replicate != 1]
    mark_diverged(result, "good")
    summary = result.summary()["tasks"]["good"]
    assert summary["num_seeds"] == 2
    assert summary["accuracy"]["mean"] == two.accuracy.mean()
    figure = accuracy_figure(result)
    assert "2 seeds, 1 diverged" in figure.get_suptitle()
    tests = result.evaluations
    mean = figure.axes[0].lines[3].get_ydata()  # behind the three seeds' own lines
    expected = held_mean(tests.loc[tests.replicate != 1], "accuracy")[1]
    np.testing.assert_array_equal(mean, 100 * expected)
