"""Batches, lanes, rows and windows change speed only: the engine equals one event at a time.

Two ways of asking: on symbols, where equal numbers mean equal histories and thousands of events
cost nothing; and on models that are trained for real, in float64, where rounding is far below the
tolerance (in float32 a ReLU turns rounding into visible differences).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import scenarios
from hypothesis import event, given, settings
from hypothesis import strategies as st

from fedast_jax.algorithms import get_algorithm
from fedast_jax.config.settings import Config
from fedast_jax.oracle import OneReplicate, SymbolicLearner, simulate_one_by_one
from fedast_jax.run.resolve import make_config
from fedast_jax.study.fuzz.cases import seen_by
from fedast_jax.study.fuzz.compare import (
    TOLERANCE,
    evaluation_columns,
    expect_same,
    expect_same_events,
    expect_same_models,
)
from fedast_jax.study.fuzz.drive import Ran
from fedast_jax.study.fuzz.programs import shared_device
from fedast_jax.study.fuzz.recorded import recorded
from fedast_jax.study.fuzz.scenario import Scenario
from fedast_jax.study.fuzz.symbols import SymbolicDevice

pytestmark = pytest.mark.optimised


def check_for_real(
    scenario: Scenario, tolerance: float = TOLERANCE
) -> tuple[Ran, list[OneReplicate]]:
    """Train a scenario both ways and compare everything."""
    ran = scenario.run(shared_device(), step_updates=_step_updates(scenario))
    oracles = simulate_one_by_one(scenario.config)
    expect_same(ran, oracles, tolerance)
    return ran, oracles


def _step_updates(scenario: Scenario) -> int:
    """One of few numbers, so that programs can be shared."""
    largest = _largest_buffer(scenario.config)
    return next(size for size in (16, 64, 256) if size >= largest)


def _largest_buffer(config: Config) -> float:
    algorithm = get_algorithm(config.algorithm)
    if algorithm.is_synchronous:
        return algorithm.largest_round(config)
    settings_of = [task.settings for task in config.named_tasks]
    total = sum(one.num_active for one in settings_of)
    return 1 + max(total * one.buffer_size / one.num_active for one in settings_of)


def note(oracles: list[OneReplicate]) -> None:
    """For ``--hypothesis-show-statistics``: what happened in the examples."""
    event(f"ends: {sorted({str(oracle.end_reason) for oracle in oracles})}")
    event(f"targets met: {sum(len(oracle.target_times) for oracle in oracles)}")
    event(f"dispatches dropped: {any(_num_dropped(oracle) for oracle in oracles)}")
    allocations = [one for oracle in oracles for one in oracle.allocations]
    event(f"shared out anew: {sum(one.sigma_hat is not None for one in allocations)}")


def _num_dropped(oracle: OneReplicate) -> int:
    stream = getattr(oracle, "dispatches", None)
    return 0 if stream is None else stream.num_attempts - len(oracle.requests)


def check_symbols(scenario: Scenario, diverging: int | None = None, **more) -> None:
    """Go through a scenario on symbols both ways and compare everything."""
    learner = SymbolicLearner(diverging, seen_by(scenario.config))
    ran = scenario.run(SymbolicDevice(learner), **more)
    oracles = simulate_one_by_one(scenario.config, learner)
    note(oracles)
    expect_same(ran, oracles)


@given(scenarios())
@settings(max_examples=3 * settings().max_examples)
def test_histories_equal_the_oracle(scenario):
    check_symbols(scenario)


@given(scenarios())
def test_histories_equal_the_oracle_where_replicates_diverge(scenario):
    check_symbols(scenario, diverging=9)


WITH_BUFFER_OR_NOT = ["fedast", "fedast", "fedast_nobuffer"]
DYNAMIC: dict[str, Any] = {
    "allocation": "dynamic",
    "algorithm": WITH_BUFFER_OR_NOT,
    "num_tasks": (2, 4),
}


@given(scenarios(most_active=4, num_updates=(40, 200), **DYNAMIC))
@settings(max_examples=2 * settings().max_examples)
def test_histories_equal_the_oracle_with_option_d(scenario):
    check_symbols(scenario)


@given(scenarios(most_active=2, num_updates=(20, 100), **DYNAMIC))
@settings(max_examples=settings().max_examples // 2)
def test_option_d_where_replicates_diverge(scenario):
    check_symbols(scenario, diverging=9)


@given(scenarios(algorithm="fedast_nobuffer"))
@settings(max_examples=settings().max_examples // 2)
def test_histories_equal_the_oracle_without_buffers(scenario):
    check_symbols(scenario)


@given(scenarios(algorithm=["async_fl", "fedbuff"], num_tasks=(1, 1)))
@settings(max_examples=settings().max_examples // 4)
def test_histories_equal_the_oracle_with_a_single_task(scenario):
    check_symbols(scenario)


SYNCHRONOUS = ["sync_st", "sync_st_no_mitigation", "sync_ucb_st", "sequential"]


@given(scenarios(algorithm=SYNCHRONOUS))
@settings(max_examples=2 * settings().max_examples)
def test_histories_equal_the_oracle_in_rounds(scenario):
    check_symbols(scenario, step_updates=_step_updates(scenario))


@given(scenarios(algorithm=SYNCHRONOUS))
@settings(max_examples=settings().max_examples // 2)
def test_rounds_where_replicates_diverge(scenario):
    check_symbols(scenario, diverging=9, step_updates=_step_updates(scenario))


@given(scenarios(algorithm="centralized"))
@settings(max_examples=settings().max_examples // 2)
def test_histories_equal_the_oracle_on_one_machine_a_task(scenario):
    check_symbols(scenario)


@given(scenarios(algorithm="centralized"))
@settings(max_examples=settings().max_examples // 4)
def test_one_machine_a_task_where_replicates_diverge(scenario):
    check_symbols(scenario, diverging=9)


METHODS = ["fedasync", "delay_adaptive", "fadas", "ringmaster", "rennala", "ca2fl", "ace"]


@given(data=st.data())
@settings(max_examples=settings().max_examples * 2)
def test_histories_equal_the_oracle_with_every_method(data):
    """Ages, weights, clients' last updates, drops and starts, with either option."""
    allocation = data.draw(st.sampled_from(["static", "static", "dynamic"]))
    scenario = data.draw(scenarios(algorithm=METHODS, allocation=allocation))
    check_symbols(with_numbers(data, scenario))


