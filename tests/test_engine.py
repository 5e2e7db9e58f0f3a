"""The compiled part: what may not change its results, how often it is traced, what it donates."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import fedast_jax as fx
from fedast_jax.algorithms.methods.server_optimizers import SERVER_OPTIMIZERS as OPTIMIZERS
from fedast_jax.clients.batches import request_key
from fedast_jax.config.settings import Config
from fedast_jax.engine import spec as spec_module
from fedast_jax.engine.aggregate import Rounds, write_rows
from fedast_jax.engine.engine import Engine, Program, Slots
from fedast_jax.engine.planning.pack import BEYOND, LaneColumns, Shapes, pack
from fedast_jax.engine.planning.schedule import FreeRows, LaneRows, LaneWork, schedule
from fedast_jax.engine.server import make_server
from fedast_jax.oracle import load_data, server_step
from fedast_jax.run.driver import Driver
from fedast_jax.run.executor import Device
from fedast_jax.run.resolve import make_config, resolve
from fedast_jax.study.fuzz import drive
from fedast_jax.study.fuzz.drive import Ran, engine_spec, run_driver
from fedast_jax.study.fuzz.programs import shared_device

pytestmark = pytest.mark.optimised

FLOAT64 = {"precision": "float64"}
BASE: dict[str, Any] = {
    "num_clients": 20,
    "max_updates": 40,
    "seed": 5,
    "tasks": {
        "tanh": {"num_active": 7, "copies": 2, "test_every": 3},
        "softmax": {"num_active": 4, "buffer_size": 1, "target_accuracy": 0.45},
    },
}


def base(machine: dict | None = None, **changes) -> Config:
    return make_config({**BASE, "machine": {"batch_width": 4, **(machine or {})}, **changes})


def run(config: Config, device: Device | None = None, **how) -> Ran:
    return run_driver(config, device or shared_device(), **how)


def replicate(ran: Ran, index: int = 0):
    return next(one for one in ran.driver.ended if one.index == index)


def models(ran: Ran, index: int = 0) -> dict[str, np.ndarray]:
    """The final models of a replicate, flat."""
    final = replicate(ran, index).final_models
    return {
        name: np.concatenate([leaf.ravel() for leaf in model.values()])
        for name, model in final.items()
    }


def of_replicate(table: pd.DataFrame, index: int = 0) -> pd.DataFrame:
    return table.loc[table.replicate == index].reset_index(drop=True)


def assert_same_bits(ran: Ran, other: Ran, index: int = 0) -> None:
    same = partial(pd.testing.assert_frame_equal, check_exact=True)
    same(of_replicate(ran.requests, index), of_replicate(other.requests, index))
    same(of_replicate(ran.evaluations, index), of_replicate(other.evaluations, index))
    for name, model in models(other, index).items():
        assert models(ran, index)[name].tobytes() == model.tobytes()


@pytest.fixture(scope="module")
def alone() -> Ran:
    """One replicate of the base configuration in float32."""
    return run(base())


@pytest.fixture(scope="module")
def alone64() -> Ran:
    """The same in float64."""
    return run(base(FLOAT64))


def test_the_base_run_does_what_the_tests_need(alone):
    """Something is tested, one target is met, requests are cancelled."""
    assert replicate(alone).target_times.keys() == {"softmax"}
    assert set(alone.evaluations.task) == {"softmax", "tanh_1", "tanh_2"}
    assert set(alone.requests.status) == {"used", "in_flight", "cancelled"} | (
        {"buffered"} & set(alone.requests.status)
    )


def test_the_same_configuration_gives_the_same_bits(alone):
    """Compiled anew."""
    assert_same_bits(run(base(), Device()), alone)


def test_other_replicates_change_no_bit_at_the_same_width(alone):
    many = run(base(num_seeds=3))
    assert_same_bits(many, alone)
    assert models(many, 1)["tanh_1"].tobytes() != models(many, 0)["tanh_1"].tobytes()


def test_a_replicate_that_waits_for_room_has_the_same_bits(alone):
    """Seed 5 as the second of two, with one resident at a time."""
    both = run(base(seed=4, num_seeds=2), num_resident=1)
    moved = Ran(both.driver, shifted(both.requests), shifted(both.evaluations))
    for one in moved.driver.ended:
        one.index -= 1
    assert_same_bits(moved, alone)


def shifted(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(replicate=table.replicate - 1)


def test_few_rows_and_small_windows_change_no_bit(alone):
    assert_same_bits(run(base(), capacity=(14, 12), window=9), alone)
    assert_same_bits(run(base(), window=1), alone)


def test_lane_order_changes_no_bit(alone):
    def reverse(driver: Driver) -> None:
        for pool in driver.pools:
            pool.lanes.reverse()

    reversed_ = run(base(num_seeds=3), change=reverse)
    assert_same_bits(reversed_, alone)
    assert_same_bits(reversed_, run(base(num_seeds=3)), 2)


@pytest.mark.parametrize("width", [1, 3, 16])
def test_the_width_changes_only_rounding(width, alone64):
    other = run(base({**FLOAT64, "batch_width": width}))
    exact = partial(pd.testing.assert_frame_equal, check_exact=True)
    exact(other.requests, alone64.requests)
    exact(other.evaluations.drop(columns="loss"), alone64.evaluations.drop(columns="loss"))
    for name, model in models(alone64).items():
        np.testing.assert_allclose(models(other)[name], model, rtol=1e-9, atol=1e-12)


@pytest.fixture
def accelerated(monkeypatch):
    """The form of the engine for an accelerator, with small shapes."""
    plain = drive.engine_spec
    monkeypatch.setattr(drive, "engine_spec", lambda *a: replace(plain(*a), backend="gpu"))
    for name, value in {"MICRO_BATCH": 1, "MOST_LOOKS": 3, "TICKS": 2, "TEST_CHUNK": 100}.items():
        monkeypatch.setattr(spec_module, name, value)


@pytest.mark.usefixtures("accelerated")
def test_the_form_for_an_accelerator_changes_only_rounding(alone64):
    """Fixed loops, several rounds and tests side by side, groups that start past the last one."""
    ran = run(base(FLOAT64))
    spec = ran.driver.pools[0].spec
    assert (spec.groups_at_once, spec.ticks, spec.tests(360).side_by_side) == (2, 2, 1)
    exact = partial(pd.testing.assert_frame_equal, check_exact=True)
    exact(ran.requests, alone64.requests)
    exact(ran.evaluations.drop(columns="loss"), alone64.evaluations.drop(columns="loss"))
    for name, model in models(alone64).items():
        np.testing.assert_allclose(models(ran)[name], model, rtol=1e-9, atol=1e-12)


def test_simulate_does_what_the_driver_does(alone):
    """The whole way in, with its own sizes for rows and windows."""
    config = base()
    result = fx.simulate(config, keep_models=True)
    assert result.status == "finished"
    pd.testing.assert_frame_equal(result.evaluations, alone.evaluations, check_exact=True)
    pd.testing.assert_frame_equal(result.requests(), alone.requests, check_exact=True)
    leaves = result.models()
    for name, tree in replicate(alone).final_models.items():
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            key = "/".join(["0", name, "final", *(part.key for part in path)])
            assert leaves[key].tobytes() == np.asarray(leaf).tobytes()


def test_one_trace_for_all_segments():
    """Many segments of several lengths, three lanes that come and go: one trace a pool."""
    device = Device()
    ran = run_driver(base(num_seeds=2), device, window=7)
    assert ran.driver.counts.segments > 5
    for loaded in device._loaded.values():
        assert loaded.engine.num_traces == 1
        chex.assert_tree_all_finite(loaded.arrays)


# From here on one engine of the smaller kind, by itself.

CONFIG = make_config(
    {"num_clients": 20, "machine": {"batch_width": 4}, "max_updates": 40, "tasks": {"softmax": {}}}
)
SETTINGS = CONFIG.named_tasks[0].settings


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(engine_spec(CONFIG, resolve(CONFIG).tasks[0]))


@pytest.fixture(scope="module")
def data():
    return load_data("softmax").on_device.train


def programs(engine: Engine, num_rounds: int, num_requests: int) -> list[Program]:
    """One lane, b = 2, all requests from version 0, in calls of the engine's shape."""
    work = LaneWork(
        list(range(num_requests)), [0] * num_requests, list(range(2, 2 * num_rounds + 1, 2))
    )
    free = FreeRows(list(range(12, 0, -1)), list(range(29, -1, -1)))
    plan, _ = schedule([work], [LaneRows(0, {0: 0}, {})], free, 4, 8)
    columns = LaneColumns(
        seed=np.array([5], np.uint32),
        task=np.array([0], np.uint32),
        client_lr=np.array([0.5]),
        weight_decay=np.array([0.0]),
        server_lr=np.array([1.0]),
    )
    samples = np.random.default_rng(0).integers(0, 1000, (plan.num_slots, SETTINGS.work.row_length))
    spec = engine.spec
    shapes = Shapes(spec.steps, 4, SETTINGS.work.row_length, spec.ticks, spec.rounds_at_once)
    return list(pack(plan, columns, samples.astype(np.int32), shapes, np.dtype("float32")))


