"""Sums over a round's updates, one after another: their bits depend on nothing but the updates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Integer

_IN_USE: ContextVar[jax.Array | None] = ContextVar("rows in use", default=None)


@contextmanager
def rows_in_use(number: Integer[jax.Array, ""]) -> Iterator[None]:
    """Inside, sums over rows leave out those from this number on, while they are traced."""
    token = _IN_USE.set(number)
    try:
        yield
    finally:
        _IN_USE.reset(token)


def sum_in_order(
    rows: Float[jax.Array, " rows *row"], number: Integer[jax.Array, ""] | int | None = None
) -> Float[jax.Array, " *row"]:
    """The sum of a round's rows in order of arrival.

    Args:
        rows: one for each update, and perhaps more.
        number: of them that count; None: those of the round that a method is being applied to,
            elsewhere all. Inside a ``jax.jit`` of your own give ``arrived.num_updates``.
    """
    rows, used = jnp.asarray(rows), _number(rows, number)

    def add(index: jax.Array, total: jax.Array) -> jax.Array:
        return jnp.where(index < used.astype(index.dtype), total + rows[index], total)

    # The barriers keep a compiler from joining the sum to what is before and after it, which it
    # would do for some numbers of rows and not for others, and then round otherwise.
    rows = lax.optimization_barrier(rows)
    return lax.optimization_barrier(lax.fori_loop(0, len(rows), add, jnp.zeros_like(rows[0])))


def mean_in_order(
    rows: Float[jax.Array, " rows *row"], number: Integer[jax.Array, ""] | int | None = None
) -> Float[jax.Array, " *row"]:
    """``sum_in_order`` divided by the number of rows that count."""
    return sum_in_order(rows, number) / _number(rows, number).astype(rows.dtype)


def _number(rows: jax.Array, number: jax.Array | int | None) -> jax.Array:
    if number is None:
        number = _IN_USE.get()
    return jnp.asarray(len(rows) if number is None else number)
