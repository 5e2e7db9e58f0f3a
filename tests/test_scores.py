"""Tests of several versions side by side are the tests of each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from fedast_jax.engine.scores import ScoreShape, score_rows
from fedast_jax.tasks import TaskFunctions

DATA = np.random.default_rng(0).normal(size=70)
ROWS = np.random.default_rng(1).normal(size=(9, 1))
TASK = TaskFunctions(
    init=lambda key: jnp.zeros(1),
    take=lambda data, index, key: jnp.asarray(data)[index],
    loss=lambda params, batch: batch.mean(),
    score=lambda params, batch: ((batch > params).astype(batch.dtype), (batch - params) ** 2),
)


def test_each_version_meets_every_example_once():
    """Seven of nine rows, three side by side, chunks that do not divide the examples."""
    with jax.enable_x64(True):
        rows = jnp.asarray([3, 1, 4, 1, 5, 8, 2, 6, 0], jnp.int32)
        for side_by_side, chunk in ((1, 70), (3, 32), (4, 16)):
            shape = ScoreShape(70, chunk, side_by_side)
            scores = score_rows(
                TASK, shape, lambda row: jnp.asarray(ROWS)[row], rows, jnp.int32(7), DATA
            )
            tested = ROWS[np.asarray(rows[:7])]
            assert scores.metric.tolist() == [*(tested < DATA).sum(axis=1), 0, 0]
            loss = [*((DATA - tested) ** 2).sum(axis=1), 0, 0]
            np.testing.assert_allclose(scores.loss, loss, rtol=1e-12)