def fresh_pool(engine: Engine):
    pool = engine.empty_pool(13, 30)
    return engine.admit(pool, np.int32(0), np.uint32(5), np.uint32(0))


def test_a_shorter_segment_is_not_traced_again(engine, data):
    pool = fresh_pool(engine)
    for num_rounds, num_requests in [(9, 20), (2, 4), (1, 2), (5, 11)]:
        for program in programs(engine, num_rounds, num_requests):
            pool = engine.run(pool, program, data)
    assert engine.num_traces == 1


def test_the_pool_is_donated(engine, data):
    pool = fresh_pool(engine)
    (program, *_) = programs(engine, 2, 4)
    after = engine.run(pool, program, data)
    assert pool.versions.is_deleted()
    assert pool.updates.is_deleted()
    assert pool.losses.is_deleted()
    admitted = engine.admit(after, np.int32(3), np.uint32(1), np.uint32(0))
    assert after.versions.is_deleted()
    assert not admitted.versions.is_deleted()


def test_an_empty_program_changes_nothing(engine, data):
    (program, *_) = programs(engine, 2, 4)
    pool = engine.run(fresh_pool(engine), program, data)
    before = jax.tree.map(np.array, pool)
    empty = program._replace(
        num_slots=np.zeros_like(program.num_slots), num_ticks=np.zeros_like(program.num_ticks)
    )
    after = engine.run(pool, empty, data)
    np.testing.assert_array_equal(after.versions, before.versions)
    np.testing.assert_array_equal(after.updates, before.updates)
    np.testing.assert_array_equal(after.losses, before.losses)


