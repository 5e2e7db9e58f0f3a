"""Rounds in ticks: the sum of every round in order of arrival, whatever the shape of the ticks."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedast_jax.algorithms.methods.server_optimizers import SERVER_OPTIMIZERS as OPTIMIZERS
from fedast_jax.engine.aggregate import SUMMED, close_rounds
from fedast_jax.engine.planning.pack import LaneColumns, Shapes, pack
from fedast_jax.engine.planning.schedule import Schedule
from fedast_jax.engine.server import make_server

SIZES = [[1, 2, 3], [11], [4, 5], [1], [3, 3, 3, 3, 3]]  # of each lane's rounds, in one step
NUM_PARAMS, LR = 6, 0.5
NUM_UPDATES = sum(map(sum, SIZES))
VERSIONS = np.random.default_rng(0).normal(size=(40, NUM_PARAMS))
UPDATES = np.random.default_rng(1).normal(size=(NUM_UPDATES, NUM_PARAMS))


def plan() -> Schedule:
    """One step: all lanes' rounds; a lane's first version is its own number."""
    lanes = [lane for lane, sizes in enumerate(SIZES) for _ in sizes]
    targets = list(range(len(SIZES), len(SIZES) + len(lanes)))
    sources = [
        lane if place == 0 or lanes[place - 1] != lane else targets[place - 1]
        for place, lane in enumerate(lanes)
    ]
    stops = np.cumsum([size for sizes in SIZES for size in sizes]).tolist()
    rows = np.random.default_rng(2).permutation(NUM_UPDATES).tolist()
    return Schedule([], [], [], [], [0], lanes, sources, targets, stops, [len(lanes)], rows)


def programs(ticks: int, rounds_at_once: int):
    ones = np.ones(len(SIZES))
    number = ones.astype(np.uint32)
    lanes = LaneColumns(number, number, ones, ones, LR * ones)
    shapes = Shapes(2, 3, 1, ticks, rounds_at_once)
    return list(pack(plan(), lanes, np.zeros((0, 1), np.int32), shapes, np.dtype("float64")))


def expected(name: str) -> np.ndarray:
    """Round after round."""
    server, steps, start = make_server(OPTIMIZERS[name].rule, NUM_PARAMS), plan(), 0
    versions = [server.init(one) for one in VERSIONS]
    for source, target, stop in zip(
        steps.round_source_row, steps.round_target_row, steps.round_update_stop, strict=True
    ):
        total = np.zeros(NUM_PARAMS)
        for row in steps.update_row[start:stop]:
            total = total + UPDATES[row] / (stop - start)
        versions[target] = server.step(versions[source], jnp.asarray(total), jnp.asarray(LR))
        start = stop
    return np.stack(versions)


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("shape", [(40, 1), (3, 2), (8, 8), (1, 3)])
def test_ticks_of_every_shape_close_the_same_rounds(name, shape):
    """Rounds of more than one tick, more lanes than columns, more ticks than a step has."""
    with jax.enable_x64(True):
        server = make_server(OPTIMIZERS[name].rule, NUM_PARAMS)
        versions = np.stack([server.init(one) for one in VERSIONS])
        close = jax.jit(lambda *given: close_rounds(server, *given))
        for program in programs(*shape):
            for step in range(2):
                ticks = jax.tree.map(lambda column, step=step: column[step], program.rounds)
                versions = close(UPDATES, versions, ticks, program.num_ticks[step])
        found, wanted = np.asarray(versions), expected(name)
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


def test_a_lane_keeps_its_order():
    """In every tick at most one part of a lane; parts of a round one after another."""
    for program in programs(3, 2):
        rounds = program.rounds
        used = rounds.num_updates > 0
        assert (rounds.target_row[~used] >= 1 << 30).all()
        assert rounds.num_updates.max() <= SUMMED
        for step, count in zip(used, program.num_ticks, strict=True):
            assert step[:count].any(axis=1).all()
            assert not step[count:].any()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_servers_step_is_traced_once_and_finite_where_nothing_changes(name):
    server = make_server(OPTIMIZERS[name].rule, NUM_PARAMS)
    chex.clear_trace_counter()  # it counts by name
    apply = jax.jit(chex.assert_max_traces(server.step, n=1))
    version, nothing = server.init(jnp.zeros(NUM_PARAMS)), jnp.zeros(NUM_PARAMS)
    for lr in (0.0, 10.0):
        version = apply(version, nothing, jnp.float32(lr))
        chex.assert_tree_all_finite(version)
