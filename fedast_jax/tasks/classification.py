"""Image classification: what a model needs beside itself to become a ``TaskFunctions``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ..data.shapes import Data, Shape
from .base import Params, TaskFunctions
from .nn.layers import default_float


class ImageBatch(NamedTuple):
    """Examples ready for the model."""

    images: jax.Array  # float[batch, height, width, channels], normalised
    labels: jax.Array  # int32[batch]


class Normalise(NamedTuple):
    """``(pixel / scale - mean) / std``, per channel or with one number for all channels."""

    mean: float | Sequence[float]
    std: float | Sequence[float]
    scale: float = 255.0

    def __call__(self, pixels: jax.Array) -> jax.Array:
        """``uint8[batch, height, width, channels] -> float``, as one product and one sum."""
        dtype = default_float()
        mean, std = np.asarray(self.mean), np.asarray(self.std)
        factor = jnp.asarray(1.0 / (self.scale * std), dtype).reshape(1, 1, 1, -1)
        offset = jnp.asarray(-mean / std, dtype).reshape(1, 1, 1, -1)
        return pixels.astype(dtype) * factor + offset


Augment = Callable[[jax.Array, jax.Array], jax.Array]
"""``(uint8[batch, height, width, channels], key) -> the same``: a random change of each image."""


def classification(
    model: nn.Module, shape: Shape, normalise: Normalise, augment: Augment | None = None
) -> TaskFunctions:
    """Make a task of a model that maps images ``(batch, height, width, channels)`` to logits.

    The data on the device is ``{"images": uint8[n, height, width, channels], "labels": int32[n]}``.
    The loss is the mean softmax cross entropy. Training images go through ``augment`` first.
    """

    @jax.jit  # the forward pass that flax makes for the shapes is then left out
    def init(key: jax.Array) -> Params:
        return model.init(key, jnp.zeros((1, *shape.input_shape), default_float()))["params"]

    def take(data: Data, index: jax.Array, key: jax.Array | None) -> ImageBatch:
        images = data["images"][index]
        if augment is not None and key is not None:
            images = augment(images, key)
        return ImageBatch(normalise(images), data["labels"][index])

    def score(params: Params, batch: ImageBatch) -> tuple[jax.Array, jax.Array]:
        logits = model.apply({"params": params}, batch.images)
        assert isinstance(logits, jax.Array)
        return score_logits(logits, batch.labels)

    def loss(params: Params, batch: ImageBatch) -> jax.Array:
        return score(params, batch)[1].mean()

    return TaskFunctions(init, take, loss, score)


def score_logits(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``(float[batch, classes], int32[batch])`` to ``(correct[batch], cross entropy[batch])``."""
    # of the label by a mask: the gradient of picking it out would be a scatter
    is_label = labels[:, None] == jnp.arange(logits.shape[-1], dtype=labels.dtype)[None]
    of_label = jnp.where(is_label, logits, 0).sum(-1)
    each_loss = jax.nn.logsumexp(logits, axis=-1) - of_label
    correct = (first_largest(logits) == labels).astype(each_loss.dtype)
    return correct, each_loss


def first_largest(values: jax.Array) -> jax.Array:
    """``argmax`` over the last axis, as ``int32``; a NaN counts as the largest, as there.

    With ``jnp.argmax`` JAX keeps 40 kB for every program that is compiled with it, for good: a
    process that does run after run would grow.
    """
    is_largest = (values == values.max(-1, keepdims=True)) | jnp.isnan(values)
    places = jnp.arange(values.shape[-1], dtype=jnp.int32)
    return jnp.where(is_largest, places, jnp.int32(values.shape[-1])).min(-1)
