"""Any image classification set the user names (for example from TensorFlow Datasets)."""

from __future__ import annotations

import flax.linen as nn
import jax

from ..data.image_data import load_tfds_images
from ..data.shapes import Shape
from .base import Defaults, Kind, TaskFunctions
from .classification import Normalise, classification
from .mnist import MLP
from .nn.layers import Conv, Dense, flatten, max_pool, to_batch_innermost

NORMALISE = Normalise(mean=0.5, std=0.5)
SMALLEST_IMAGE = 8  # below this, pooling leaves too little for a convolutional net


class AdaptiveCNN(nn.Module):
    """3x3 convolutions, the channels doubling and the image halving down to 4..7 pixels a side."""

    num_classes: int
    first_channels: int = 16

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = to_batch_innermost(images)
        channels = self.first_channels
        while min(x.shape[1:3]) >= SMALLEST_IMAGE:
            x = nn.relu(max_pool(Conv(channels, 3, padding=1)(x)))
            channels = min(2 * channels, 128)
        x = nn.relu(Dense(128)(flatten(x)))
        return Dense(self.num_classes)(x)


def build(shape: Shape) -> TaskFunctions:
    """A convolutional net for images of 8x8 and more, otherwise a perceptron."""
    if len(shape.input_shape) == 3 and min(shape.input_shape[:2]) >= SMALLEST_IMAGE:
        return classification(AdaptiveCNN(shape.num_classes), shape, NORMALISE)
    return classification(MLP((200, shape.num_classes)), shape, NORMALISE)


KIND = Kind(
    name="tfds",
    dataset=None,
    load=load_tfds_images,
    build=build,
    defaults=Defaults(client_lr=0.05, weight_decay=3e-4, step_time=0.1),
    micro_batch={"cpu": 1, "gpu": 64, "tpu": 64},
    test_chunk=50,
)
