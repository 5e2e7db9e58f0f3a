"""What carries a plan out: the device, or nothing at all (to plan without training)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ..algorithms.allocation import NUM_UPDATES
from ..config.goal import Goal
from ..data.task_data import Splits
from ..engine.engine import Engine, PoolArrays, Program
from ..engine.planning.pack import pack
from ..engine.planning.pool import Lane, LanePool, PoolPlan, Test
from ..engine.spec import EngineSpec
from ..results.records import Seconds
from .rows import Contents, UsedRows, put_rows, read_rows

ROWS_AT_ONCE = 64  # versions handed to one call of the tests on a CPU, so that it soon ends
MOST_ROWS_AT_ONCE = 1024  # elsewhere: nearly always all of a segment
MOST_ENGINES = 8  # of an own task: the eldest is forgotten


class Score(NamedTuple):
    """One test of one version on the whole test set."""

    metric: float  # the accuracy, where the task has no other
    loss: float


class Interrupted(Exception):
    """The user asked to stop; raised between two calls of the device."""


class Executor(Protocol):
    """What the driver asks for."""

    seconds: Seconds
    temp_bytes: int | None  # of the largest program, beside its arguments; None: not known

    @property
    def is_busy(self) -> bool:
        """Whether the device still works on what ``train`` has begun."""
        ...

    def admit(self, pool: LanePool, lane: Lane, row: int) -> None:
        """Write the lane's initial version."""
        ...

    def train(self, pool: LanePool, plan: PoolPlan, step_updates: int) -> None:
        """Carry one segment out; whatever is asked for afterwards waits for its end."""
        ...

    def test(self, pool: LanePool, tests: Sequence[Test]) -> list[Score]:
        """Score versions."""
        ...

    def spread(self, pool: LanePool, rows: Sequence[int]) -> float:
        """``(1/V) sum ||update - mean||^2 / ||mean||^2`` over update rows."""
        ...

    def losses(self, pool: LanePool, rows: Sequence[int]) -> list[float]:
        """The mean local training loss that belongs to each update row."""
        ...

    def spreads(self, pool: LanePool, windows: Sequence[Sequence[int]]) -> list[float]:
        """``spread`` of each of several equally long lists of update rows, without the biases."""
        ...

    def model(self, pool: LanePool, row: int) -> dict[str, Any] | None:
        """Every leaf of a version as a NumPy array, by its path."""
        ...

    def read(self, pool: LanePool, rows: UsedRows) -> Contents:
        """What rows hold, for a checkpoint."""
        ...

    def write(self, pool: LanePool, rows: UsedRows, contents: Contents) -> None:
        """Let rows hold what ``read`` found."""
        ...


@dataclass
class PlanOnly:
    """Trains nothing; no test is ever passed."""

    seconds: Seconds = field(default_factory=Seconds)
    temp_bytes: int | None = None
    is_busy = False

    def admit(self, pool: LanePool, lane: Lane, row: int) -> None:
        """Nothing to write."""

    def train(self, pool: LanePool, plan: PoolPlan, step_updates: int) -> None:
        """Nothing to train."""

    def test(self, pool: LanePool, tests: Sequence[Test]) -> list[Score]:
        """What meets no target."""
        return [Score(_unmet(test.lane.settings.goal), 0.0) for test in tests]

    def spread(self, pool: LanePool, rows: Sequence[int]) -> float:
        """1, whatever the task: so all of them weigh alike."""
        return 1.0

    def losses(self, pool: LanePool, rows: Sequence[int]) -> list[float]:
        """The same for every request."""
        return [1.0] * len(rows)

    def spreads(self, pool: LanePool, windows: Sequence[Sequence[int]]) -> list[float]:
        """1 for every list, as ``spread``."""
        return [1.0] * len(windows)

    def model(self, pool: LanePool, row: int) -> None:
        """There is none."""

    def read(self, pool: LanePool, rows: UsedRows) -> Contents:
        """Nothing."""
        nothing = np.zeros((len(rows.updates), 0))
        return Contents(np.zeros((len(rows.versions), 0)), nothing, nothing)

    def write(self, pool: LanePool, rows: UsedRows, contents: Contents) -> None:
        """Nothing to write."""


@dataclass
class _Loaded:
    """One pool on the device."""

    engine: Engine
    arrays: PoolArrays
    capacity: tuple[int, int]
    data: Splits
    run: Callable | None = None  # compiled
    evaluate: Callable | None = None


