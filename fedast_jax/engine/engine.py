"""The compiled part: one scan over batches that trains and aggregates, and the tests.

The engine knows neither clocks nor methods. It follows index arrays: which version row each slot
starts from, which rows an aggregation reads and writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ..config.work import LocalWork
from ..tasks import Data, Kind, Params, Shape, Task
from .devices import AXIS, make_mesh
from .local_train import Trained, local_train
from .server import Server, make_server

Array = jax.Array | np.ndarray

INITIAL_MODEL = 1 << 31  # in place of a request's number: the randomness of a lane's initial model


class Pool(NamedTuple):
    """All that the device keeps from one call to the next. The last row of each takes padding."""

    versions: jax.Array  # float[version rows, P + S]: a model and its server optimizer's state
    updates: jax.Array  # float[update rows, P]: x_base - x_tau of a trained request
    losses: jax.Array  # float[update rows]: that request's mean loss while it was trained


class Slots(NamedTuple):
    """What one slot trains; arrays with leading axes ``(steps, width)``."""

    base_row: Array
    update_row: Array
    seed: Array
    task: Array
    request: Array
    client_lr: Array
    weight_decay: Array
    samples: Array  # int32[..., row length]


class Rounds(NamedTuple):
    """Aggregations in order, flat over the program; padded."""

    source_row: Array
    target_row: Array
    server_lr: Array
    update_start: Array
    update_stop: Array


class Program(NamedTuple):
    """A fixed number of steps; those beyond the planned ones are empty and cost nothing."""

    slots: Slots
    num_slots: Array  # int32[steps]: slots in use, filled from the left
    round_start: Array  # int32[steps]
    round_stop: Array  # int32[steps]
    rounds: Rounds
    update_row: Array  # int32[updates]: rows that the rounds sum, in order of arrival
    weight: Array  # float[updates]


class Steps(NamedTuple):
    """The columns of a program that the scan goes along."""

    slots: Slots
    num_slots: Array
    round_start: Array
    round_stop: Array


class Scores(NamedTuple):
    """Totals over the test set, per tested row."""

    correct: jax.Array
    loss: jax.Array


@dataclass(frozen=True)
class EngineSpec:
    """What one compiled program depends on: shapes and functions, never numbers."""

    kind: Kind
    shape: Shape
    work: LocalWork
    server_optimizer: str
    width: int
    steps: int  # steps of one call
    precision: str
    backend: str
    num_devices: int = 1  # that share every batch; divides the width

    @property
    def key(self) -> tuple:
        """Hashable, and equal for equal programs; kinds are told apart by name and model."""
        parts = [getattr(self, part.name) for part in fields(self) if part.name != "kind"]
        return self.kind.name, self.kind.build, *parts

    @property
    def micro_batch(self) -> int:
        """Clients trained side by side on a device: the largest divisor of its share of the width
        up to the kind's choice."""
        share = self.width // self.num_devices
        most = min(share, self.kind.micro_batch.get(self.backend, share))
        return next(size for size in range(most, 0, -1) if share % size == 0)

    @property
    def matmul_precision(self) -> str:
        """JAX's name of the precision of products."""
        return "highest" if self.precision == "float64" else self.precision

    @property
    def dtype(self) -> jnp.dtype:
        """The type of models and updates."""
        return jnp.dtype("float64" if self.precision == "float64" else "float32")


