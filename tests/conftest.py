"""What all tests share: two tiny smooth tasks, small scenarios, and a device made of symbols.

Warnings are errors (see pyproject.toml).
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
import pandas as pd
import pytest
from compile_cache import Exchange, open_cache
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fedast_jax.algorithms import get_algorithm
from fedast_jax.config.compiled import SWITCH
from fedast_jax.config.settings import Config
from fedast_jax.data.pooled_data import PooledData
from fedast_jax.engine import devices
from fedast_jax.engine.engine import Engine
from fedast_jax.engine.planning.pool import Lane, LanePool, PoolPlan, Test
from fedast_jax.engine.planning.schedule import Schedule
from fedast_jax.engine.spec import EngineSpec
from fedast_jax.oracle import Known, Request, SymbolicLearner, load_data, shared_out
from fedast_jax.results.records import Seconds
from fedast_jax.results.tables import evaluation_table, request_table
from fedast_jax.run import simulate as simulate_module
from fedast_jax.run.driver import Driver
from fedast_jax.run.executor import Contents, Device, Executor, Score, UsedRows
from fedast_jax.run.prepare import Prepared
from fedast_jax.run.replicate import Arm, Replicate
from fedast_jax.run.resolve import ResolvedTask, make_config, resolve
from fedast_jax.tasks import Defaults, Kind, Shape, TaskFunctions, classification, register_task
from fedast_jax.tasks.digits import NORMALISE
from fedast_jax.tasks.nn.layers import Dense

os.environ["JAX_NUM_CPU_DEVICES"] = "1"  # in processes that tests start: the same on any machine
jax.config.update("jax_num_cpu_devices", 4)  # for test_devices.py; all else uses the first
devices.usable_cores = lambda: 1  # the same numbers on any machine
jax.config.update("jax_numpy_dtype_promotion", "strict")  # types are mixed on purpose or not at all

SLOW_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile(
    "fixed", deadline=None, derandomize=True, max_examples=60, suppress_health_check=SLOW_CHECKS
)
settings.register_profile(  # pytest --hypothesis-profile=search: new examples, many more of them
    "search", deadline=None, max_examples=600, suppress_health_check=SLOW_CHECKS
)
settings.load_profile("fixed")
SWITCH.mode = "never"  # compiling takes seconds; test_compiled_planning.py compares


class Perceptron(nn.Module):
    """Softmax regression, or with tanh units between: no kinks, so that rounding stays rounding."""

    hidden: int
    num_classes: int
    has_tanh_on_logits: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images.reshape(len(images), -1)
        if self.hidden:
            x = nn.tanh(Dense(self.hidden)(x))
        logits = Dense(self.num_classes)(x)
        return nn.tanh(logits) if self.has_tanh_on_logits else logits


def build_softmax(shape: Shape) -> TaskFunctions:
    """650 numbers for the digits' shape."""
    return classification(Perceptron(0, shape.num_classes), shape, NORMALISE)


def build_tanh(shape: Shape) -> TaskFunctions:
    """Eight hidden units."""
    return classification(Perceptron(8, shape.num_classes), shape, NORMALISE)


def build_authors_tanh(shape: Shape) -> TaskFunctions:
    """What stands for a model that the authors have otherwise."""
    return classification(Perceptron(8, shape.num_classes, True), shape, NORMALISE)


register_task(
    "softmax",
    Kind(
        "softmax",
        "digits",
        build_softmax,
        Defaults(
            client_lr=0.5,
            weight_decay=1e-3,
            step_time=0.5,
            server_lr=1.0,
            batch_size=10,
            local_epochs=1,
            samples_per_client=25,
            dirichlet_alpha=1.0,
            test_every=2,
            num_active=6,
            buffer_size=2,
        ),
        test_chunk=200,
    ),
)
register_task(
    "tanh",
    Kind(
        "tanh",
        "digits",
        build_tanh,
        Defaults(
            client_lr=1.0,
            weight_decay=1e-3,
            step_time=0.5,
            server_lr=1.0,
            batch_size=8,
            local_epochs=None,
            local_steps=3,
            samples_per_client=20,
            dirichlet_alpha=1.0,
            test_every=2,
            num_active=6,
            buffer_size=2,
        ),
        micro_batch={"cpu": 2},
        test_chunk=1000,
        authors_build=build_authors_tanh,
    ),
)


