"""Prediction of the next symbol of a text: what a model needs beside itself to become a task."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from ..data.shapes import Data, Shape
from .base import Params, TaskFunctions
from .classification import score_logits


class TextBatch(NamedTuple):
    """Windows of a text."""

    symbols: jax.Array  # int32[batch, window]
    following: jax.Array  # int32[batch], the symbol after each window


def next_symbol(model: nn.Module, shape: Shape) -> TaskFunctions:
    """Make a task of a model that maps symbols ``int32[batch, window]`` to logits.

    The data on the device is ``{"text": uint8[n], "starts": int32[windows]}``: windows are gathered
    when they are needed. The loss is the mean softmax cross entropy.
    """
    (window,) = shape.input_shape

    @jax.jit
    def init(key: jax.Array) -> Params:
        return model.init(key, jnp.zeros((1, window), jnp.int32))["params"]

    def take(data: Data, index: jax.Array, key: jax.Array | None) -> TextBatch:
        del key  # no augmentation
        places = data["starts"][index][:, None] + jnp.arange(window + 1, dtype=jnp.int32)[None]
        samples = data["text"][places].astype(jnp.int32)
        return TextBatch(samples[:, :-1], samples[:, -1])

    def score(params: Params, batch: TextBatch) -> tuple[jax.Array, jax.Array]:
        logits = model.apply({"params": params}, batch.symbols)
        assert isinstance(logits, jax.Array)
        return score_logits(logits, batch.following)

    def loss(params: Params, batch: TextBatch) -> jax.Array:
        return score(params, batch)[1].mean()

    return TaskFunctions(init, take, loss, score)
