"""Batches, lanes, rows and windows change speed only: the engine equals one event at a time.

Two ways of asking: on symbols, where equal numbers mean equal histories and thousands of events
cost nothing; and on models that are trained for real, in float64, where rounding is far below the
tolerance (in float32 a ReLU turns rounding into visible differences).
"""

from __future__ import annotations

import os
from functools import cache, partial
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from conftest import Ran, Scenario, SymbolicDevice, run_driver, scenarios
from hypothesis import event, given, settings
from oracle import Oracle, SymbolicLearner, simulate_one_by_one

from fedast_jax import executor
from fedast_jax.config import Config, make_config
from fedast_jax.engine import Engine, EngineSpec
from fedast_jax.executor import Device

TOLERANCE = 1e-9


class Lowered:
    """A jitted function that poses as its own lowering, so that its programs are kept."""

    def __init__(self, function) -> None:
        self.function = function

    def lower(self, *arguments):
        """With the arguments that are static (those beyond the called ones) held fast."""
        static = arguments[4:]
        return Lowered(lambda *given: self.function(*given, *static))

    def compile(self):
        return self.function


@cache
def _engine(name: str, precision: str, width: int, spec: tuple[EngineSpec]) -> Engine:
    engine = Engine(spec[0])
    engine.run, engine.evaluate = Lowered(engine.run), Lowered(engine.evaluate)
    return engine


class _Same(tuple):
    """Equal to any other: left out of a cache's key."""

    __hash__ = lambda self: 0  # noqa: E731
    __eq__ = lambda self, other: True  # noqa: E731


@pytest.fixture(scope="module")
def shared_engines():
    """Compile each shape once for all examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            executor,
            "Engine",
            lambda spec: _engine(spec.kind.name, spec.precision, spec.width, _Same([spec])),
        )
        yield


def request_table(config: Config, oracles: list[Oracle]) -> pd.DataFrame:
    """The oracle's requests with the columns of ``requests.parquet``."""
    names = [task.name for task in config.named_tasks]
    rows = [
        (index, request.number, names[request.task], *columns(request))
        for index, oracle in enumerate(oracles)
        for request in oracle.requests
    ]
    table = pd.DataFrame(rows, columns=REQUEST_COLUMNS)
    return table.astype({"used_round": "Int64"})


REQUEST_COLUMNS = [
    "replicate",
    "request",
    "task",
    "client",
    "dispatched_at",
    "started_at",
    "arrived_at",
    "base_round",
    "used_round",
    "status",
]


def columns(request) -> list:
    """From the client on."""
    return [getattr(request, name) for name in REQUEST_COLUMNS[3:]]


def evaluation_table(oracles: list[Oracle]) -> pd.DataFrame:
    """The oracle's tests with the columns of ``evaluations.parquet``."""
    rows = [
        (index, oracle.seed, *test)
        for index, oracle in enumerate(oracles)
        for test in oracle.evaluations
    ]
    names = ["replicate", "seed", "task", "round", "time", "arrivals", "accuracy", "loss"]
    return pd.DataFrame(rows, columns=names)


def assert_same_events(ran: Ran, config: Config, oracles: list[Oracle]) -> None:
    """The request table equal in every bit, and every replicate's end."""
    same = partial(pd.testing.assert_frame_equal, check_dtype=False, check_exact=True)
    same(ran.requests[REQUEST_COLUMNS], request_table(config, oracles))
    for ours, theirs in zip(by_index(ran), oracles, strict=True):
        timeline = ours.timeline
        assert timeline.end_reason == theirs.end_reason
        assert timeline.num_arrivals == theirs.num_arrivals
        assert timeline.num_active == [task.num_active for task in theirs.tasks]
        assert timeline.buffer_size == [task.buffer_size for task in theirs.tasks]
        assert ours.target_times == theirs.target_times


