"""scikit-learn's 8x8 digits with two small models: for quick starts, examples and tests."""

from __future__ import annotations

import flax.linen as nn
import jax

from ..data.shapes import Shape
from .base import Defaults, Kind, TaskFunctions
from .classification import Normalise, classification
from .mnist import MLP
from .nn.layers import Conv, Dense, flatten, max_pool, to_batch_innermost

NORMALISE = Normalise(mean=0.0, std=1.0, scale=16.0)  # pixels are 0..16

DEFAULTS = Defaults(
    client_lr=0.3,
    weight_decay=1e-4,
    step_time=0.02,
    server_lr=0.2,
    batch_size=10,
    samples_per_client=60,
    target_accuracy=0.9,
    num_active=32,
    buffer_size=2,
)


class SmallCNN(nn.Module):
    """Two padded 3x3 convolutions, one pooling, one dense layer."""

    num_classes: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = to_batch_innermost(images)
        x = nn.relu(max_pool(Conv(8, 3, padding=1)(x)))
        x = nn.relu(Conv(16, 3, padding=1)(x))
        return Dense(self.num_classes)(flatten(x))


def build_mlp(shape: Shape) -> TaskFunctions:
    """64-64-10 for the digits' shape."""
    return classification(MLP((64, shape.num_classes)), shape, NORMALISE)


def build_cnn(shape: Shape) -> TaskFunctions:
    """A convolutional net of about 4,000 parameters for the digits' shape."""
    return classification(SmallCNN(shape.num_classes), shape, NORMALISE)


MLP_KIND = Kind("digits", "digits", build_mlp, DEFAULTS, micro_batch={"cpu": 8})
CNN_KIND = Kind("digits_cnn", "digits", build_cnn, DEFAULTS, micro_batch={"cpu": 4})