class KeepingDriver(Driver):
    """A driver that keeps its replicates once they have ended, for tests to look inside."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ended: list[Replicate] = []

    def retire(self) -> None:
        self.ended += [one for one in self.resident if one.timeline.end_reason]
        super().retire()


class Ran(NamedTuple):
    """What a driver did, in the tables of the run folder."""

    driver: KeepingDriver
    requests: pd.DataFrame
    evaluations: pd.DataFrame


def run_driver(
    config: Config,
    executor: Executor,
    *,
    capacity: tuple[int, int] = (120, 120),
    num_resident: int | None = None,
    window: int = 40,
    step_updates: int | None = None,
    change: Callable[[Driver], None] | None = None,
) -> Ran:
    """Run a configuration over pools of a chosen size.

    Args:
        config: with ``machine.batch_width``; one kind has one set of shapes.
        executor: what trains.
        capacity: rows of each pool at the start (versions, updates).
        num_resident, window: as of ``Driver.run``.
        step_updates: instead of the driver's choice.
        change: called with the driver when its first replicates have been admitted.
    """
    num_resident = num_resident or config.num_seeds
    with jax.enable_x64(config.machine.precision == "float64"):
        pools, setting = pools_of(config)
        for pool in pools:
            pool.grow(*capacity)
        on_segment = getattr(executor, "on_segment", lambda driver: None)
        driver = KeepingDriver([setting], pools, executor, on_segment, keep_models=True)
        driver.step_updates = step_updates or driver.step_updates
        if change is not None:
            driver.admit(num_resident)
            change(driver)
        driver.run(num_resident, window)
        records = sorted(driver.records(), key=lambda record: record.index)
        return Ran(driver, request_table(records), evaluation_table(records))


def pools_of(config: Config) -> tuple[list[LanePool], Arm]:
    """One pool a kind, and the pool of each task."""
    pools: dict[str, LanePool] = {}
    resolved = resolve(config)
    for task in resolved.tasks:
        if task.kind.name not in pools:
            data = load_data(task.kind.name)
            data = PooledData(data) if resolved.algorithm.pools_data else data
            pools[task.kind.name] = LanePool(engine_spec(config, task), data)
    pool_of = [list(pools).index(task.kind.name) for task in resolved.tasks]
    return list(pools.values()), Arm(config, resolved.algorithm, pool_of, resolved.rules)


def engine_spec(config: Config, task: ResolvedTask, steps: int = 3) -> EngineSpec:
    """The spec of a task's pool on this machine."""
    assert config.machine.batch_width is not None
    return EngineSpec(
        kind=task.kind,
        shape=load_data(task.kind.name).shape,
        work=task.work,
        rule=task.method.rule,
        width=config.machine.batch_width,
        steps=steps,
        precision=config.machine.precision,
        backend=jax.default_backend(),
        num_devices=config.machine.num_devices or 1,
        most_updates=most_updates(config, task),
        local=task.method.local,
        is_proximal=task.settings.proximal > 0,
    )


def most_updates(config: Config, task: ResolvedTask) -> int:
    """B: one of few numbers, so that programs can be shared."""
    largest = get_algorithm(config.algorithm).largest_round(config)
    if task.method.rule.step:
        return 1
    return next(size for size in (1, 4, 16, 64, 256) if size >= largest)


class Lowered:
    """A jitted function that poses as its own lowering, so that its programs are kept."""

    def __init__(self, function: Callable) -> None:
        self.function = function

    def lower(self, *arguments: Any) -> Lowered:
        """The last of the tests' five arguments is static and no argument of the program."""
        static = arguments[4:]
        return Lowered(lambda *given: self.function(*given, *static))

    def compile(self) -> Lowered:
        """Compiled at the first call with new shapes."""
        return self

    def memory_analysis(self) -> None:
        """Nothing is known before that."""

    def __call__(self, *given: Any) -> Any:
        """Run it."""
        return self.function(*given)


