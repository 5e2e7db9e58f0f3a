"""Two tiny smooth tasks on the embedded digits, registered when this is imported."""

from __future__ import annotations

from dataclasses import replace

import flax.linen as nn
import jax

from ...tasks import Defaults, Kind, Shape, TaskFunctions, classification, register_task
from ...tasks.digits import NORMALISE
from ...tasks.nn.layers import Dense


class Perceptron(nn.Module):
    """Softmax regression, or with tanh units between: no kinks, so that rounding stays rounding."""

    hidden: int
    num_classes: int
    has_tanh_on_logits: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images.reshape(len(images), -1)
        if self.hidden:
            x = nn.tanh(Dense(self.hidden)(x))
        logits = Dense(self.num_classes)(x)
        return nn.tanh(logits) if self.has_tanh_on_logits else logits


def build_softmax(shape: Shape) -> TaskFunctions:
    """650 numbers for the digits' shape."""
    return classification(Perceptron(0, shape.num_classes), shape, NORMALISE)


def build_tanh(shape: Shape) -> TaskFunctions:
    """Eight hidden units."""
    return classification(Perceptron(8, shape.num_classes), shape, NORMALISE)


def build_authors_tanh(shape: Shape) -> TaskFunctions:
    """What stands for a model that the authors have otherwise."""
    return classification(Perceptron(8, shape.num_classes, True), shape, NORMALISE)


DEFAULTS = Defaults(
    client_lr=0.5,
    weight_decay=1e-3,
    step_time=0.5,
    server_lr=1.0,
    batch_size=10,
    local_epochs=1,
    samples_per_client=25,
    dirichlet_alpha=1.0,
    test_every=2,
    num_active=6,
    buffer_size=2,
)
OF_TANH = replace(
    DEFAULTS, client_lr=1.0, batch_size=8, local_epochs=None, local_steps=3, samples_per_client=20
)
SOFTMAX = Kind("softmax", "digits", build_softmax, DEFAULTS, test_chunk=200)
TANH = Kind(
    "tanh",
    "digits",
    build_tanh,
    OF_TANH,
    micro_batch={"cpu": 2},
    test_chunk=1000,
    authors_build=build_authors_tanh,
)

register_task("softmax", SOFTMAX)
register_task("tanh", TANH)