@given(data=st.data())
@settings(max_examples=settings().max_examples // 2)
def test_methods_where_replicates_diverge(data):
    scenario = data.draw(scenarios(algorithm=METHODS, num_updates=(1, 60)))
    check_symbols(with_numbers(data, scenario), diverging=9)


@given(data=st.data())
@settings(max_examples=settings().max_examples // 2)
def test_histories_equal_the_oracle_where_old_updates_count_less(data):
    """The laws of s, also where tasks differ in them."""
    scenario = data.draw(scenarios(algorithm=["fedast", "fedbuff", "ringmaster"], num_tasks=(1, 1)))
    laws = st.sampled_from(["polynomial", "hinge"])
    law = {"staleness": data.draw(laws), "staleness_a": 0.7, "staleness_bound": 1.0}
    check_symbols(with_settings(scenario, law))


def with_numbers(data: st.DataObject, scenario: Scenario) -> Scenario:
    """Small bounds on the age, so that they matter."""
    table = scenario.config.to_dict()
    known = next(iter(table["tasks"].values())).get("method", {})
    drawn = {
        name: data.draw(st.integers(1, 4))
        for name in ("max_staleness", "delay_bound")
        if name in known
    }
    return with_settings(scenario, {"method": drawn}) if drawn else scenario


def with_settings(scenario: Scenario, task: dict) -> Scenario:
    """The same with some settings of every task."""
    table = scenario.config.to_dict()
    table["tasks"] = {name: {**one, **task} for name, one in table["tasks"].items()}
    return scenario._replace(config=make_config(table))


COMINGS = [
    {"law": "on_off", "mean_on": 5.0, "mean_off": 8.0},
    {"law": "on_off", "mean_on": 0.7, "mean_off": 20.0},
    {"law": "diurnal", "share_on": 0.3, "period": 12.0},
]
LONG = {"law": "on_off", "mean_on": 9.0, "mean_off": 9.0}
LOSING = [LONG | {"when_off": "lose"}, LONG | {"when_off": "lose", "loss": 0.3}]
COME_AND_GO: dict[str, Any] = {
    "availability": [*COMINGS, *(one | {"loss": 0.2} for one in COMINGS), *LOSING]
}
SOME_LOST: dict[str, Any] = {"availability": [{"loss": 0.1}, {"loss": 0.6}]}
FASTER = [{"law": "constant"}, {"law": "half_normal"}, {"law": "lognormal", "sigma": 0.5}]


@given(
    scenarios(
        algorithm=["fedast", "fedast_nobuffer"], num_updates=(1, 80), delays=FASTER, **COME_AND_GO
    )
)
def test_histories_equal_the_oracle_where_clients_come_and_go(scenario):
    check_symbols(scenario)


@given(scenarios(most_active=4, num_updates=(20, 120), delays=FASTER, **DYNAMIC, **COME_AND_GO))
@settings(max_examples=settings().max_examples // 2)
def test_option_d_where_clients_come_and_go(scenario):
    check_symbols(scenario)


@given(scenarios(algorithm=["fedast", "sync_st", "sync_ucb_st"], num_updates=(1, 80), **SOME_LOST))
@settings(max_examples=settings().max_examples // 2)
def test_histories_equal_the_oracle_where_requests_are_lost(scenario):
    check_symbols(scenario, step_updates=_step_updates(scenario))


@given(data=st.data())
@settings(max_examples=settings().max_examples // 2)
def test_methods_where_clients_come_and_go(data):
    """Clients' last updates, ages and drops, with losses and dispatches that wait."""
    scenario = data.draw(scenarios(algorithm=METHODS, num_updates=(1, 60), **COME_AND_GO))
    check_symbols(with_numbers(data, scenario))


class Measured(NamedTuple):
    """Files of clients that were measured one by one."""

    devices: str
    hours: str  # when they are on


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """By the number of clients."""
    folder, found = tmp_path_factory.mktemp("measured"), {}
    for number in (1, 2, 3, 4, 5, 20, 100):
        speeds = [(one, 0.001 * (1 + one % 7), 4000 + 1000 * (one % 5)) for one in range(number)]
        spans = [(one, one % 4 * 2.0, one % 4 * 2.0 + 3.0) for one in range(number)]
        spans += [(one, 11.5, 12.0) for one in range(0, number, 3)]  # some go on at 0
        found[number] = Measured(
            write(folder / f"devices{number}.csv", "seconds_per_sample,bytes_per_second", speeds),
            write(folder / f"hours{number}.csv", "start,end", spans),
        )
    return found


def write(path: Path, columns: str, rows: list[tuple]) -> str:
    lines = [f"client,{columns}", *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@given(data=st.data())
@settings(max_examples=settings().max_examples // 4)
def test_histories_equal_the_oracle_with_measured_clients(measured, data):
    """A trace of when clients are on, whole and interrupted work, and durations of devices."""
    algorithms = ["fedast", "fedast", "ca2fl", "sync_st"]
    scenario = data.draw(scenarios(algorithm=algorithms, num_updates=(1, 60)))
    files, table = measured[scenario.config.num_clients], scenario.config.to_dict()
    table["delays"] = {"law": "devices", "trace": files.devices, "trace_scale": 0.5}
    if data.draw(st.booleans()):
        table["availability"] = {
            "law": "trace",
            "trace": files.hours,
            "period": 12.0,
            "when_off": data.draw(st.sampled_from(["wait", "lose"])),
            "loss": data.draw(st.sampled_from([0.0, 0.2])),
        }
    scenario = scenario._replace(config=make_config(table))
    check_symbols(scenario, step_updates=_step_updates(scenario))


ROUNDS = [*SYNCHRONOUS, "sync_bayes_st"]


@given(scenarios(algorithm=ROUNDS, num_updates=(1, 40), delays=FASTER, **COME_AND_GO))
@settings(max_examples=settings().max_examples // 2)
def test_rounds_where_clients_come_and_go(scenario):
    check_symbols(scenario, step_updates=_step_updates(scenario))


@pytest.fixture(scope="module")
def recorded_delays():
    """Settings of delays that take recorded durations."""
    law = {"law": "trace", "trace": str(recorded("classes", 1))}
    few = {"classes": ["old", "new"], "shares": [0.2, 0.8], "trace_scale": 0.3}
    return [law, {**law, **few}]


@given(data=st.data())
@settings(max_examples=settings().max_examples // 2)
def test_histories_equal_the_oracle_with_recorded_durations(recorded_delays, data):
    algorithms = ["fedast", "sync_st", "sync_st_no_mitigation"]
    scenario = data.draw(scenarios(delays=recorded_delays, algorithm=algorithms))
    check_symbols(scenario, step_updates=_step_updates(scenario))


@given(scenarios(algorithm="sync_bayes_st", num_updates=(1, 60)))
@settings(max_examples=settings().max_examples // 2)
def test_histories_equal_the_oracle_with_bayesian_optimization(scenario):
    check_symbols(scenario, step_updates=_step_updates(scenario))


@given(
    scenarios(
        targets=("none", 0.1, 0.15, 0.25, 0.4),
        widths=(1, 4),
        capacities=((24, 20), (300, 300)),
        most_active=7,
        num_updates=(1, 60),
        precision="float64",
    )
)
@settings(max_examples=settings().max_examples * 2 // 5)
def test_models_equal_the_oracle(scenario):
    _, oracles = check_for_real(scenario)
    note(oracles)


@given(
    scenarios(
        targets=("none", 0.1, 0.15, 0.25, 0.4),
        widths=(4,),
        capacities=((300, 300),),
        most_active=3,
        num_updates=(40, 80),
        precision="float64",
        **DYNAMIC,
    )
)
@settings(max_examples=settings().max_examples // 8)
def test_models_equal_the_oracle_with_option_d(scenario):
    _, oracles = check_for_real(scenario)
    note(oracles)


@given(
    scenarios(
        targets=("none", 0.1, 0.15, 0.25, 0.4),
        widths=(4,),
        capacities=((300, 300),),
        num_updates=(1, 60),
        precision="float64",
        algorithm=SYNCHRONOUS,
    )
)
@settings(max_examples=settings().max_examples // 8)
def test_models_equal_the_oracle_in_rounds(scenario):
    _, oracles = check_for_real(scenario)
    note(oracles)


@given(
    scenarios(
        targets=("none", 0.1, 0.25, 0.5, 0.7),
        widths=(4,),
        capacities=((300, 300),),
        num_updates=(1, 40),
        precision="float64",
        algorithm="centralized",
    )
)
@settings(max_examples=settings().max_examples // 12)
def test_models_equal_the_oracle_on_one_machine_a_task(scenario):
    _, oracles = check_for_real(scenario)
    note(oracles)


def fixed_scenario(window: int = 50, machine: dict | None = None, **top) -> Scenario:
    """All rows that could be needed, all replicates at once."""
    machine = {"batch_width": 4, "precision": "float64", **(machine or {})}
    config = make_config({"num_clients": 20, "machine": machine, **top})
    return Scenario(config, (300, 300), config.num_seeds, window)


def test_a_target_met_in_the_middle_of_a_batch():
    """The first task reaches its target between two others' events, inside one segment."""
    tasks = {
        "a": {"kind": "tanh", "target_accuracy": 0.2, "test_every": 1, "num_active": 7},
        "b": {"kind": "tanh", "num_active": 5, "buffer_size": 1},
    }
    scenario = fixed_scenario(tasks=tasks, num_seeds=2, max_updates=80, window=80)
    ran, oracles = check_for_real(scenario)
    for ours, theirs in zip(ran.replicates, oracles, strict=True):
        met = [test for test in theirs.evaluations if test[0] == "a" and test[4] >= 0.2]
        assert len(met) == 1
        assert 0 < met[0][3] < 80  # neither the segment's first nor its last event
        assert ours.target_times == {"a": met[0][2]}
    # work for later requests was thrown away, so it must have been trained and cut
    assert ran.driver.counts.updates > sum(len(one.requests) for one in oracles) - 2 * 12


@pytest.mark.parametrize("buffer_size", [1, 2])
def test_two_tasks_end_at_the_same_time(buffer_size):
    """Constant durations on equal clients: all first arrivals are ties."""
    task = {"kind": "softmax", "num_active": 4, "buffer_size": buffer_size, "max_rounds": 2}
    scenario = fixed_scenario(
        tasks={"a": {**task, "copies": 3}},
        num_clients=1000,
        max_updates=100,
        delays={"law": "constant", "speeds": [1.0], "shares": [1.0]},
        seed=3,
    )
    ran, _ = check_for_real(scenario)
    ends = [rounds.time[-1] for rounds in ran.replicates[0].timeline.rounds]
    assert ends[0] == ends[1] or ends[1] == ends[2]
    assert ran.replicates[0].timeline.end_reason == "finished"


@pytest.mark.parametrize("algorithm", ["fedast", "fedast_nobuffer"])
def test_option_d_with_tasks_of_two_kinds(algorithm):
    """Two estimates or more are made of trained updates, with and without all tasks open."""
    tasks = {
        "softmax": {"num_active": 3, "buffer_size": 1, "max_rounds": 24},
        "tanh": {"num_active": 4, "buffer_size": 2, "copies": 2, "client_lr": 0.3},
    }
    scenario = fixed_scenario(
        tasks=tasks, algorithm=algorithm, allocation="dynamic", max_updates=130, window=20
    )
    ran, oracles = check_for_real(scenario)
    made = [one for one in oracles[0].allocations if one.sigma_hat]
    assert len(made) >= 3
    assert len({one.num_active for one in made}) > 1
    assert made[-1].sigma_hat
    assert made[-1].sigma_hat[0] == 0.0
    assert ran.replicates[0].timeline.is_stopped(0)


def test_digits_with_relu():
    """The embedded data set's own kind, with its defaults but for the sizes."""
    tasks = {"digits": {"num_active": 8, "max_rounds": 10, "samples_per_client": 30}}
    scenario = fixed_scenario(tasks=tasks, num_clients=30, max_updates=60, num_seeds=2)
    check_for_real(scenario)


def test_convolutions():
    """The small convolutional kind beside the perceptron: two pools."""
    size = {"num_active": 5, "max_rounds": 4, "samples_per_client": 20}
    scenario = fixed_scenario(tasks={"digits_cnn": size, "digits": size}, num_clients=30)
    check_for_real(scenario)


@pytest.mark.parametrize("name", ["adagrad", "yogi"])  # one vector kept, and two
def test_server_optimizers(name):
    """What an optimizer keeps follows the versions, of two replicates in turn."""
    tasks = {"softmax": {"server_optimizer": name, "server_lr": 0.02, "num_active": 5}}
    scenario = fixed_scenario(tasks=tasks, num_seeds=2, max_updates=40)
    check_for_real(scenario)


@pytest.mark.parametrize("algorithm", METHODS)
def test_methods_with_tasks_of_two_kinds(algorithm):
    """A task ends on the way, and its requests go to the other: R_m, b and gamma_c change."""
    both = {"num_active": 5, "buffer_size": 2, "server_lr": 0.3, "staleness": "constant"}
    tasks = {"softmax": {**both, "target_accuracy": 0.3, "test_every": 1}, "tanh": both}
    scenario = fixed_scenario(
        tasks=tasks, algorithm=algorithm, num_clients=6, max_updates=70, window=20
    )
    ran, _ = check_for_real(scenario)
    statuses = set(ran.requests.status)
    assert ("dropped" in statuses) == (algorithm in ("rennala",))


@pytest.mark.parametrize(
    "settings_of_all",
    [
        {"staleness": "polynomial"},
        {"staleness": "hinge", "staleness_bound": 1.0},
        {"proximal": 0.7},
        {"algorithm": "fedasync", "staleness": "polynomial"},
        {"algorithm": "ringmaster", "server_optimizer": "momentum", "method": {"max_staleness": 3}},
    ],
)
def test_settings_of_methods(settings_of_all):
    """Weights by age, the proximal term, another server's step under a method that drops."""
    task = dict(settings_of_all)
    algorithm = task.pop("algorithm", "fedast")
    tasks = {"softmax": {"num_active": 6, "server_lr": 0.3, **task}}
    scenario = fixed_scenario(tasks=tasks, algorithm=algorithm, num_clients=5, max_updates=40)
    ran, _ = check_for_real(scenario)
    assert ("dropped" in set(ran.requests.status)) == (algorithm == "ringmaster")


def test_float32_to_rounding():
    """Smooth units: rounding stays rounding."""
    tasks = {"tanh": {"num_active": 7, "copies": 2}, "softmax": {"buffer_size": 1}}
    scenario = fixed_scenario(tasks=tasks, machine={"precision": "float32"}, max_updates=80)
    ran = scenario.run(shared_device())
    oracles = simulate_one_by_one(scenario.config)
    expect_same_events(ran, oracles)
    expect_same_models(ran, oracles, 2e-5)
    ours, theirs = ran.evaluations, evaluation_columns(oracles)
    np.testing.assert_allclose(ours.accuracy, theirs["accuracy"], atol=2.5 / 360)
    np.testing.assert_allclose(ours.loss, theirs["loss"], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_images(name):
    """A few rounds of the paper's tasks, where the data is."""
    folder = os.environ.get("FEDAST_DATA_DIR")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"FEDAST_DATA_DIR has no {name}")
    tasks = {name: {"num_active": 6, "max_rounds": 4, "test_every": 2, "local_epochs": 1}}
    scenario = fixed_scenario(tasks=tasks, num_clients=50)
    check_for_real(scenario)