def assert_same_tests(ran: Ran, oracles: list[Oracle], tolerance: float) -> None:
    """The accuracies equal in every bit, the losses within the tolerance."""
    theirs = evaluation_table(oracles)
    assert len(ran.evaluations) == len(theirs)
    exact = partial(pd.testing.assert_frame_equal, check_dtype=False, check_exact=True)
    exact(ran.evaluations.drop(columns="loss"), theirs.drop(columns="loss"))
    np.testing.assert_allclose(
        ran.evaluations.loss.to_numpy(float), theirs.loss.to_numpy(float), rtol=tolerance
    )


def assert_same_models(ran: Ran, oracles: list[Oracle], tolerance: float) -> None:
    """Every leaf within the tolerance, relative to the leaf's largest number."""
    for ours, theirs in zip(by_index(ran), oracles, strict=True):
        for task in theirs.tasks:
            for model, version in (
                (ours.initial_models[task.name], task.versions[0]),
                (ours.final_models[task.name], task.versions[-1]),
            ):
                jax.tree.map(partial(assert_close_leaf, tolerance), model, version)


def assert_close_leaf(tolerance: float, ours, theirs) -> None:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def by_index(ran: Ran) -> list:
    """The replicates in order of their seeds."""
    return sorted(ran.driver.done, key=lambda one: one.index)


def check_for_real(scenario: Scenario, tolerance: float = TOLERANCE) -> tuple[Ran, list[Oracle]]:
    """Train a scenario both ways and compare everything."""
    step_updates = 16 if _largest_buffer(scenario.config) <= 16 else 64
    ran = scenario.run(Device(), step_updates=step_updates)
    oracles = simulate_one_by_one(scenario.config)
    assert_same_events(ran, scenario.config, oracles)
    assert_same_tests(ran, oracles, tolerance)
    assert_same_models(ran, oracles, tolerance)
    return ran, oracles


def _largest_buffer(config: Config) -> float:
    settings_of = [task.settings for task in config.named_tasks]
    total = sum(one.num_active for one in settings_of)
    return 1 + max(total * one.buffer_size / one.num_active for one in settings_of)


def note(oracles: list[Oracle]) -> None:
    """For ``--hypothesis-show-statistics``: what happened in the examples."""
    event(f"ends: {sorted({str(oracle.end_reason) for oracle in oracles})}")
    event(f"targets met: {sum(len(oracle.target_times) for oracle in oracles)}")
    dropped = any(oracle.num_attempts > len(oracle.requests) for oracle in oracles)
    event(f"dispatches dropped: {dropped}")


@given(scenarios())
@settings(max_examples=3 * settings().max_examples)
def test_histories_equal_the_oracle(scenario):
    ran = scenario.run(SymbolicDevice())
    oracles = simulate_one_by_one(scenario.config, SymbolicLearner())
    note(oracles)
    assert_same_events(ran, scenario.config, oracles)
    assert_same_tests(ran, oracles, 0.0)
    assert_same_symbols(ran, oracles)


@given(scenarios())
def test_histories_equal_the_oracle_where_replicates_diverge(scenario):
    learner = SymbolicLearner(diverging=9)
    ran = scenario.run(SymbolicDevice(learner))
    oracles = simulate_one_by_one(scenario.config, learner)
    note(oracles)
    assert_same_events(ran, scenario.config, oracles)
    assert_same_tests(ran, oracles, 0.0)
    assert_same_symbols(ran, oracles)


def assert_same_symbols(ran: Ran, oracles: list[Oracle]) -> None:
    for ours, theirs in zip(by_index(ran), oracles, strict=True):
        assert ours.final_models == {task.name: task.versions[-1] for task in theirs.tasks}


@pytest.mark.usefixtures("shared_engines")
@given(
    scenarios(
        targets=("none", 0.12, 0.2, 0.35, 0.5),
        widths=(1, 4),
        capacities=((24, 20), (150, 150)),
        most_active=7,
        most_updates=60,
        precision="float64",
    )
)
@settings(max_examples=settings().max_examples // 2)
def test_models_equal_the_oracle(scenario):
    _, oracles = check_for_real(scenario)
    note(oracles)
