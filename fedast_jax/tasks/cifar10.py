"""CIFAR-10 with a convolutional net of 797,962 parameters (Askin et al., UAI 2024, Appendix C)."""

from __future__ import annotations

import flax.linen as nn
import jax

from ..data.shapes import Shape
from .base import Defaults, Kind, TaskFunctions
from .classification import Normalise, classification
from .nn.layers import Conv, Dense, flatten, max_pool, to_batch_innermost

NORMALISE = Normalise(mean=0.5, std=0.5)


class CNN(nn.Module):
    """Two 5x5 convolutions of 64 channels with pooling, 384-192-classes; valid padding, ReLU."""

    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = to_batch_innermost(images)
        x = nn.relu(max_pool(Conv(64, 5)(x)))
        x = nn.relu(max_pool(Conv(64, 5, form="rows")(x)))
        x = flatten(x)
        x = nn.relu(Dense(384)(x))
        x = nn.relu(Dense(192)(x))
        return Dense(self.num_classes)(x)


def build(shape: Shape) -> TaskFunctions:
    """The authors' CNN for images of at least 16x16."""
    return classification(CNN(shape.num_classes), shape, NORMALISE)


KIND = Kind(
    name="cifar10",
    dataset="cifar10",
    build=build,
    defaults=Defaults(
        synchronous={"weight_decay": 3e-4, "sync_weight": 48.0},
        client_lr=0.1,
        weight_decay=7e-4,
        step_time=0.114,
        target_accuracy=0.63,
    ),
    micro_batch={"cpu": 1, "gpu": 64, "tpu": 64},
    test_chunk=50,
)
