"""Raw training speed of one kind on this machine: no timeline, no aggregation, no tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree

from ..config.work import LocalWork
from ..engine.flops import gemm_peak, step_flops
from ..engine.local_train import local_train, side_by_side
from ..tasks import Kind, Shape, Task, get_kind
from ..tasks.base import Data

SLOTS = 16  # requests of one batch of the engine
NUM_EXAMPLES = 4000
NUM_ROWS = 4 * SLOTS

SHAPES = {
    "mnist": Shape((28, 28, 1), 10),
    "fashion_mnist": Shape((28, 28, 1), 10),
    "cifar10": Shape((32, 32, 3), 10),
    "cifar100": Shape((32, 32, 3), 100),
    "shakespeare": Shape((80,), 80),
    "digits": Shape((8, 8, 1), 10),
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
    num_batches = -(-num_updates // SLOTS)
    run, compile_seconds = prepare(kind, num_batches)
    seconds = run()
    rate = num_batches * SLOTS / seconds
    peak = gemm_peak() / 1e9
    gflops = rate * update_flops(kind) / 1e9
    return BenchResult(rate, compile_seconds, gflops, peak, gflops / peak)


def prepare(
    kind: Kind, num_batches: int, micro: int | None = None
) -> tuple[Callable[[], float], float]:
    """Compile a run of ``num_batches * SLOTS`` updates.

    Returns:
        A function that runs it once and returns the seconds it took, and the seconds of compiling.
    """
    shape = shape_of(kind)
    task = kind.build(shape)
    data = random_data(kind)
    micro = micro or kind.micro_batch.get(jax.default_backend(), SLOTS)
    flat, unravel = ravel_pytree(task.init(jax.random.key(0)))
    versions = jnp.tile(flat, (NUM_ROWS, 1))
    updates = jnp.zeros_like(versions)
    samples = random_samples(work_of(kind), num_batches)
    train = partial(train_batches, task, work_of(kind), kind, unravel, micro)
    start = time.perf_counter()
    program = jax.jit(train, donate_argnums=2).lower(data, versions, updates, samples).compile()
    compile_seconds = time.perf_counter() - start

    def run() -> float:
        nonlocal updates
        start = time.perf_counter()
        updates = jax.block_until_ready(program(data, versions, updates, samples))
        return time.perf_counter() - start

    return run, compile_seconds


def train_batches(
    task: Task,
    work: LocalWork,
    kind: Kind,
    unravel: Callable[[jax.Array], object],
    micro: int,
    data: Data,
    versions: jax.Array,
    updates: jax.Array,
    samples: jax.Array,
) -> jax.Array:
    """The engine's inner loops: a scan over batches, a loop of micro-batches in each.

    Args:
        micro: slots trained side by side; divides ``SLOTS``.
        versions, updates: ``float[rows, parameters]``.
        samples: ``int32[batches, SLOTS, row length]``, what the clients hold.
    Returns:
        The updates with the rows of the trained slots overwritten.
    """

    def train_slot(flat: jax.Array, client: jax.Array, slot: jax.Array) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(1), slot)
        lr, decay = kind.defaults.client_lr, kind.defaults.weight_decay
        trained = local_train(task, work, data, unravel(flat), client, key, lr, decay)
        return ravel_pytree(trained.update)[0]

    def train_batch(updates: jax.Array, batch: tuple[jax.Array, jax.Array]):
        number, clients = batch

        def train_micro(i: jax.Array, updates: jax.Array) -> jax.Array:
            slots = i * micro + jnp.arange(micro)
            rows = (number * SLOTS + slots) % NUM_ROWS
            train = side_by_side(train_slot, micro)
            trained = train(versions[rows], clients[slots], number * SLOTS + slots)
            return updates.at[rows].set(trained)

        num_micro = jnp.where(number >= 0, SLOTS // micro, 0)  # traced, as in the engine
        return lax.fori_loop(0, num_micro, train_micro, updates), None

    return lax.scan(train_batch, updates, (jnp.arange(len(samples)), samples))[0]


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
    rng, shape = np.random.default_rng(0), shape_of(kind)
    if kind.data == "text":
        size = NUM_EXAMPLES + shape.input_shape[0]
        text = rng.integers(0, shape.num_classes, size, dtype=np.uint8)
        return {"text": jnp.asarray(text), "starts": jnp.arange(NUM_EXAMPLES, dtype=jnp.int32)}
    images = rng.integers(0, 256, (NUM_EXAMPLES, *shape.input_shape), dtype=np.uint8)
    labels = rng.integers(0, shape.num_classes, NUM_EXAMPLES, dtype=np.int32)
    return {"images": jnp.asarray(images), "labels": jnp.asarray(labels)}


def random_samples(work: LocalWork, num_batches: int) -> jax.Array:
    """``int32[num_batches, SLOTS, row length]``; of spans, each client has half of the data."""
    rng = np.random.default_rng(1)
    size = (num_batches, SLOTS, work.row_length)
    if work.num_samples is None:
        return jnp.full(size, NUM_EXAMPLES // 2, jnp.int32)
    return jnp.asarray(rng.integers(0, NUM_EXAMPLES, size, dtype=np.int32))