class Engine:
    """The compiled functions of one pool."""

    def __init__(self, spec: EngineSpec) -> None:
        self.spec = spec
        self.task: Task = spec.kind.build(spec.shape)
        self.num_traces = 0  # how often ``run`` was traced
        self.run = jax.jit(self._on_all_devices(self._run, P()), donate_argnums=0)
        self.admit = jax.jit(self._admit, donate_argnums=0, out_shardings=self.everywhere)
        self.evaluate = jax.jit(self._evaluate, static_argnums=4)
        self.spread = jax.jit(self._spread)
        self.spreads = jax.jit(self._spreads)

    @cached_property
    def everywhere(self) -> NamedSharding:
        """A copy on every device: pool, data and program; only the work is divided."""
        return NamedSharding(make_mesh(self.spec.num_devices), P())

    def _on_all_devices(self, function: Callable, out: P) -> Callable:
        """One call of a function on each device, with all arguments whole."""
        mesh = self.everywhere.mesh
        return jax.shard_map(function, mesh=mesh, in_specs=P(), out_specs=out, check_vma=False)

    @cached_property
    def template(self) -> Params:
        """Shapes of the model's leaves."""
        return jax.eval_shape(self.task.init, jax.random.key(0))

    @cached_property
    def num_params(self) -> int:
        """P: numbers in one model."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.template))

    @cached_property
    def is_no_bias(self) -> np.ndarray:
        """Which numbers of a row belong to leaves that are not called a bias, ``bool[P]``."""
        leaves, _ = jax.tree_util.tree_flatten_with_path(self.template)
        return np.concatenate(
            [
                np.full(leaf.size, "bias" not in jax.tree_util.keystr(path[-1:]))
                for path, leaf in leaves
            ]
        )

    @cached_property
    def server(self) -> Server:
        """The server's step."""
        return make_server(self.spec.server_optimizer, self.num_params)

    @property
    def row_bytes(self) -> tuple[int, int]:
        """Bytes of one version row, and of one update row with its loss."""
        size = self.spec.dtype.itemsize
        return (self.num_params + self.server.num_state) * size, (self.num_params + 1) * size

    def empty_pool(self, num_versions: int, num_updates: int) -> Pool:
        """Rows for so many versions and updates, and one of each for padding."""
        zeros = partial(jnp.zeros, dtype=self.spec.dtype, device=self.everywhere)
        return Pool(
            zeros((num_versions + 1, self.num_params + self.server.num_state)),
            zeros((num_updates + 1, self.num_params)),
            zeros(num_updates + 1),
        )

    def unflatten(self, version: jax.Array) -> Params:
        """A version row as the model's tree."""
        return self._unravel(version[: self.num_params])

    @cached_property
    def _unravel(self) -> Callable[[jax.Array], Params]:
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.template)
        return ravel_pytree(zeros)[1]

    def _admit(self, pool: Pool, row: jax.Array, seed: jax.Array, task: jax.Array) -> Pool:
        """Write a lane's initial version into a row."""
        model = self.task.init(request_key(seed, task, jnp.uint32(INITIAL_MODEL)))
        version = self.server.init(ravel_pytree(model)[0])
        return pool._replace(versions=pool.versions.at[row].set(version))

    def _run(self, pool: Pool, program: Program, data: Data) -> Pool:
        """Train and aggregate: one scan step a batch."""
        self.num_traces += 1
        with jax.default_matmul_precision(self.spec.matmul_precision):
            step = partial(self._step, program, data)
            steps = Steps(program.slots, program.num_slots, program.round_start, program.round_stop)
            return lax.scan(step, pool, steps)[0]  # type: ignore[arg-type]

    def _step(self, program: Program, data: Data, pool: Pool, step: Steps) -> tuple[Pool, None]:
        pool = self._train_batch(data, pool, step.slots, step.num_slots)
        close_round = partial(self._close_round, program)
        return lax.fori_loop(step.round_start, step.round_stop, close_round, pool), None

    def _train_batch(self, data: Data, pool: Pool, slots: Slots, num_slots: Array) -> Pool:
        """Train the slots, each device its part of every group, and write all updates on each."""
        micro, device = self.spec.micro_batch, lax.axis_index(AXIS)
        group = micro * self.spec.num_devices
        num_groups = (num_slots + group - 1) // group

        def train_group(index: jax.Array, rows: Trained) -> Trained:
            first = index * group
            some = jax.tree.map(
                lambda column: lax.dynamic_slice_in_dim(column, first + device * micro, micro),
                slots,
            )
            # Without the barrier a single micro-batch does not depend on the index, and XLA would
            # move it out of the loop: an empty step would cost as much as a full one.
            _, some = lax.optimization_barrier((index, some))
            starts = pool.versions[some.base_row]
            mine = jax.vmap(partial(self._train_slot, data))(starts, some)
            trained = jax.tree.map(lambda part: lax.all_gather(part, AXIS, tiled=True), mine)
            places = lax.dynamic_slice_in_dim(jnp.asarray(slots.update_row), first, group)
            return jax.tree.map(lambda old, new: write_rows(old, places, new), rows, trained)

        rows = lax.fori_loop(0, num_groups, train_group, Trained(pool.updates, pool.losses))
        return pool._replace(updates=rows.update, losses=rows.loss)

    def _train_slot(self, data: Data, start: jax.Array, slot: Slots) -> Trained:
        key = request_key(slot.seed, slot.task, slot.request)
        params = self.unflatten(start)
        trained = local_train(
            self.task,
            self.spec.work,
            data,
            params,
            jnp.asarray(slot.samples),
            key,
            jnp.asarray(slot.client_lr),
            jnp.asarray(slot.weight_decay),
        )
        return trained._replace(update=ravel_pytree(trained.update)[0])

    def _close_round(self, program: Program, index: jax.Array, pool: Pool) -> Pool:
        """``x <- server(x, sum_j weight_j update_j)``, always summed in order of arrival."""
        row = jax.tree.map(lambda column: column[index], program.rounds)

        def add(place: jax.Array, total: jax.Array) -> jax.Array:
            return total + program.weight[place] * pool.updates[program.update_row[place]]

        zero = jnp.zeros(self.num_params, self.spec.dtype)
        mean = lax.fori_loop(row.update_start, row.update_stop, add, zero)
        version = self.server.apply(pool.versions[row.source_row], mean, row.server_lr)
        return pool._replace(versions=pool.versions.at[row.target_row].set(version))

    def _spread(self, updates: jax.Array, rows: jax.Array, num_rows: jax.Array) -> jax.Array:
        """``(1/V) sum ||u_i - mean||^2 / ||mean||^2`` over the rows ``rows[:num_rows]``."""
        is_real = (jnp.arange(rows.shape[0]) < num_rows)[:, None]
        return relative_spread(jnp.where(is_real, updates[rows], 0), num_rows)

    def _spreads(
        self, updates: jax.Array, windows: jax.Array, num_windows: jax.Array, counts: jax.Array
    ) -> jax.Array:
        """``_spread`` of each of ``windows[:num_windows, V]``, where ``counts[P]`` holds."""

        def measure(index: jax.Array, found: jax.Array) -> jax.Array:
            chosen = jnp.where(counts, updates[windows[index]], 0)
            return found.at[index].set(relative_spread(chosen, windows.shape[1]))

        empty = jnp.zeros(len(windows), self.spec.dtype)
        return lax.fori_loop(0, num_windows, measure, empty)

    def _evaluate(
        self, versions: jax.Array, rows: jax.Array, num_rows: jax.Array, data: Data, num_tests: int
    ) -> Scores:
        """Score rows ``rows[:num_rows]`` on the whole test set; they are dealt to the devices."""
        num_devices, length = self.spec.num_devices, len(rows)
        rows = jnp.pad(rows, (0, -length % num_devices)).reshape(-1, num_devices)
        score = self._on_all_devices(partial(self._score_share, num_tests), P(AXIS))
        scores = score(versions, rows, num_rows, data)
        return jax.tree.map(lambda one: one.reshape(num_devices, -1).T.ravel()[:length], scores)

    def _score_share(
        self, num_tests: int, versions: jax.Array, rows: jax.Array, num_rows: jax.Array, data: Data
    ) -> Scores:
        """Score this device's column of ``rows``, in full chunks of the test set."""
        num_devices, device = self.spec.num_devices, lax.axis_index(AXIS)
        rows, num_rows = rows[:, device], (num_rows - device + num_devices - 1) // num_devices
        chunk = min(self.spec.kind.test_chunk, num_tests)
        starts = jnp.arange(0, num_tests, chunk)

        def score_chunk(params: Params, totals: Scores, start: jax.Array) -> tuple[Scores, None]:
            places = start + jnp.arange(chunk)
            real = places < num_tests
            batch = self.task.take(data, jnp.where(real, places, 0), None)
            correct, loss = self.task.score(params, batch)
            found = Scores(jnp.where(real, correct, 0).sum(), jnp.where(real, loss, 0).sum())
            return jax.tree.map(jnp.add, totals, found), None

        def score_row(index: jax.Array, scores: Scores) -> Scores:
            params = self.unflatten(versions[rows[index]])
            zero = Scores(*(jnp.zeros((), self.spec.dtype) for _ in Scores._fields))
            totals, _ = lax.scan(partial(score_chunk, params), zero, starts)
            return jax.tree.map(lambda old, new: old.at[index].set(new), scores, totals)

        empty = Scores(*(jnp.zeros(rows.shape, self.spec.dtype) for _ in Scores._fields))
        with jax.default_matmul_precision(self.spec.matmul_precision):
            return lax.fori_loop(0, num_rows, score_row, empty)


def relative_spread(updates: jax.Array, number: Array | int) -> jax.Array:
    """``(1/V) sum ||u_i - mean||^2 / ||mean||^2`` of V = ``number`` rows, from their Gram matrix.

    One pass over ``updates[V or more, P]``; rows of zeros beyond the V-th change nothing.
    """
    gram = jnp.matmul(updates, updates.T, precision="highest")
    norm = gram.sum() / number**2  # of the mean, squared
    return (jnp.trace(gram) / number - norm) / norm


def request_key(seed: Array, task: Array, request: Array) -> jax.Array:
    """Randomness that belongs to one request, wherever and whenever it is computed."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), task), request)


def write_rows(rows: jax.Array, index: Array, values: jax.Array) -> jax.Array:
    """``rows[index[i]] = values[i]`` one after another, in place."""
    return lax.fori_loop(0, index.shape[0], lambda i, all_: all_.at[index[i]].set(values[i]), rows)
