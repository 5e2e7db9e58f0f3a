"""Raw training speed of one kind on this machine: the engine's own program, with nothing to close.

No timeline, no aggregation, no tests; the data is random.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from ..algorithms.methods.server_optimizers import SERVER_OPTIMIZERS
from ..config.work import LocalWork
from ..data.shapes import Data
from ..data.sources import DATASETS
from ..data.text import SYMBOLS, WINDOW
from ..engine.devices import find_devices
from ..engine.engine import Engine, PoolArrays
from ..engine.flops import gemm_peak, step_flops
from ..engine.planning.pack import LaneColumns, Program, Shapes, pack
from ..engine.planning.schedule import Schedule
from ..engine.spec import EngineSpec
from ..tasks import Kind, Shape, get_kind

SLOTS = 16  # requests of one batch on one device
NUM_EXAMPLES = 4000
NUM_ROWS = 4 * SLOTS

SHAPES = {
    **{name: Shape(entry.image_shape, entry.num_classes) for name, entry in DATASETS.items()},
    "shakespeare": Shape((WINDOW,), len(SYMBOLS)),
}
"""Of the known data sets, so that a benchmark needs no files; other kinds use CIFAR-10's."""


@dataclass(frozen=True)
class BenchResult:
    """What one benchmark measured."""

    updates_per_second: float
    compile_seconds: float
    gflops: float  # matrix products only, per second
    peak_gflops: float  # of a square matrix product in the same process
    fraction: float  # gflops / peak_gflops


def bench(kind_name: str, num_updates: int = 64) -> BenchResult:
    """Train ``num_updates`` requests (rounded up to whole batches) on random data.

    Raises:
        ValueError: if there is no such kind, or if ``num_updates < 1``.
    """
    if num_updates < 1:
        raise ValueError(f"num_updates must be at least 1, got {num_updates}")
    kind = get_kind(kind_name)
    num_devices, _ = find_devices()
    width = SLOTS * num_devices
    num_batches = -(-num_updates // width)
    run, compile_seconds = compile_training(kind, num_batches, width=width, num_devices=num_devices)
    seconds = run()
    rate = num_batches * width / seconds
    peak = gemm_peak() / 1e9
    gflops = rate * update_flops(kind) / 1e9
    return BenchResult(rate, compile_seconds, gflops, peak, gflops / peak)


def compile_training(
    kind: Kind, num_batches: int, micro: int | None = None, width: int = SLOTS, **spec: object
) -> tuple[Callable[[], float], float]:
    """Compile the engine for full batches.

    Args:
        kind: what to train.
        num_batches: of one run.
        micro: clients side by side; None: the kind's choice.
        width: requests of one batch.
        spec: other fields of ``EngineSpec`` than the defaults (one device, float32).
    Returns:
        A function that trains ``num_batches * width`` updates once and returns the seconds it took,
        and the seconds of compiling.
    """
    kind = kind.with_side_by_side(micro)
    engine = Engine(engine_spec(kind, width, num_batches, jax.default_backend(), **spec))
    data = jax.device_put(random_data(kind), engine.everywhere)
    pool, program = random_pool(engine), jax.device_put(full_batches(engine), engine.everywhere)
    start = time.perf_counter()
    compiled = engine.run.lower(pool, program, data).compile()
    compile_seconds = time.perf_counter() - start

    def run() -> float:
        nonlocal pool
        start = time.perf_counter()
        pool = jax.block_until_ready(compiled(pool, program, data))
        return time.perf_counter() - start

    return run, compile_seconds


def engine_spec(kind: Kind, width: int, steps: int, backend: str, **changes: object) -> EngineSpec:
    """What the engine is compiled for, with the kind's defaults."""
    rule = SERVER_OPTIMIZERS["sgd"].rule
    spec = EngineSpec(kind, shape_of(kind), work_of(kind), rule, width, steps, "float32", backend)
    return replace(spec, **changes)  # type: ignore[arg-type]


def random_pool(engine: Engine) -> PoolArrays:
    """Rows for two batches of updates; every version is the same initial model."""
    rows = max(2 * engine.spec.width, NUM_ROWS)
    pool = engine.empty_pool(rows, rows)
    pool = engine.admit(pool, np.int32(0), np.uint32(0), np.uint32(0))
    versions = jax.device_put(jnp.tile(pool.versions[:1], (rows, 1)), engine.everywhere)
    return pool._replace(versions=versions)


def full_batches(engine: Engine, num_rounds: int = 0) -> Program:
    """``spec.steps`` batches that fill every slot.

    Args:
        engine: what for.
        num_rounds: that each batch closes, of three updates each and of a lane each; at most W.
    """
    spec = engine.spec
    count, rows, rounds = spec.steps * spec.width, max(2 * spec.width, NUM_ROWS), range(num_rounds)
    row, number = [slot % rows for slot in range(count)], list(range(count))
    stops = list(range(spec.width, count + 1, spec.width))
    closed = [*rounds] * spec.steps
    plan = Schedule(
        slot_lane=[0] * count,
        slot_request=number,
        slot_base_row=row,
        slot_update_row=row,
        slot_stop=stops,
        round_lane=closed,
        round_source_row=closed,
        round_target_row=[spec.width + lane for lane in closed],
        round_update_stop=list(range(3, 3 * len(closed) + 1, 3)),
        round_stop=[(step + 1) * num_rounds for step in range(spec.steps)],
        update_row=[(3 * lane + place) % rows for lane in closed for place in range(3)],
    )
    lanes = _equal_lanes(spec.kind, max(num_rounds, 1))
    shapes = Shapes(spec.steps, spec.width, spec.work.row_length, spec.ticks, spec.rounds_at_once)
    samples = random_samples(spec.work, count)
    return next(pack(plan, lanes, samples, shapes, np.dtype(spec.dtype)))


def _equal_lanes(kind: Kind, number: int) -> LaneColumns:
    """Lanes with the kind's defaults."""
    ones, defaults = np.ones(number), kind.defaults
    return LaneColumns(
        ones.astype(np.uint32),
        ones.astype(np.uint32),
        ones * defaults.client_lr,
        ones * defaults.weight_decay,
        ones * defaults.server_lr,
    )


def update_flops(kind: Kind) -> int:
    """Operations of the matrix products of one request."""
    task, work = kind.build(shape_of(kind)), work_of(kind)
    return work.num_steps * step_flops(task, random_data(kind), work.batch_size)


def work_of(kind: Kind) -> LocalWork:
    """One request of the kind's defaults."""
    d = kind.defaults
    return LocalWork(d.batch_size, d.local_epochs, d.local_steps, d.samples_per_client)


def shape_of(kind: Kind) -> Shape:
    """The shape of the kind's data set."""
    return SHAPES.get(kind.dataset or "", SHAPES["cifar10"])


def random_data(kind: Kind) -> Data:
    """Examples without any meaning, stored as the engine stores real ones."""
    return kind.random_data(shape_of(kind), NUM_EXAMPLES)


def random_samples(work: LocalWork, count: int) -> np.ndarray:
    """``int32[count, row length]``; of spans, each client has half of the data."""
    rng, size = np.random.default_rng(1), (count, work.row_length)
    if work.num_samples is None:
        return np.full(size, NUM_EXAMPLES // 2, np.int32)
    return rng.integers(0, NUM_EXAMPLES, size, dtype=np.int32)
