"""MNIST with a multilayer perceptron of 199,210 parameters (Askin et al., UAI 2024, Appendix C)."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax

from ..data.shapes import Shape
from .base import Defaults, Kind, TaskFunctions
from .classification import Normalise, classification
from .nn.layers import Dense

NORMALISE = Normalise(mean=0.1307, std=0.3081)


class MLP(nn.Module):
    """Dense layers with ReLU between them: ``(batch, ...) -> (batch, features[-1])``."""

    features: Sequence[int]

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images.reshape(len(images), -1)
        for features in self.features[:-1]:
            x = nn.relu(Dense(features)(x))
        return Dense(self.features[-1])(x)


def build(shape: Shape) -> TaskFunctions:
    """784-200-200-10 for MNIST's shape."""
    return classification(MLP((200, 200, shape.num_classes)), shape, NORMALISE)


KIND = Kind(
    name="mnist",
    dataset="mnist",
    build=build,
    defaults=Defaults(
        synchronous={"client_lr": 0.2, "sync_weight": 100.0},
        client_lr=0.1,
        weight_decay=3e-4,
        step_time=0.074,
        target_accuracy=0.93,
    ),
    micro_batch={"cpu": 2, "gpu": 256, "tpu": 256},
    test_chunk=1000,
)
