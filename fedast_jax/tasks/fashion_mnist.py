"""Fashion-MNIST with LeNet-5, 44,426 parameters (Askin et al., UAI 2024, Appendix C)."""

from __future__ import annotations

import flax.linen as nn
import jax

from ..data.shapes import Shape
from .base import Defaults, Kind, TaskFunctions
from .classification import Normalise, classification
from .nn.layers import Conv, Dense, flatten, max_pool, to_batch_innermost

NORMALISE = Normalise(mean=0.1307, std=0.3081)  # MNIST's constants, as the authors have it


class LeNet5(nn.Module):
    """Two 5x5 convolutions with pooling, then 120-84-classes; valid padding, ReLU."""

    num_classes: int
    has_relu_on_logits: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = to_batch_innermost(images)
        x = nn.relu(max_pool(Conv(6, 5)(x)))
        x = nn.relu(max_pool(Conv(16, 5)(x)))
        x = flatten(x)
        x = nn.relu(Dense(120)(x))
        x = nn.relu(Dense(84)(x))
        logits = Dense(self.num_classes)(x)
        return nn.relu(logits) if self.has_relu_on_logits else logits


def build(shape: Shape) -> TaskFunctions:
    """LeNet-5 for images of at least 16x16."""
    return classification(LeNet5(shape.num_classes), shape, NORMALISE)


def authors_build(shape: Shape) -> TaskFunctions:
    """The same with a ReLU on the logits, as in the authors' code."""
    return classification(LeNet5(shape.num_classes, has_relu_on_logits=True), shape, NORMALISE)


KIND = Kind(
    name="fashion_mnist",
    dataset="fashion_mnist",
    build=build,
    defaults=Defaults(
        synchronous={"sync_weight": 84.0},
        client_lr=0.06,
        weight_decay=3e-4,
        step_time=0.120,
        target_accuracy=0.82,
    ),
    micro_batch={"cpu": 1, "gpu": 256, "tpu": 256},
    test_chunk=50,
    authors_build=authors_build,
)
