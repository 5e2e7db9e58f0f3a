"""Tests of models: several versions side by side, over one chunk of the test set after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Int32, Integer

from ..tasks import Batch, Data, Params, TaskFunctions
from .local_train import side_by_side


class Scores(NamedTuple):
    """Totals over the test set, per tested row."""

    metric: jax.Array  # the number of correct examples, where the task has no other
    loss: jax.Array


class ScoreShape(NamedTuple):
    """How tests go, all static."""

    num_tests: int  # examples of the test set,
    chunk: int  # so many of them at a time
    side_by_side: int  # versions that are scored on a chunk together


def score_rows(
    task: TaskFunctions,
    shape: ScoreShape,
    load: Callable[[jax.Array], Params],
    rows: Int32[jax.Array, " n"],
    num_rows: Integer[jax.Array, ""],
    data: Data,
) -> Scores:
    """Score the versions ``rows[:num_rows]`` on the whole test set; zeros for the others.

    Args:
        task, shape: static.
        load: ``row -> params``.
        rows: ``int32[n]``; those beyond ``num_rows`` must be rows, too.
        num_rows: how many to test.
        data: the test set. Each chunk is read and normalised once for versions side by side.
    """
    width, dtype = shape.side_by_side, _dtype(load, rows)
    num_groups = (num_rows + width - 1) // width
    padded = jnp.pad(rows, (0, -len(rows) % width))

    def score_group(index: jax.Array, scores: Scores) -> Scores:
        some = lax.dynamic_slice_in_dim(padded, index * width, width)
        totals = _score_group(task, shape, jax.vmap(load)(some), data, dtype)
        return jax.tree.map(
            lambda old, new: lax.dynamic_update_slice_in_dim(old, new, index * width, 0),
            scores,
            totals,
        )

    empty = jnp.zeros(len(padded), dtype)
    scores = lax.fori_loop(0, num_groups, score_group, Scores(empty, empty))
    is_real = jnp.arange(len(rows), dtype=rows.dtype) < num_rows
    return jax.tree.map(lambda total: jnp.where(is_real, total[: len(rows)], 0), scores)


def _score_group(
    task: TaskFunctions, shape: ScoreShape, params: Params, data: Data, dtype: jnp.dtype
) -> Scores:
    """Totals of versions side by side, ``params`` having a leading axis for them."""

    def score_chunk(totals: jax.Array, start: jax.Array) -> tuple[jax.Array, None]:
        places = start + jnp.arange(shape.chunk)
        is_real = places < shape.num_tests
        batch: Batch = task.take(data, jnp.where(is_real, places, 0), None)

        def score(params: Params) -> jax.Array:
            return jnp.where(is_real[None], jnp.stack(task.score(params, batch)), 0).sum(-1)

        return totals + side_by_side(score, shape.side_by_side)(params), None

    zeros = jnp.zeros((shape.side_by_side, len(Scores._fields)), dtype)
    starts = jnp.arange(0, shape.num_tests, shape.chunk)
    return Scores(*lax.scan(score_chunk, zeros, starts)[0].T)


def _dtype(load: Callable[[jax.Array], Params], rows: jax.Array) -> jnp.dtype:
    return jnp.result_type(*jax.tree.leaves(jax.eval_shape(load, rows[0])))
