"""The compiled loops of planning beside the plain ones: all that is planned, equal to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import assert_identical
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from test_schedule import works
from test_snapshot import AnyMeasure, fields_of, there_and_back

from fedast_jax.algorithms import fast_forward, get_algorithm
from fedast_jax.algorithms.log import EventLog
from fedast_jax.clients import compiled_laws, presence
from fedast_jax.clients.diurnal import Diurnal
from fedast_jax.clients.on_off import OnOff
from fedast_jax.clients.on_trace import Intervals, OnTrace
from fedast_jax.config.compiled import PATIENCE, SWITCH, Switch
from fedast_jax.config.errors import ConfigError
from fedast_jax.config.settings import Config
from fedast_jax.engine.planning import segment
from fedast_jax.engine.planning.schedule import FreeRows, LaneRows, OutOfRows, schedule
from fedast_jax.run.resolve import make_config

NUM_CLIENTS = 30


@pytest.fixture(scope="module", autouse=True)
def _however_few() -> Iterator[None]:
    """The compiled loop takes over wherever it can; few losses in a row are too many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SWITCH, "mode", "never")
        patch.setattr(fast_forward, "FEWEST", 1)
        for module in (fast_forward, presence):
            patch.setattr(module, "MOST_LOST", 40)
        yield


@pytest.fixture(scope="module")
def tables(tmp_path_factory) -> Path:
    """Files of devices and of hours for every client."""
    folder = tmp_path_factory.mktemp("tables")
    rows = [f"{client},{0.01 + client % 7 / 50},{5e3 + client}" for client in range(NUM_CLIENTS)]
    lines = ["client,seconds_per_sample,bytes_per_second", *rows]
    (folder / "devices.csv").write_text("\n".join(lines))
    rows = [
        f"{client},{start},{start + 1 + client % 4}"
        for client in range(NUM_CLIENTS)
        for start in (2, 7)
    ]
    (folder / "hours.csv").write_text("\n".join(["client,start,end", *rows]))
    return folder


def laws(folder: Path) -> list[dict[str, Any]]:
    """Clients that are always on, mostly on, mostly off."""
    return [
        {},
        {"law": "on_off", "mean_on": 4.0, "mean_off": 3.0},
        {"law": "on_off", "mean_on": 1.0, "mean_off": 30.0},
        {"law": "diurnal", "share_on": 0.4, "period": 9.0},
        {"law": "diurnal", "share_on": 0.03, "period": 40.0},
        {"law": "trace", "trace": str(folder / "hours.csv"), "period": 12.0},
    ]


@st.composite
def configs(draw, folder: Path) -> Config:
    """One to three tasks of an asynchronous method with whatever there is."""
    algorithm = draw(
        st.sampled_from(["fedast", "fedast", "fedast_nobuffer", "ringmaster", "rennala"])
    )
    tasks = {
        name: {
            "kind": "softmax",
            "num_active": draw(st.integers(3, 12)),
            "max_rounds": draw(st.sampled_from([3, 40, 200])),
            "step_time": draw(st.sampled_from([1.0, 0.3])),
        }
        for name in ["a", "b", "c"][: draw(st.integers(1, 3))]
    }
    availability = draw(st.sampled_from(laws(folder))) | {"loss": draw(st.sampled_from([0.0, 0.3]))}
    if "law" in availability:
        availability["when_off"] = draw(st.sampled_from(["wait", "lose"]))
    table: dict[str, Any] = {
        "algorithm": algorithm,
        "num_clients": NUM_CLIENTS,
        "seed": draw(st.integers(0, 99)),
        "max_updates": draw(st.sampled_from([50, 900])),
        "tasks": tasks,
        "availability": availability,
        "allocation": draw(st.sampled_from(["static", "dynamic"])),
    }
    if draw(st.booleans()):
        table["delays"] = {"law": "devices", "trace": str(folder / "devices.csv")}
    if draw(st.booleans()):
        table["max_active_clients"] = draw(st.integers(1, 12))
    if draw(st.booleans()):
        table["time_limit"] = draw(st.sampled_from([9.0, 80.0]))
    return make_config(table)