class Device:
    """Runs programs on the pools' devices; one compilation per pool."""

    def __init__(
        self,
        is_stopped: Callable[[], bool] = lambda: False,
        make_engine: Callable[[EngineSpec], Engine] = Engine,
    ) -> None:
        """Compile nothing yet.

        Args:
            is_stopped: asked between calls of the device; True raises ``Interrupted``.
            make_engine: called once for each pool; may hand out an engine that is in use already.
        """
        self.seconds = Seconds()
        self.temp_bytes: int | None = None
        self._is_stopped, self._make_engine = is_stopped, make_engine
        self._loaded: dict[int, _Loaded] = {}
        self._begun: _Loaded | None = None  # the pool of the call that nobody has waited for yet

    @property
    def is_busy(self) -> bool:
        """Whether the device still works on what ``train`` has begun."""
        return self._begun is not None and not self._begun.arrays.versions.is_ready()  # type: ignore[attr-defined]

    def admit(self, pool: LanePool, lane: Lane, row: int) -> None:
        """Write the lane's initial version."""
        loaded = self._load(pool)
        with self.seconds.measure("compile"):  # a few numbers: nearly all of it is compilation
            loaded.arrays = loaded.engine.admit(
                loaded.arrays, np.int32(row), np.uint32(lane.seed), np.uint32(lane.task)
            )

    def train(self, pool: LanePool, plan: PoolPlan, step_updates: int) -> None:
        """Carry one segment out, call by call; of the last one the end is not waited for."""
        del step_updates  # any number will do
        loaded = self._load(pool)
        with self.seconds.measure("plan"):
            columns, samples = pool.columns(plan.lanes), pool.samples(plan)
            programs = list(
                pack(
                    plan.schedule,
                    columns,
                    samples,
                    pool.shapes,
                    np.dtype(pool.spec.dtype),
                )
            )
        for program in programs:
            self._wait()
            if self._is_stopped():
                raise Interrupted
            self._compile_run(loaded, program)
            with self.seconds.measure("train"):
                assert loaded.run is not None
                loaded.arrays = loaded.run(loaded.arrays, program, loaded.data.train)
            self._begun = loaded

    def test(self, pool: LanePool, tests: Sequence[Test]) -> list[Score]:
        """Score versions, a fixed number in a call."""
        scores, at_once = [], _tests_at_once(pool)
        for start in range(0, len(tests), at_once):
            if self._is_stopped():
                raise Interrupted
            scores += self._test(pool, [test.row for test in tests[start : start + at_once]])
        return scores

    def spread(self, pool: LanePool, rows: Sequence[int]) -> float:
        """``(1/V) sum ||update - mean||^2 / ||mean||^2`` over at most V update rows."""
        loaded = self._load(pool)
        padded = np.zeros(NUM_UPDATES, np.int32)
        padded[: len(rows)] = rows
        with self.seconds.measure("test"):
            return float(loaded.engine.spread(loaded.arrays.updates, padded, np.int32(len(rows))))

    def losses(self, pool: LanePool, rows: Sequence[int]) -> list[float]:
        """The mean local training loss that belongs to each update row."""
        loaded = self._load(pool)
        with self.seconds.measure("test"):
            # A copy: a view held on the host would keep the pool's array from being donated.
            losses = np.asarray(jnp.copy(loaded.arrays.losses))
        return losses[np.asarray(rows, np.int64)].tolist()

    def spreads(self, pool: LanePool, windows: Sequence[Sequence[int]]) -> list[float]:
        """``spread`` of each list of rows, without the biases; ``ROWS_AT_ONCE`` lists in a call."""
        loaded, spreads = self._load(pool), []
        for start in range(0, len(windows), ROWS_AT_ONCE):
            some = np.asarray(windows[start : start + ROWS_AT_ONCE], np.int32)
            padded = np.zeros((ROWS_AT_ONCE, some.shape[1]), np.int32)
            padded[: len(some)] = some
            with self.seconds.measure("test"):
                measured = loaded.engine.spreads(
                    loaded.arrays.updates, padded, np.int32(len(some)), loaded.engine.is_no_bias
                )
                spreads += np.asarray(measured, np.float64)[: len(some)].tolist()
        return spreads

    def model(self, pool: LanePool, row: int) -> dict[str, np.ndarray]:
        """Every leaf of a version as a NumPy array, by its path."""
        loaded = self._load(pool)
        model = loaded.engine.unflatten(loaded.arrays.versions[row])
        leaves, _ = jax.tree_util.tree_flatten_with_path(model)
        return {path_name(path): np.asarray(leaf) for path, leaf in leaves}

    def read(self, pool: LanePool, rows: UsedRows) -> Contents:
        """What rows hold, for a checkpoint."""
        arrays = self._load(pool).arrays
        return Contents(*map(read_rows, arrays, _rows_of_each(rows)))

    def write(self, pool: LanePool, rows: UsedRows, contents: Contents) -> None:
        """Let rows hold what ``read`` found."""
        loaded = self._load(pool)
        loaded.arrays = PoolArrays(*map(put_rows, loaded.arrays, _rows_of_each(rows), contents))

    def _test(self, pool: LanePool, rows: list[int]) -> list[Score]:
        loaded = self._load(pool)
        padded = np.zeros(_tests_at_once(pool), np.int32)
        padded[: len(rows)] = rows
        arguments = loaded.arrays.versions, padded, np.int32(len(rows)), loaded.data.test
        if loaded.evaluate is None:
            with self.seconds.measure("compile"):
                lowered = loaded.engine.evaluate.lower(*arguments, pool.data.num_tests)
                loaded.evaluate = self._noted(lowered.compile())
        with self.seconds.measure("test"):
            scores = jax.device_get(loaded.evaluate(*arguments))
        total = pool.data.num_tests
        return [
            Score(float(metric) / total, float(loss) / total)
            for metric, loss in zip(
                scores.metric[: len(rows)], scores.loss[: len(rows)], strict=True
            )
        ]

    def _wait(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            with self.seconds.measure("train"):
                jax.block_until_ready(begun.arrays)

    def _load(self, pool: LanePool) -> _Loaded:
        """The pool's arrays, once no call is under way."""
        self._wait()
        loaded = self._loaded.get(id(pool))
        if loaded is None:
            engine = _engine_of(pool.spec, self._make_engine)
            data = jax.device_put(pool.data.on_device, engine.everywhere)
            loaded = _Loaded(engine, engine.empty_pool(*pool.capacity), pool.capacity, data)
            self._loaded[id(pool)] = loaded
        if loaded.capacity != pool.capacity:
            _grow(loaded, pool.capacity)
        return loaded

    def _compile_run(self, loaded: _Loaded, program: Program) -> None:
        if loaded.run is None:
            with self.seconds.measure("compile"):
                lowered = loaded.engine.run.lower(loaded.arrays, program, loaded.data.train)
                loaded.run = self._noted(lowered.compile())

    def _noted(self, compiled: jax.stages.Compiled) -> Callable:
        """A program, once its temporary memory has been noted where the backend tells it."""
        found = compiled.memory_analysis()
        if found is not None:
            self.temp_bytes = max(self.temp_bytes or 0, found.temp_size_in_bytes)
        return compiled


def _grow(loaded: _Loaded, capacity: tuple[int, int]) -> None:
    """Move the rows into larger arrays; the programs must be compiled again."""
    larger = loaded.engine.empty_pool(*capacity)
    loaded.arrays = PoolArrays(
        *(new.at[: len(old)].set(old) for new, old in zip(larger, loaded.arrays, strict=True))
    )
    loaded.capacity, loaded.run, loaded.evaluate = capacity, None, None


def _engine_of(spec: EngineSpec, make: Callable[[EngineSpec], Engine]) -> Engine:
    """The compiled functions of a pool; those of an own task are kept with it, run after run."""
    kept = spec.kind.engines
    if kept is None:
        return make(spec)
    if spec.key not in kept:
        if len(kept) == MOST_ENGINES:
            del kept[next(iter(kept))]
        kept[spec.key] = make(spec)
    return kept[spec.key]


def _unmet(goal: Goal) -> float:
    """A metric that is on the wrong side of every target."""
    return sys.float_info.max if goal.is_less_better else -sys.float_info.max


def _tests_at_once(pool: LanePool) -> int:
    return ROWS_AT_ONCE if pool.spec.is_cpu else MOST_ROWS_AT_ONCE


def _rows_of_each(rows: UsedRows) -> tuple[list[int], list[int], list[int]]:
    """Of each array of ``PoolArrays``: a loss goes with its update."""
    return rows.versions, rows.updates, rows.updates


def path_name(path: Sequence[Any]) -> str:
    return "/".join(map(_key_name, path))


def _key_name(key: Any) -> str:
    """Of a dict, of a list, or of an object with fields."""
    names = (getattr(key, kind, None) for kind in ("key", "idx", "name"))
    return str(next((name for name in names if name is not None), key))
