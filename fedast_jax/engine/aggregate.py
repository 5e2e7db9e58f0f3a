"""The server's side of a step: rounds of different lanes close side by side, in *ticks*.

A tick adds up to ``SUMMED`` updates to the sums of K rounds, no two of one lane, and writes those
rounds that are then complete as new versions. Later rounds of a lane, and the rest of a round of
more updates, come in later ticks. All shapes are fixed: an accelerator never asks the host how far
to go, and reads every update once.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Integer, Shaped

from .server import Server

Array = jax.Array | np.ndarray

SUMMED = 4  # updates that a tick adds to a round


class More(NamedTuple):
    """What a rule's ``apply`` is given besides, with leading axes ``(steps, ticks, K)``."""

    staleness: Array  # float[..., B]
    previous_row: Array  # int32[..., B]: the client's last update used; -1: none
    start_row: Array  # int32[..., B]: the version that it trained from
    num_active: Array  # R_m
    num_clients: Array  # N
    numbers: Array  # float[..., H]: the hyperparameters


class Rounds(NamedTuple):
    """Parts of rounds, with leading axes ``(steps, ticks, K)``; padding has no updates."""

    source_row: Array  # the version that the round starts from
    target_row: Array  # its new version's row, where its sum waits until it is complete
    server_lr: Array
    is_first: Array  # whether the sum begins here,
    is_last: Array  # and whether it is complete
    num_updates: Array  # of this part, at most SUMMED
    update_row: Array  # int32[..., SUMMED], in order of arrival
    weight: Array  # float[..., SUMMED]
    more: More | None = None  # for a rule that sees all updates; SUMMED is then its B


def close_rounds(
    server: Server,
    updates: Float[jax.Array, "updates P"],
    versions: Float[jax.Array, "versions PS"],
    ticks: Rounds,
    num_ticks: Integer[Array, ""] | int,
) -> Float[jax.Array, "versions PS"]:
    """``x_new = step(x, sum_j weight_j update_j)``, always summed in order of arrival.

    Args:
        server: its step.
        updates: ``float[update rows, P]``.
        versions: ``float[version rows, P + S]``.
        ticks: with leading axes ``(ticks, K)``.
        num_ticks: how many of them to carry out; the rest must be padding.
    Returns:
        The versions with new rows written.
    """

    def tick(index: jax.Array, versions: jax.Array) -> jax.Array:
        part = jax.tree.map(lambda column: jnp.asarray(column)[index], ticks)
        total = _add(part, updates, _begun(part, versions, updates.shape[1]))
        sources = _rows(versions, part.source_row)
        new = jax.vmap(server.step)(sources, total, part.server_lr)
        waiting = jnp.pad(total, ((0, 0), (0, server.num_state)))
        return write_rows(versions, part.target_row, _where(part.is_last, new, waiting))

    unroll = isinstance(num_ticks, int)  # one graph of kernels, which is launched at once
    return lax.fori_loop(0, num_ticks, tick, versions, unroll=unroll)


def write_rows(
    rows: Shaped[jax.Array, " rows *row"],
    places: Integer[Array, " n"],
    values: Shaped[Array, " n *row"],
) -> Shaped[jax.Array, " rows *row"]:
    """``rows[places[i]] = values[i]`` in one scatter, in place.

    Places differ from each other; those beyond the rows are left out.
    """
    return rows.at[places].set(values, mode="drop", unique_indices=True)


def _begun(part: Rounds, versions: jax.Array, num_params: int) -> jax.Array:
    """The sums so far, ``float[K, P]``."""
    begun = _rows(versions, jnp.where(part.is_first, part.source_row, part.target_row))
    return _where(~part.is_first, begun[:, :num_params], 0)


def _add(part: Rounds, updates: jax.Array, total: jax.Array) -> jax.Array:
    for place in range(SUMMED):
        weight = jnp.asarray(part.weight)[:, place, None]
        more = total + weight * _rows(updates, jnp.asarray(part.update_row)[:, place])
        total = _where(place < part.num_updates, more, total)
    return total


def _rows(array: jax.Array, rows: Array) -> jax.Array:
    return array.at[rows].get(mode="promise_in_bounds")


def _where(chosen: Array, value: jax.Array, other: jax.Array | int) -> jax.Array:
    """Row by row."""
    return jnp.where(jnp.asarray(chosen)[:, None], value, other)
