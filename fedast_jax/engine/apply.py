"""Rounds of a rule that sees every update: each closes whole, those of different lanes at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Integer

from ..algorithms.methods.record import Arrived, Rule
from .aggregate import Array, Rounds, write_rows
from .server import Server


def apply_rounds(
    rule: Rule,
    server: Server,
    updates: Float[jax.Array, "updates P"],
    versions: Float[jax.Array, "versions PS"],
    ticks: Rounds,
    num_ticks: Integer[Array, ""] | int,
) -> Float[jax.Array, "versions PS"]:
    """``x_new = apply(x, arrived)`` for every round of the ticks.

    Args:
        rule, server: what to carry out.
        updates: ``float[update rows, P]``.
        versions: ``float[version rows, P + S]``.
        ticks: with leading axes ``(ticks, K)``; each part is a whole round of at most B updates.
        num_ticks: how many of them to carry out; the rest must be padding.
    Returns:
        The versions with new rows written.
    """

    def tick(index: jax.Array, versions: jax.Array) -> jax.Array:
        part = jax.tree.map(lambda column: jnp.asarray(column)[index], ticks)
        sources = _rows(versions, part.source_row)
        arrived = _arrived(rule, part, updates, versions)
        # One by one: side by side a compiler may round otherwise than for a single round.
        new = lax.map(lambda given: server.apply(*given), (sources, arrived))
        return write_rows(versions, part.target_row, new)

    return lax.fori_loop(0, num_ticks, tick, versions)


def _arrived(rule: Rule, part: Rounds, updates: jax.Array, versions: jax.Array) -> Arrived:
    """What each of K rounds brings, with a leading axis K."""
    more = part.more
    assert more is not None
    places = jnp.arange(part.update_row.shape[-1], dtype=jnp.int32)
    used = places < jnp.asarray(part.num_updates)[:, None]
    needed = {}
    if "weights" in rule.needs:
        needed["weights"] = _nan_beyond(used, jnp.asarray(part.weight))
    if "previous" in rule.needs:
        found = _rows(updates, jnp.maximum(more.previous_row, 0))
        is_known = jnp.asarray(more.previous_row)[..., None] >= 0
        needed["previous"] = _nan_beyond(used, jnp.where(is_known, found, 0))
    if "start" in rule.needs:
        found = _rows(versions, more.start_row)[..., : updates.shape[1]]
        needed["start"] = _nan_beyond(used, found)
    return Arrived(
        updates=_nan_beyond(used, _rows(updates, part.update_row)),
        staleness=_nan_beyond(used, jnp.asarray(more.staleness)),
        num_updates=jnp.asarray(part.num_updates),
        server_lr=jnp.asarray(part.server_lr),
        num_clients=jnp.asarray(more.num_clients),
        num_active=jnp.asarray(more.num_active),
        oldest=jnp.where(used, more.staleness, 0).max(axis=-1),
        hyperparameters={
            name: jnp.asarray(more.numbers)[..., place] for place, name in enumerate(rule.names)
        },
        **needed,
    )


def _nan_beyond(used: jax.Array, rows: jax.Array) -> jax.Array:
    """Rows of no update hold NaN: who counts them by mistake sees it."""
    mask = used.reshape(used.shape + (1,) * (rows.ndim - used.ndim))
    return jnp.where(mask, rows, jnp.nan)


def _rows(array: jax.Array, rows: Array) -> jax.Array:
    return array.at[rows].get(mode="promise_in_bounds")
