"""Which examples each local step sees, where clients hold different numbers of them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Int32, Integer, Key


def draw_from_span(
    num_steps: int, batch_size: int, span: Int32[jax.Array, " 2"], key: Key[jax.Array, ""]
) -> Int32[jax.Array, "{num_steps} {batch_size}"]:
    """Draw a fresh batch of a client's examples for each step.

    Args:
        num_steps, batch_size: static.
        span: ``int32[2]``: the client's first example and how many it has, at least 1.
        key: randomness of this request.
    Returns:
        ``int32[num_steps, batch_size]``, examples; no two of a step are equal, unless the client
        has fewer than ``batch_size``: then they are drawn with replacement.
    """
    first, count = span[0], span[1]
    with_key, without_key = jax.random.split(key)
    repeated = jax.random.randint(with_key, (num_steps, batch_size), 0, count, jnp.int32)
    distinct = draw_subsets(num_steps, batch_size, count, without_key)
    return first + jnp.where(count < batch_size, repeated, distinct)


def draw_subsets(
    num_subsets: int, size: int, count: Integer[jax.Array, ""], key: Key[jax.Array, ""]
) -> Int32[jax.Array, "{num_subsets} {size}"]:
    """Independent uniform subsets of ``0 .. count - 1``, ``int32[num_subsets, size]``.

    ``count`` may be traced: the work depends on ``size`` alone. Every subset is equally likely;
    the order inside one is not random. Where ``count < size`` the result has no meaning.

    Reference:
        Algorithm F2 of Bentley, Floyd, "Programming pearls: a sample of brilliance" (1987): for j
        from ``count - size`` on, take a random number up to j, or j itself where that is taken.
    """
    tops = count - size + jnp.arange(size, dtype=jnp.int32)
    below = jnp.maximum(tops + 1, 1)[None]
    drawn = jax.random.randint(key, (num_subsets, size), 0, below, jnp.int32)

    def take(place: jax.Array, subsets: jax.Array) -> jax.Array:
        draw = drawn[:, place]
        is_taken = (subsets == draw[:, None]).any(axis=1)
        return subsets.at[:, place].set(jnp.where(is_taken, tops[place], draw))

    return lax.fori_loop(0, size, take, jnp.full((num_subsets, size), -1, jnp.int32))
