"""The randomness of one request: its key, and which examples its local steps see."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32, Integer, Key

from ..config.work import LocalWork
from .draws import draw_from_span

Array = jax.Array | np.ndarray

INITIAL_MODEL = 1 << 31  # in place of a request's number: the randomness of a lane's initial model
AUGMENT = 1 << 20  # step keys are folded from here on, clear of the epochs' (and steps') order keys

LARGEST_PACKED = 4096
"""Up to here a permutation sorts single numbers, random bits above and the position below: five
times faster than ``argsort`` on the CPU.  With 4096 positions 20 random bits remain."""


def request_key(
    seed: Integer[Array, ""], task: Integer[Array, ""], request: Integer[Array, ""]
) -> Key[jax.Array, ""]:
    """Randomness that belongs to one request, wherever and whenever it is computed."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), task), request)


def batch_samples(
    work: LocalWork, samples: Int32[jax.Array, " row"], key: Key[jax.Array, ""]
) -> Int32[jax.Array, "{work.num_steps} {work.batch_size}"]:
    """The examples of every step, ``int32[num_steps, batch_size]``.

    Args:
        work: static.
        samples: ``int32[work.row_length]``: the client's examples, or ``(first, number)``.
        key: randomness of the request.
    """
    if work.num_samples is None:
        return draw_from_span(work.num_steps, work.batch_size, samples, key)
    return samples[batch_orders(work, key)]


def batch_orders(
    work: LocalWork, key: Key[jax.Array, ""]
) -> Int32[jax.Array, "{work.num_steps} {work.batch_size}"]:
    """Positions into the client's samples, ``int32[num_steps, batch_size]``.

    With ``local_epochs`` each epoch is a new permutation cut into batches; with ``local_steps``
    each step draws without replacement, or with replacement where the client has too few samples.
    """
    num_steps = work.num_steps
    assert work.num_samples is not None
    if work.local_epochs is not None:
        used = work.steps_per_epoch * work.batch_size
        orders = _permutations(key, work.local_epochs, work.num_samples)[:, :used]
    elif work.num_samples < work.batch_size:
        orders = jax.random.randint(key, (num_steps, work.batch_size), 0, work.num_samples)
    else:
        orders = _permutations(key, num_steps, work.num_samples)[:, : work.batch_size]
    return orders.reshape(num_steps, work.batch_size)


def _permutations(key: jax.Array, count: int, size: int) -> jax.Array:
    """Independent permutations, ``int32[count, size]``; row i belongs to ``fold_in(key, i)``."""
    keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(count))
    bits = jax.vmap(lambda k: jax.random.bits(k, (size,), jnp.uint32))(keys)
    if size > LARGEST_PACKED:
        return jnp.argsort(bits, axis=-1).astype(jnp.int32)
    low_bits = jnp.uint32((1 << (size - 1).bit_length()) - 1)
    position = jnp.arange(size, dtype=jnp.uint32)[None]
    return (jnp.sort((bits & ~low_bits) | position, axis=-1) & low_bits).astype(jnp.int32)