ENGINES: dict[tuple, Engine] = {}
QUICK = "jax_disable_most_optimizations"
MOST_ENGINES = 24  # with their programs: the one that was not used for longest is forgotten


def shared_engine(spec: EngineSpec) -> Engine:
    """One engine for all equal specs, whatever the devices that use it."""
    how = spec.micro_batch, spec.groups_at_once, spec.ticks, spec.tests(360), jax.config.read(QUICK)
    key = *spec.key, *how
    engine = ENGINES.pop(key, None)
    if engine is None:
        engine = Engine(spec)
        engine.run, engine.evaluate = Lowered(engine.run), Lowered(engine.evaluate)  # type: ignore
    ENGINES[key] = engine
    if len(ENGINES) > MOST_ENGINES:
        del ENGINES[next(iter(ENGINES))]
    return engine


def shared_device() -> Device:
    """A device whose programs are traced and compiled once for all tests that use one."""
    return Device(make_engine=shared_engine)


@pytest.fixture
def own_engines(monkeypatch):
    """Each run traces and compiles for itself, as outside the tests."""
    monkeypatch.setattr(simulate_module, "Device", Device)


simulate_module.Device = partial(Device, make_engine=shared_engine)  # type: ignore
plain_driver = Prepared.driver


def driver_of_few_sizes(self: Prepared, *arguments: Any, **options: Any) -> Driver:
    """With more rows than are needed: they change no bit, and runs of one kind share programs."""
    for pool, needs in zip(self.pools, self.sizing.needs, strict=True):
        rows = needs.rows(self.sizing.num_resident)
        if max(rows) * needs.version_bytes < LARGE_POOL:
            pool.grow(*map(some_rows, rows))
    return plain_driver(self, *arguments, **options)


def some_rows(number: int) -> int:
    """One of few numbers, and not less."""
    return next(size for size in (4**power for power in range(2, 30)) if size >= number)


LARGE_POOL = 2**24  # bytes
Prepared.driver = driver_of_few_sizes


class Row(NamedTuple):
    """What a row holds: whose it is, its number there (version or request), and its content."""

    lane: tuple[int, int]  # replicate, task
    number: int
    content: int