def test_an_empty_step_costs_next_to_nothing(data):
    """Against a full one of a single micro-batch, which the compiler would like to move out.

    Eight hundred local steps a slot are some milliseconds of work, an empty program is a call.
    """
    spec = engine_spec(CONFIG, resolve(CONFIG).tasks[0])
    engine = Engine(replace(spec, work=spec.work._replace(local_epochs=400)))
    assert engine.spec.micro_batch == engine.spec.width
    full, *_ = programs(engine, 6, 12)
    assert full.num_slots.tolist() == [4, 4, 4]
    none = {name: np.zeros_like(getattr(full, name)) for name in ("num_slots", "num_ticks")}
    empty = full._replace(**none)
    pool, seconds = fresh_pool(engine), {"full": [], "empty": []}
    for _ in range(4):  # the first of each is warm-up; the least of the others counts
        for name, program in (("full", full), ("empty", empty)):
            start = time.perf_counter()
            pool = jax.block_until_ready(engine.run(pool, program, data))
            seconds[name].append(time.perf_counter() - start)
    assert engine.num_traces == 1
    assert min(seconds["empty"][1:]) < min(seconds["full"][1:]) / 5


def test_padded_slots_change_no_row_in_use(engine, data):
    """Six requests in batches of four: two slots of the second batch are padding, with garbage."""
    first, *rest = programs(engine, 3, 6)
    assert not rest
    clean = jax.tree.map(np.array, engine.run(fresh_pool(engine), first, data))
    is_padding = np.arange(4)[None] >= first.num_slots[:, None]
    is_padding[:, 0] &= first.num_slots > 0  # an empty step has no micro-batch at all
    slots = first.slots._asdict()
    slots["client_lr"] = np.where(is_padding, np.nan, slots["client_lr"]).astype(np.float32)
    slots["samples"] = np.where(is_padding[..., None], 7, slots["samples"])
    dirty = engine.run(fresh_pool(engine), first._replace(slots=Slots(**slots)), data)
    np.testing.assert_array_equal(dirty.versions, clean.versions)
    np.testing.assert_array_equal(dirty.updates, clean.updates)
    np.testing.assert_array_equal(dirty.losses, clean.losses)
    assert np.isfinite(clean.versions).all()
    assert (clean.versions[1:4] != clean.versions[0]).any(axis=1).all()


