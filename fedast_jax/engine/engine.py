"""The compiled part: one scan over batches that trains and aggregates, and the tests.

The engine knows neither clocks nor methods. It follows index arrays: which version row each slot
starts from, which rows an aggregation reads and writes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Float, Integer

from ..clients.batches import INITIAL_MODEL, request_key
from ..tasks import Data, Params, TaskFunctions
from .aggregate import Array, Rounds, close_rounds, write_rows
from .apply import apply_rounds
from .devices import AXIS, make_mesh
from .local_train import Trained, local_train, side_by_side
from .scores import Scores, score_rows
from .server import Server, make_server
from .spec import EngineSpec


class PoolArrays(NamedTuple):
    """All that the device keeps from one call to the next."""

    versions: jax.Array  # float[version rows, P + S]: a model and what its method keeps
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
    proximal: Array | None = None  # mu, where the spec says so


class Program(NamedTuple):
    """A fixed number of steps; those beyond the planned ones are empty and cost next to nothing."""

    slots: Slots
    num_slots: Array  # int32[steps]: slots in use, filled from the left
    rounds: Rounds
    num_ticks: Array  # int32[steps]: ticks in use


class Engine:
    """The compiled functions of one pool."""

    def __init__(self, spec: EngineSpec, mesh: Mesh | None = None) -> None:
        """Trace nothing yet.

        Args:
            spec: what the functions depend on.
            mesh: of ``spec.num_devices`` devices; None: the first ones of this process.
        """
        self.spec = spec
        self._mesh = mesh
        self.task: TaskFunctions = spec.kind.build(spec.shape)
        self.num_traces = 0  # how often ``run`` was traced
        self.run = jax.jit(self._on_all_devices(self._run, P()), donate_argnums=0)
        self.admit = jax.jit(self._admit, donate_argnums=0, out_shardings=self.everywhere)
        self.evaluate = jax.jit(self._evaluate, static_argnums=4)
        self.spread = jax.jit(self._spread)
        self.spreads = jax.jit(self._spreads)

    @cached_property
    def everywhere(self) -> NamedSharding:
        """A copy on every device: pool, data and program; only the work is divided."""
        return NamedSharding(self._mesh or make_mesh(self.spec.num_devices), P())

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
        return make_server(self.spec.rule, self.num_params)

    @property
    def row_bytes(self) -> tuple[int, int]:
        """Bytes of one version row, and of one update row with its loss."""
        size = self.spec.dtype.itemsize
        return (self.num_params + self.server.num_state) * size, (self.num_params + 1) * size

    def empty_pool(self, num_versions: int, num_updates: int) -> PoolArrays:
        """Rows for so many versions and updates."""
        zeros = partial(jnp.zeros, dtype=self.spec.dtype, device=self.everywhere)
        return PoolArrays(
            zeros((num_versions, self.num_params + self.server.num_state)),
            zeros((num_updates, self.num_params)),
            zeros(num_updates),
        )

    def unflatten(self, version: Float[jax.Array, " PS"]) -> Params:
        """A version row as the model's tree."""
        return self._unravel(version[: self.num_params])

    @cached_property
    def _unravel(self) -> Callable[[jax.Array], Params]:
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.template)
        return ravel_pytree(zeros)[1]

    def _admit(
        self, pool: PoolArrays, row: jax.Array, seed: jax.Array, task: jax.Array
    ) -> PoolArrays:
        """Write a lane's initial version into a row."""
        model = self.task.init(request_key(seed, task, jnp.uint32(INITIAL_MODEL)))
        version = self.server.init(ravel_pytree(model)[0])
        return pool._replace(versions=pool.versions.at[row].set(version))

    def _run(self, pool: PoolArrays, program: Program, data: Data) -> PoolArrays:
        """Train and aggregate: one scan step a batch."""
        self.num_traces += 1
        with jax.default_matmul_precision(self.spec.matmul_precision):
            return lax.scan(partial(self._step, data), pool, program)[0]  # type: ignore[arg-type]

    def _step(self, data: Data, pool: PoolArrays, step: Program) -> tuple[PoolArrays, None]:
        pool = self._train_batch(data, pool, step.slots, step.num_slots)
        num_ticks = step.num_ticks if self.spec.is_cpu else self.spec.ticks
        close = close_rounds if self.spec.rule.step else partial(apply_rounds, self.spec.rule)
        versions = close(self.server, pool.updates, pool.versions, step.rounds, num_ticks)
        return pool._replace(versions=versions), None

    def _train_batch(
        self, data: Data, pool: PoolArrays, slots: Slots, num_slots: Array
    ) -> PoolArrays:
        """Train the slots group by group, as far as they are in use."""
        group, at_once = self.spec.micro_batch * self.spec.num_devices, self.spec.groups_at_once
        num_looks = (num_slots + group * at_once - 1) // (group * at_once)

        def train_groups(look: jax.Array, rows: Trained) -> Trained:
            if at_once == 1:
                return self._train_group(data, pool, slots, look, rows)

            # Beyond the last group a slice starts there, too: its slots are trained again.
            def train(i: jax.Array, rows: Trained) -> Trained:
                return self._train_group(data, pool, slots, look * at_once + i, rows)

            return lax.fori_loop(0, at_once, train, rows)

        rows = lax.fori_loop(0, num_looks, train_groups, Trained(pool.updates, pool.losses))
        return pool._replace(updates=rows.update, losses=rows.loss)

    def _train_group(
        self, data: Data, pool: PoolArrays, slots: Slots, index: jax.Array, rows: Trained
    ) -> Trained:
        """Train one group, each device its part, and write all updates on each device."""
        micro, device = self.spec.micro_batch, lax.axis_index(AXIS)
        first = index * micro * self.spec.num_devices
        mine = first + device * micro
        some = jax.tree.map(lambda column: lax.dynamic_slice_in_dim(column, mine, micro), slots)
        # Without the barrier a single micro-batch does not depend on the index, and XLA would
        # move it out of the loop: an empty step would cost as much as a full one.
        _, some = lax.optimization_barrier((index, some))
        starts = pool.versions.at[some.base_row].get(mode="promise_in_bounds")
        part = side_by_side(partial(self._train_slot, data), micro)(starts, some)
        trained = jax.tree.map(lambda leaf: lax.all_gather(leaf, AXIS, tiled=True), part)
        size = micro * self.spec.num_devices
        places = lax.dynamic_slice_in_dim(jnp.asarray(slots.update_row), first, size)
        return jax.tree.map(lambda old, new: write_rows(old, places, new), rows, trained)

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
            slot.proximal,
            self.spec.local,
        )
        return trained._replace(update=ravel_pytree(trained.update)[0])

    def _spread(self, updates: jax.Array, rows: jax.Array, num_rows: jax.Array) -> jax.Array:
        """``(1/V) sum ||u_i - mean||^2 / ||mean||^2`` over the rows ``rows[:num_rows]``."""
        is_real = (jnp.arange(rows.shape[0], dtype=rows.dtype) < num_rows)[:, None]
        return relative_spread(jnp.where(is_real, updates[rows], 0), num_rows)

    def _spreads(
        self, updates: jax.Array, windows: jax.Array, num_windows: jax.Array, counts: jax.Array
    ) -> jax.Array:
        """``_spread`` of each of ``windows[:num_windows, V]``, where ``counts[P]`` holds."""

        def measure(index: jax.Array, spreads: jax.Array) -> jax.Array:
            chosen = jnp.where(counts, updates[windows[index]], 0)
            return spreads.at[index].set(relative_spread(chosen, windows.shape[1]))

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
        return jax.tree.map(lambda score: score.reshape(num_devices, -1).T.ravel()[:length], scores)

    def _score_share(
        self, num_tests: int, versions: jax.Array, rows: jax.Array, num_rows: jax.Array, data: Data
    ) -> Scores:
        """Score this device's column of ``rows``."""
        num_devices, device = self.spec.num_devices, lax.axis_index(AXIS)
        rows, num_rows = rows[:, device], (num_rows - device + num_devices - 1) // num_devices

        def load(row: jax.Array) -> Params:
            return self.unflatten(versions[row])

        with jax.default_matmul_precision(self.spec.matmul_precision):
            return score_rows(self.task, self.spec.tests(num_tests), load, rows, num_rows, data)


def relative_spread(
    updates: Float[jax.Array, "V P"], number: Integer[Array, ""] | int
) -> Float[jax.Array, ""]:
    """``(1/V) sum ||u_i - mean||^2 / ||mean||^2`` of V = ``number`` rows, from their Gram matrix.

    One pass over ``updates[V or more, P]``; rows of zeros beyond the V-th change nothing.
    """
    number = jnp.asarray(number, updates.dtype)
    gram = jnp.matmul(updates, updates.T, precision="highest")
    norm = gram.sum() / number**2  # of the mean, squared
    return (jnp.trace(gram) / number - norm) / norm