def step(log: EventLog, mode: str, num_events: int, *, goes_back: bool) -> bool:
    """Lay some events out; where it waits decide; perhaps go back and do it again.

    False where all is lost.
    """
    SWITCH.mode = mode
    mark = log.mark()
    try:
        log.advance(log.num_arrivals + num_events)
    except ConfigError:
        return False
    if goes_back:
        log.rewind(mark)
        log.advance(log.num_arrivals + num_events // 2)
    if log.is_waiting:
        log.decide(AnyMeasure())
    return True


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_the_compiled_loop_lays_out_the_very_same_events(tables, data):
    """State and logs, the order of their entries included; the two may take turns."""
    config = data.draw(configs(tables))
    make = get_algorithm(config.algorithm).make_timeline
    plain, compiled, mixed = (make(config, config.seeds[0]) for _ in range(3))
    for number in range(200):
        num_events, goes_back = data.draw(st.integers(1, 60)), data.draw(st.integers(0, 3)) == 0
        modes = "never", "always", ("never", "always")[number % 2]
        logs = zip((plain, compiled, mixed), modes, strict=True)
        go_on = [step(log, mode, num_events, goes_back=goes_back) for log, mode in logs]
        SWITCH.mode = "never"
        assert len(set(go_on)) == 1
        assert_identical(fields_of(compiled), fields_of(plain))
        assert_identical(fields_of(mixed), fields_of(plain))
        if plain.end_reason is not None or number > 12 or not go_on[0]:
            break
        content = there_and_back(compiled.snapshot())
        compiled = make(config, config.seeds[0])
        compiled.restore(content)


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_a_cut_by_the_compiled_loop_is_the_same(tables, data):
    config = data.draw(configs(tables))
    make = get_algorithm(config.algorithm).make_timeline
    found = []
    event = data.draw(st.integers(1, 50))
    for mode in ("never", "always"):
        SWITCH.mode = mode
        log = make(config, config.seeds[0])
        mark = log.mark()
        try:
            log.advance(event + 30)
        except ConfigError:  # all is lost
            reject()
        rounds = [sum(at <= event for at in of_task.event) for of_task in log.rounds]
        last = {task: number for task, number in enumerate(rounds) if number}
        number = (
            log.cut(mark, min(event, log.num_arrivals), last) if last and not log.is_waiting else 0
        )
        log.advance(event + 60)
        SWITCH.mode = "never"
        found.append((number, fields_of(log)))
    assert_identical(found[1], found[0])


@given(st.data())
def test_the_compiled_scheduler_plans_the_very_same_steps(data):
    lanes = data.draw(st.lists(works(), min_size=1, max_size=5))
    width, most = data.draw(st.integers(1, 9)), data.draw(st.sampled_from([4, 5, 8, 100]))
    total = sum(len(lane.requests) for lane in lanes)
    num_rows = max(0, total - data.draw(st.sampled_from([0, 0, 1, 5])))
    starts = [
        LaneRows(0, {0: 1000 + index}, _trained(data, lane)) for index, lane in enumerate(lanes)
    ]
    found = []
    for mode in ("never", "always"):
        SWITCH.mode = mode
        free = FreeRows(list(range(num_rows)), list(range(num_rows)))
        try:
            found.append((segment.scheduler()(lanes, starts, free, width, most), free))
        except OutOfRows:
            found.append(None)
    assert_identical(found[1], found[0])


def _trained(data, lane) -> dict[int, int]:
    """Some of a lane's requests that could be trained before the segment."""
    first = [request for request, base in zip(lane.requests, lane.bases, strict=True) if base == 0]
    return {request: 2000 + request for request in first if data.draw(st.booleans())}


def test_a_round_too_large_is_refused_by_both():
    work = schedule.__globals__["LaneWork"](requests=[0, 1, 2], bases=[0, 0, 0], round_ends=[3])
    for mode in ("never", "always"):
        SWITCH.mode = mode
        with pytest.raises(ValueError, match="a step takes"):
            segment.scheduler()([work], [LaneRows(0, {0: 0}, {})], FreeRows([1], [1, 2, 3]), 4, 2)


@pytest.mark.parametrize(
    "law",
    [
        OnOff(3, NUM_CLIENTS, 4.0, 3.0),
        OnOff(4, NUM_CLIENTS, 1.0, 30.0),
        Diurnal(5, NUM_CLIENTS, 0.3, 7.5),
        OnTrace(Intervals(np.arange(0, 3, 2), np.array([1.0, 15.0]), np.array([4.0, 21.0])), 20.0),
    ],
)
def test_every_law_compiled_says_the_same(law):
    """From times of all sizes, and from the very moments at which a client goes."""
    columns, random = tuple(law.columns()), np.random.default_rng(0)
    num_clients = 1 if isinstance(law, OnTrace) else NUM_CLIENTS
    for _ in range(300):
        client, time = (
            int(random.integers(num_clients)),
            float(random.choice([0.0, 1e2, 1e5]) * random.random()),
        )
        for _ in range(3):
            ours, theirs = compiled_laws.stretch(columns, client, time), law.stretch(client, time)
            assert_identical(ours, theirs)
            time = theirs[1]


def test_it_compiles_once_that_is_worth_it():
    """After so many events of a process; never or always where the environment says so."""
    switch = Switch("")
    assert not switch.is_on(PATIENCE)
    assert switch.is_on()
    assert not Switch("never", 10 * PATIENCE).is_on()
    assert Switch("always").is_on(0)


def test_without_a_compiler_the_plain_loop_goes_on(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "fedast_jax.algorithms.compiled_loop", None)
    monkeypatch.delattr("fedast_jax.algorithms.compiled_loop", raising=False)
    task = {"kind": "softmax", "num_active": 4}
    config = make_config({"num_clients": 9, "max_updates": 60, "tasks": {"a": task}})
    SWITCH.mode = "always"
    log = get_algorithm("fedast").make_timeline(config, 0)
    log.advance(60)
    assert (log.num_arrivals, SWITCH.mode) == (60, "never")