def test_a_program_is_padded_to_its_shape(engine):
    shapes = {jax.tree.map(np.shape, program) for program in programs(engine, 9, 20)}
    shapes |= {jax.tree.map(np.shape, program) for program in programs(engine, 1, 2)}
    assert len(shapes) == 1
    (program, *_) = programs(engine, 1, 2)
    assert program.num_slots.tolist() == [2, 0, 0]
    assert program.slots.update_row[0, 2:].tolist() == [BEYOND + 2, BEYOND + 3]
    assert isinstance(program.rounds, Rounds)
    assert program.num_ticks.tolist() == [1, 0, 0]
    assert np.asarray(program.rounds.weight[0, 0]).tolist() == [[0.5, 0.5, 0.0, 0.0]]


def test_rows_beyond_the_last_are_not_written():
    rows = jax.jit(write_rows)(
        jnp.zeros((4, 2)), jnp.array([2, BEYOND, 0, BEYOND + 1]), jnp.arange(8.0).reshape(4, 2)
    )
    np.testing.assert_array_equal(rows, [[4, 5], [0, 0], [0, 1], [0, 0]])


def test_evaluation_counts_every_test_image_once():
    """360 images in chunks of 200: the second chunk is padded."""
    engine, data = Engine(engine_spec(CONFIG, resolve(CONFIG).tasks[0])), load_data("softmax")
    pool, test = fresh_pool(engine), data.on_device.test
    assert data.num_tests % engine.spec.kind.test_chunk != 0
    rows = np.array([0, 0, 5], np.int32)
    scores = engine.evaluate(pool.versions, rows, np.int32(2), test, data.num_tests)
    model = engine.unflatten(pool.versions[0])
    everything = engine.task.take(test, jnp.arange(data.num_tests), None)
    correct, loss = engine.task.score(model, everything)
    np.testing.assert_array_equal(scores.metric, [correct.sum(), correct.sum(), 0])
    total = float(loss.sum())
    np.testing.assert_allclose(scores.loss, [total, total, 0.0], rtol=1e-5)


def test_request_keys_differ():
    numbers = [(seed, task, one) for seed in (0, 1) for task in (0, 1) for one in (0, 1, 1 << 31)]
    keys = {
        jax.random.key_data(request_key(*map(jnp.uint32, three))).tobytes() for three in numbers
    }
    assert len(keys) == len(numbers)


# Divergence.


def spoil(index: int, driver: Driver) -> None:
    """Give one replicate's first task a learning rate that no model survives."""
    lane = next(one for one in driver.resident if one.index == index).lanes[0]
    lane.settings = lane.settings.model_copy(update={"client_lr": 1e38})