class SymbolicDevice:
    """Carries plans out on the numbers of ``SymbolicLearner``, and minds every row.

    A row that is read must have been written for the same lane and number since it was last free;
    a row that is written must be free.
    """

    def __init__(self, learner: SymbolicLearner | None = None) -> None:
        self.learner = learner or SymbolicLearner()
        self.seconds = Seconds()
        self.temp_bytes: int | None = None
        self.versions: dict[tuple[int, int], Row] = {}  # (pool, row)
        self.updates: dict[tuple[int, int], Row] = {}
        self.loss_of: dict[tuple[int, int], float] = {}  # of what an update row holds
        self.trained: Counter[tuple[int, int, int]] = Counter()  # (replicate, task, request)
        self.rounds: Counter[tuple[int, int, int]] = Counter()  # (replicate, task, round)

    def admit(self, pool: LanePool, lane: Lane, row: int) -> None:
        content = self.learner.initial(lane.seed, lane.task)
        self.put(self.versions, pool, row, Row((lane.replicate, lane.task), 0, content))

    def train(self, pool: LanePool, plan: PoolPlan, step_updates: int) -> None:
        steps, slot, closed = plan.schedule, 0, 0
        for slot_stop, round_stop in zip(steps.slot_stop, steps.round_stop, strict=True):
            assert slot_stop - slot <= pool.spec.width
            for index in range(slot, slot_stop):
                self.train_slot(pool, plan, index)
            used = [self.close_round(pool, plan, index) for index in range(closed, round_stop)]
            assert sum(used) <= step_updates
            slot, closed = slot_stop, round_stop
        assert (slot, closed) == (steps.num_slots, len(steps.round_lane))

    def train_slot(self, pool: LanePool, plan: PoolPlan, index: int) -> None:
        steps = plan.schedule
        lane, number = plan.lanes[steps.slot_lane[index]], steps.slot_request[index]
        columns, key = lane.timeline.requests, (lane.replicate, lane.task)
        assert columns.task[number] == lane.task
        base = self.versions[id(pool), steps.slot_base_row[index]]
        assert (base.lane, base.number) == (key, columns.base_round[number])
        client = columns.client[number]
        request = Request(number, lane.task, client, 0.0, 0.0, 0.0, base.number)
        content, loss = self.learner.train(lane.seed, request, base.content)
        self.put(self.updates, pool, steps.slot_update_row[index], Row(key, number, content))
        self.loss_of[id(pool), steps.slot_update_row[index]] = loss
        self.trained[*key, number] += 1

    def close_round(self, pool: LanePool, plan: PoolPlan, index: int) -> int:
        steps = plan.schedule
        lane = plan.lanes[steps.round_lane[index]]
        key = (lane.replicate, lane.task)
        start = steps.round_update_stop[index - 1] if index else 0
        rows = steps.update_row[start : steps.round_update_stop[index]]
        source = self.versions[id(pool), steps.round_source_row[index]]
        updates = [self.updates[id(pool), row] for row in rows]
        assert {row.lane for row in (source, *updates)} == {key}
        known = self.known(pool, steps, index, start)
        content = self.learner.aggregate(
            lane.task, source.content, [row.content for row in updates], known
        )
        target = Row(key, source.number + 1, content)
        self.put(self.versions, pool, steps.round_target_row[index], target)
        self.rounds[*key, source.number] += 1
        return len(updates)

    def known(self, pool: LanePool, steps: Schedule, index: int, start: int) -> Known:
        """What the plan says of a round's updates, as far as the learner looks at it."""
        marks, part = steps.marks, slice(start, steps.round_update_stop[index])
        if marks is None:
            return Known([], [], [], [], 0, 0, [])
        seen, key = self.learner.sees, id(pool)
        before = marks.previous_row[part] if "previous" in seen else []
        starts = marks.start_row[part] if "starts" in seen else []
        return Known(
            marks.staleness[part],
            marks.weight[part],
            [None if row < 0 else self.updates[key, row].content for row in before],
            [self.versions[key, row].content for row in starts],
            0,
            marks.num_active[index],
            [],
        )

    def test(self, pool: LanePool, tests: Sequence[Test]) -> list[Score]:
        scores = []
        for test in tests:
            row = self.versions[id(pool), test.row]
            assert (row.lane, row.number) == ((test.lane.replicate, test.lane.task), test.round)
            scores.append(Score(*self.learner.score(test.lane.task, row.content)))
        return scores

    def spread(self, pool: LanePool, rows: Sequence[int]) -> float:
        updates = [self.updates[id(pool), row] for row in rows]
        assert len({(row.lane, row.number) for row in updates}) == len(rows)
        assert len({row.lane for row in updates}) == 1
        return self.learner.spread([row.content for row in updates])

    def losses(self, pool: LanePool, rows: Sequence[int]) -> list[float]:
        held = [self.updates[id(pool), row] for row in rows]
        assert len({(row.lane, row.number) for row in held}) == len(rows)
        return [self.loss_of[id(pool), row] for row in rows]

    def spreads(self, pool: LanePool, windows: Sequence[Sequence[int]]) -> list[float]:
        return [self._spread_without_biases(pool, rows) for rows in windows]

    def _spread_without_biases(self, pool: LanePool, rows: Sequence[int]) -> float:
        updates = [self.updates[id(pool), row] for row in rows]
        assert len({(row.lane, row.number) for row in updates}) == len(rows)
        assert len({row.lane for row in updates}) == 1
        return self.learner.spread_without_biases([row.content for row in updates])

    def model(self, pool: LanePool, row: int) -> dict[str, int]:
        return {"content": self.versions[id(pool), row].content}

    def read(self, pool: LanePool, rows: UsedRows) -> Contents:
        """Every row's four numbers."""
        return Contents(
            np.array([_numbers(self.versions[id(pool), row]) for row in rows.versions], np.int64),
            np.array([_numbers(self.updates[id(pool), row]) for row in rows.updates], np.int64),
            np.array([self.loss_of[id(pool), row] for row in rows.updates], np.float64),
        )

    def write(self, pool: LanePool, rows: UsedRows, contents: Contents) -> None:
        *rows_held, losses = contents
        for row, loss in zip(rows.updates, losses.tolist(), strict=True):
            self.loss_of[id(pool), row] = loss
        for held, numbers, values in zip(
            (self.versions, self.updates), rows, rows_held, strict=True
        ):
            for number, (replicate, task, which, content) in zip(
                numbers, values.tolist(), strict=True
            ):
                self.put(held, pool, number, Row((replicate, task), which, content))

    def put(self, rows: dict, pool: LanePool, number: int, row: Row) -> None:
        capacity = pool.capacity[rows is self.updates]
        assert 0 <= number < capacity
        assert (id(pool), number) not in rows, "the row was in use"
        rows[id(pool), number] = row

    def on_segment(self, driver: Driver) -> None:
        """Forget what lies in free rows; every row is free or held by one lane."""
        for pool in driver.pools:
            held = [lane.rows for lane in pool.lanes]
            versions = [row for rows in held for row in rows.versions.values()]
            updates = [row for rows in held for row in rows.updates.values()]
            assert sorted(versions + pool.free.versions) == list(range(pool.capacity[0]))
            assert sorted(updates + pool.free.updates) == list(range(pool.capacity[1]))
            for row in pool.free.versions:
                self.versions.pop((id(pool), row), None)
            for row in pool.free.updates:
                self.updates.pop((id(pool), row), None)


