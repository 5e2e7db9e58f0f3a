"""State to plain values and back, between any two segments, changes nothing whatever.

``Parted`` runs a configuration in many parts, each with new pools, a new device and a new driver,
as a process does that resumes. It must equal the run in one part in every event, row and bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from conftest import assert_identical, scenarios
from hypothesis import event, given, settings
from hypothesis import strategies as st
from test_exactness import SYNCHRONOUS, _step_updates
from test_fidelity import DYNAMIC, FEW, NUMBERS

from fedast_jax.algorithms import ALGORITHMS, get_algorithm
from fedast_jax.algorithms.log import EventLog
from fedast_jax.config.errors import ConfigError
from fedast_jax.config.settings import Config
from fedast_jax.oracle import SymbolicLearner
from fedast_jax.run.resolve import make_config
from fedast_jax.study.fuzz.knobs import small_numbers
from fedast_jax.study.fuzz.parts import Parted, Stopping, measured, there_and_back
from fedast_jax.study.fuzz.programs import shared_device
from fedast_jax.study.fuzz.scenario import Scenario
from fedast_jax.study.fuzz.symbols import SymbolicDevice

pytestmark = pytest.mark.optimised

STOPS = st.sampled_from([[True], [True, False], [False, False, True], [True, False, False, True]])


@given(scenarios(), STOPS)
def test_parts_equal_one_run(scenario, stops):
    check_parts(scenario, stops)


@given(
    scenarios(allocation="dynamic", num_tasks=(2, 4), most_active=4, num_updates=(40, 200)), STOPS
)
def test_parts_equal_one_run_with_option_d(scenario, stops):
    check_parts(scenario, stops, diverging=9)


@given(st.data(), STOPS)
def test_parts_equal_one_run_by_the_rules_of_the_authors(data, stops):
    numbers = data.draw(NUMBERS)
    with small_numbers(numbers):
        most = scenarios(most_active=3, num_updates=(40, 200), granule=numbers[0], **DYNAMIC)
        check_parts(data.draw(most), stops)


@given(scenarios(algorithm=SYNCHRONOUS), STOPS)
def test_parts_equal_one_run_in_rounds(scenario, stops):
    check_parts(scenario, stops, diverging=9, step_updates=_step_updates(scenario))


@given(scenarios(algorithm="sync_bayes_st", num_updates=(1, 60)), STOPS)
@settings(max_examples=settings().max_examples // 4)
def test_parts_equal_one_run_with_bayesian_optimization(scenario, stops):
    check_parts(scenario, stops, step_updates=_step_updates(scenario))


@given(scenarios(algorithm="centralized"), STOPS)
@settings(max_examples=settings().max_examples // 4)
def test_parts_equal_one_run_on_one_machine_a_task(scenario, stops):
    check_parts(scenario, stops, diverging=9)


def check_parts(
    scenario: Scenario,
    stops: Sequence[bool],
    diverging: int | None = None,
    step_updates: int | None = None,
) -> None:
    """On symbols: the same plan, the same rows, the same events, the same counts."""
    learner = SymbolicLearner(diverging)
    whole = scenario.run(SymbolicDevice(learner), step_updates=step_updates).driver
    parted = Parted(scenario, lambda: SymbolicDevice(learner), stops, step_updates)
    driver = parted.run()
    event(f"parts: {min(parted.num_parts, 5)}")
    assert_identical(measured(driver), measured(whole))


@given(scenarios(capacities=((150, 150),)), st.integers(1, 12))
def test_an_interrupted_segment_is_as_if_it_had_not_begun(scenario, num_calls):
    learner, countdown = SymbolicLearner(), [num_calls]
    whole = scenario.run(SymbolicDevice(learner)).driver
    parted = Parted(scenario, lambda: Stopping(learner, countdown), [False])
    driver = parted.run()
    event(f"was interrupted: {parted.num_parts > 1}")
    assert_identical(measured(driver), measured(whole))


TASKS = {
    "tanh": {"num_active": 6, "copies": 2, "target_accuracy": 0.2},
    "softmax": {"buffer_size": 1, "server_optimizer": "adam", "server_lr": 0.05},
}
REAL: list[dict[str, Any]] = [
    {},
    {"allocation": "dynamic"},
    {"algorithm": "sync_st", "num_clients": 12, "keep_first": 3},
    {"algorithm": "sync_ucb_st", "num_clients": 12, "max_active_clients": 9, "keep_first": 3},
]


@pytest.mark.parametrize("settings_", REAL)
def test_trained_models_are_equal_in_every_bit(settings_):
    """In float32, with a row that moves from one device to the next."""
    table = {
        "num_clients": 20,
        "machine": {"batch_width": 4},
        "max_updates": 90,
        "num_seeds": 2,
        "tasks": TASKS,
    }
    config = make_config({**table, **settings_})
    scenario = Scenario(config, (90, 90), num_resident=2, window=20)
    whole = scenario.run(shared_device(), step_updates=16).driver
    parted = Parted(scenario, shared_device, [True], step_updates=16)
    driver = parted.run()
    assert parted.num_parts > 3
    assert_identical(measured(driver), measured(whole))


def test_models_do_not_depend_on_where_segments_end():
    """Other windows put requests into other batches, slots and rows; in float32, to the bit."""
    table = {
        "num_clients": 20,
        "machine": {"batch_width": 4},
        "max_updates": 90,
        "num_seeds": 2,
        "tasks": TASKS,
    }
    config = make_config(table)
    found = []
    for window in (90, 20, 7):
        driver = Scenario(config, (90, 90), 2, window).run(shared_device(), step_updates=16).driver
        done = sorted(driver.ended, key=lambda one: one.index)
        found.append([(one.final_models, list(map(tuple, one.evaluations))) for one in done])
    assert_identical(found[1], found[0])
    assert_identical(found[2], found[0])


def config_of(algorithm: str, **top: Any) -> Config:
    """Two tasks where the algorithm takes two."""
    task = {"kind": "softmax", "num_active": 3, "max_rounds": 40}
    table = {
        "algorithm": algorithm, "num_clients": 12, "keep_first": 2, "max_updates": 400, **top,
    }  # fmt: skip
    try:
        return make_config({**table, "tasks": {"a": task, "b": {**task, "step_time": 0.7}}})
    except ConfigError:
        return make_config({**table, "tasks": {"a": task}})


class AnyMeasure:
    """Answers to what an algorithm may ask, the same for the same question."""

    def spread(self, task: int, requests: Sequence[int]) -> float:
        """Some positive number."""
        return 1.0 + task + sum(requests) % 7 / 10

    def losses(self, task: int, requests: Sequence[int]) -> list[float]:
        """One for each."""
        return [self.spread(task, [request]) for request in requests]

    def spreads(self, task: int, windows: Sequence[Sequence[int]]) -> list[float]:
        """One for each."""
        return [self.spread(task, window) for window in windows]


LOGS = [(name, {}) for name in sorted(ALGORITHMS)] + [
    ("fedast", {"allocation": "dynamic"}),
    ("fedast", {"allocation": "dynamic", "fidelity": "authors"}),
    ("fedast", {"fidelity": "authors"}),
    ("fedast", {"max_active_clients": 4}),
    ("fedast_nobuffer", {"allocation": "dynamic", "time_limit": 60.0}),
]


@pytest.fixture
def _small_granules():
    with small_numbers(FEW):
        yield


@pytest.mark.usefixtures("_small_granules")
@pytest.mark.parametrize(("algorithm", "top"), LOGS)
def test_the_events_of_every_algorithm_come_back_exactly_and_go_on(algorithm, top):
    config = config_of(algorithm, **top)
    make = get_algorithm(algorithm).make_timeline
    log = make(config, 3)
    while log.end_reason is None:
        content = there_and_back(log.snapshot())
        other = make(config, 3)
        other.restore(content)
        assert_identical(fields_of(other), fields_of(log))
        for one in (log, other):
            step(one, 37)
        assert_identical(fields_of(other), fields_of(log))
    assert log.num_arrivals > 37


def step(log: EventLog, num_events: int) -> None:
    """Lay some events out, and decide where the log waits for that."""
    log.advance(log.num_arrivals + num_events)
    log.observe(AnyMeasure())
    if log.is_waiting:
        log.decide(AnyMeasure())


def fields_of(log: EventLog) -> dict[str, Any]:
    """Every field of the state and of the logs, and what follows from them."""
    tasks = range(len(log.rounds))
    return {
        "snapshot": log.snapshot(),
        "state": vars(log._state),
        "requests": vars(log.requests),
        "rounds": [vars(rounds) for rounds in log.rounds],
        "allocations": [tuple(one) for one in log.allocations],
        "last_round": log.last_round,
        "pending": [log.pending(task) for task in tasks],
        "kept": [log.kept_updates(task) for task in tasks],
        "cancelled": [np.asarray(log.is_cancelled(task)) for task in tasks],
    }


@settings(max_examples=20)
@given(scenarios())
def test_a_copy_of_a_log_can_be_cut_alone(scenario):
    """Nothing is shared between a log and one that was restored from it."""
    config = scenario.config
    make = get_algorithm(config.algorithm).make_timeline
    log, other = make(config, 1), make(config, 1)
    log.advance(10)
    before = there_and_back(log.snapshot())
    other.restore(there_and_back(log.snapshot()))
    other.advance(25)
    assert_identical(there_and_back(log.snapshot()), before)


def test_a_state_with_other_fields_is_refused():
    log = get_algorithm("fedast").make_timeline(config_of("fedast"), 0)
    content = log.snapshot()
    del content["state"]["heap"]
    with pytest.raises(ValueError, match="heap"):
        log.restore(content)