def test_a_replicate_that_diverges_stops_alone():
    calm = run(base(num_seeds=3))
    ran = run(base(num_seeds=3), change=partial(spoil, 1))
    assert replicate(ran, 1).diverged == "tanh_1"
    assert replicate(ran, 1).timeline.end_reason == "diverged"
    last = of_replicate(ran.evaluations, 1).iloc[-1]
    assert (last.task, last["round"]) == ("tanh_1", 3)  # its first test
    assert not np.isfinite(last.loss)
    for index in (0, 2):
        assert replicate(ran, index).diverged is None
        assert_same_bits(ran, calm, index)


def test_all_replicates_may_diverge():
    tasks = {"tanh": {"client_lr": 1e30, "max_rounds": 30}}
    result = fx.simulate(
        make_config({"num_seeds": 2, "machine": {"batch_width": 4}, "tasks": tasks})
    )
    assert result.status == "finished"
    assert [one.task for one in result.diverged] == ["tanh", "tanh"]
    assert result.summary()["num_diverged"] == 2
    assert len(result.evaluations) == 2


# The server's step against the formulas, which the oracle has written out.


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_server_optimizers_follow_their_formulas(name):
    """Updates of all sizes, so that yogi's sign is of either kind and v matters from the start."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(1)
        x = rng.normal(size=9)
        m, v = np.zeros(9), np.full(9, 1e-6)
        server = make_server(OPTIMIZERS[name].rule, 9)
        version = server.init(jnp.asarray(x))
        apply = jax.jit(server.step)
        assert version.shape == (9 + server.num_state,)
        for _ in range(6):
            update = rng.normal(size=9) * 10.0 ** rng.integers(-4, 2, size=9)
            step, m, v = server_step(name, -update, m, v)
            x = x + 0.3 * step
            version = apply(version, jnp.asarray(update), 0.3)
            np.testing.assert_allclose(version[:9], x, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "directions"),
    [
        ("sgd", [0.02, -0.01]),
        ("momentum", [0.02, 0.9 * 0.02 - 0.01]),
        # v: 1e-6 + 4e-4, then 1e-4 more
        ("adagrad", [0.02 / (401e-6**0.5 + 1e-3), -0.01 / (501e-6**0.5 + 1e-3)]),
        # m: 0.002, 0.0008; v: 0.99e-6 + 4e-6 = 4.99e-6, then 0.99 * 4.99e-6 + 1e-6
        ("adam", [0.002 / (4.99e-6**0.5 + 1e-3), 0.0008 / (5.9401e-6**0.5 + 1e-3)]),
        # v: 1e-6 < 4e-4: plus 4e-6; then 5e-6 < 1e-4: plus 1e-6
        ("yogi", [0.002 / (5e-6**0.5 + 1e-3), 0.0008 / (6e-6**0.5 + 1e-3)]),
    ],
)
def test_two_server_steps_by_hand(name, directions):
    """Mean updates -0.02 and 0.01, from a model at 0 with learning rate 1."""
    server = make_server(OPTIMIZERS[name].rule, 1)
    version = server.init(jnp.zeros(1))
    for update, place in zip((-0.02, 0.01), np.cumsum(directions), strict=True):
        version = server.step(version, jnp.array([update]), jnp.float32(1.0))
        assert float(version[0]) == pytest.approx(place, rel=1e-5)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_server_state_follows_the_versions(name):
    """A run with a server optimizer, split into small windows or not: the same bits."""
    tasks = {"softmax": {"server_optimizer": name, "server_lr": 0.05, "test_every": 1}}
    config = base(tasks=tasks, max_updates=20)
    ran = run(config)
    assert_same_bits(run(config, window=3), ran)
    plain = run(base(tasks={"softmax": {"server_lr": 0.05, "test_every": 1}}, max_updates=20))
    assert models(plain)["softmax"].tobytes() != models(ran)["softmax"].tobytes()