def _numbers(row: Row) -> list[int]:
    return [*row.lane, row.number, row.content]


def named_leaves(model: Any) -> dict[str, np.ndarray]:
    """Of a tree of dicts, as models are saved."""
    if not isinstance(model, dict):
        return {"": np.asarray(model)}
    return {
        f"{key}/{name}".rstrip("/"): leaf
        for key, part in model.items()
        for name, leaf in named_leaves(part).items()
    }


def assert_identical(ours: Any, theirs: Any) -> None:
    """Equal in every bit and in every type, however deep; a NaN equals itself."""
    assert type(ours) is type(theirs)
    if isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_identical(one, other)
    elif isinstance(theirs, dict):
        assert_identical(list(ours), list(theirs))
        for key, value in theirs.items():
            assert_identical(ours[key], value)
    elif isinstance(theirs, np.ndarray | np.generic):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.tobytes() == theirs.tobytes()
    elif isinstance(theirs, array):
        assert (ours.typecode, ours.tobytes()) == (theirs.typecode, theirs.tobytes())
    else:
        assert repr(ours) == repr(theirs)


class Scenario(NamedTuple):
    """A configuration and how the driver goes about it."""

    config: Config
    capacity: tuple[int, int]
    num_resident: int
    window: int

    def run(self, executor: Executor, **more: Any) -> Ran:
        """Run it on an executor."""
        return run_driver(
            self.config,
            executor,
            capacity=self.capacity,
            num_resident=self.num_resident,
            window=self.window,
            **more,
        )


@st.composite
def task_tables(
    draw, targets: Sequence[float | str], most_active: int, granule: int = 1
) -> dict[str, Any]:
    """Settings of one task; those that shape compiled programs stay with the kind."""
    num_active = granule * draw(st.integers(1, most_active))
    table = {
        "kind": draw(st.sampled_from(["softmax", "tanh"])),
        "num_active": num_active,
        "buffer_size": draw(st.integers(1, num_active)),
        "test_every": draw(st.integers(1, 3)),
        "target_accuracy": draw(st.sampled_from(targets)),
        "step_time": draw(st.sampled_from([0.5, 0.5, 0.7])),
    }
    if draw(st.booleans()):
        table["max_rounds"] = draw(st.integers(1, 12))
    return table


