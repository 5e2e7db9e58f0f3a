"""Random changes of training images, drawn on the device for each step of a request."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def crop_and_flip(images: jax.Array, key: jax.Array, padding: int = 4) -> jax.Array:
    """Shift every image by up to ``padding`` pixels and mirror every other one.

    As torchvision's ``RandomCrop(size, padding)`` and ``RandomHorizontalFlip()`` on raw pixels:
    what is shifted in is 0.

    Args:
        images: ``uint8[batch, height, width, channels]``.
        key: randomness of this step.
        padding: of each side, before a window of the original size is cut out at random.
    """
    num, height, width, _ = images.shape
    shift_key, flip_key = jax.random.split(key)
    shift = jax.random.randint(shift_key, (2, num, 1), 0, 2 * padding + 1, jnp.int32)
    is_flipped = jax.random.bernoulli(flip_key, 0.5, (num, 1))
    across = jnp.arange(width, dtype=jnp.int32)[None]
    rows = shift[0] + jnp.arange(height, dtype=jnp.int32)[None]
    columns = shift[1] + jnp.where(is_flipped, width - 1 - across, across)
    padded = jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    image = jnp.arange(num, dtype=jnp.int32)[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]]