@st.composite
def scenarios(
    draw,
    targets: Sequence[float | str] = ("none", 0.3, 0.8, 0.9, 0.97),
    widths: Sequence[int] = (1, 2, 3, 8),
    capacities: Sequence[tuple[int, int]] = ((1, 1), (6, 4), (30, 9), (150, 150)),
    most_active: int = 10,
    num_updates: tuple[int, int] = (1, 120),
    num_tasks: tuple[int, int] = (1, 4),
    granule: int = 1,
    precision: str = "float32",
    **top: Any,
) -> Scenario:
    """Small runs in which much happens: ties, caps, stops, few rows, tiny windows.

    R is a multiple of ``granule``. What ``top`` sets is as it says, or drawn where it says a list.
    """
    names = ["a", "b", "c", "d"][: draw(st.integers(*num_tasks))]
    tasks = {name: draw(task_tables(targets, most_active, granule)) for name in names}
    if len(names) == 2 and draw(st.booleans()):
        tasks["b"]["copies"] = 2
    num_clients = draw(st.sampled_from([1, 2, 3, 5, 20, 100]))
    table = {
        "tasks": tasks,
        "seed": draw(st.integers(0, 9)),
        "num_seeds": draw(st.integers(1, 3)),
        "num_clients": num_clients,
        "max_updates": draw(st.integers(*num_updates)),
        "machine": {"batch_width": draw(st.sampled_from(widths)), "precision": precision},
        "delays": draw(st.sampled_from(DELAYS)),
    }
    for name, value in top.items():
        table[name] = draw(st.sampled_from(value)) if isinstance(value, list) else value
    if draw(st.booleans()):
        table["max_active_clients"] = draw(st.integers(1, min(num_clients, 8)))
    if draw(st.booleans()):
        table["time_limit"] = draw(st.sampled_from([2.0, 9.0, 30.0]))
    if get_algorithm(table.get("algorithm", "fedast")).is_synchronous:
        draw(sync_settings(table))
    return Scenario(
        make_config(table),
        capacity=draw(st.sampled_from(capacities)),
        num_resident=draw(st.integers(1, 3)),
        window=draw(st.sampled_from([1, 3, 10, 50])),
    )


@st.composite
def sync_settings(draw, table: dict[str, Any]) -> None:
    """Give a scenario's table what synchronous algorithms need: clients for every task."""
    weights = []
    for task in table["tasks"].values():
        task["sync_weight"] = draw(st.sampled_from([1.0, 1.0, 2.0, 3.5, 0.1]))
        weights += [task["sync_weight"]] * task.get("copies", 1)
    table["num_clients"] = max(table["num_clients"], len(weights))
    num_active = draw(st.integers(len(weights), min(table["num_clients"], 16)))
    table["max_active_clients"] = num_active
    if num_active == table["num_clients"]:
        del table["max_active_clients"]  # it is the default
    most = min(shared_out(weights, num_active))
    table["keep_first"] = draw(st.integers(1, most) | st.sampled_from(["all"]))


EQUAL = {"speeds": [1.0], "shares": [1.0]}
DELAYS = [
    {"law": "shifted_exponential"},
    {"law": "constant", **EQUAL},  # many ties
    {"law": "constant"},
    {"law": "half_normal"},
]


@pytest.fixture(scope="session")
def _exchange(tmp_path_factory) -> Exchange:
    """Every program is compiled once in a session, whatever worker needs it next."""
    base = tmp_path_factory.getbasetemp()
    is_worker = "PYTEST_XDIST_WORKER" in os.environ  # then its folder lies in the session's
    own, shared = base / "programs", (base.parent if is_worker else base) / "all_programs"
    shared.mkdir(exist_ok=True)
    open_cache(own)
    return Exchange(own, shared)


@pytest.fixture(autouse=True)
def _programs(_exchange):
    """Those of other workers."""
    _exchange()


@pytest.fixture(scope="module", autouse=True)
def _optimisation(request):
    """Where nothing is asked of bits or speed, XLA compiles in half the time, to the same meaning.

    Not where slow tests are asked for, too: that session is as it is for a user throughout.
    """
    is_short = "not slow" in request.config.getoption("markexpr")
    is_quick = is_short and request.node.get_closest_marker("optimised") is None
    jax.config.update(QUICK, is_quick)
    yield
    jax.config.update(QUICK, False)


@pytest.fixture(autouse=True)
def _leaves_no_trace():
    """A test that leaves JAX in double precision would change those after it."""
    assert not jax.config.read("jax_enable_x64")
    yield
    assert not jax.config.read("jax_enable_x64")
