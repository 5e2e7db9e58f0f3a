"""CIFAR-100 with a ResNet-18 of 11,220,132 parameters (Askin et al., UAI 2024, Appendix D.4)."""

from __future__ import annotations

from ..data.shapes import Shape
from .base import Defaults, Kind, TaskFunctions
from .classification import Normalise, classification
from .nn.augment import crop_and_flip
from .nn.resnet import ResNet18

NORMALISE = Normalise(mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761))


def build(shape: Shape) -> TaskFunctions:
    """The authors' ResNet-18; training images are shifted and mirrored at random."""
    return classification(ResNet18(shape.num_classes), shape, NORMALISE, crop_and_flip)


def authors_build(shape: Shape) -> TaskFunctions:
    """Its head as the authors have it: 3x3 pooling of a 4x4 map leaves out a row and a column."""
    model = ResNet18(shape.num_classes, pool_size=3)
    return classification(model, shape, NORMALISE, crop_and_flip)


KIND = Kind(
    name="cifar100",
    dataset="cifar100",
    build=build,
    defaults=Defaults(
        client_lr=0.06,
        weight_decay=3e-4,  # the paper names none; as for its other image tasks
        step_time=1.0355,
        local_epochs=None,
        local_steps=5,
        dirichlet_alpha=1.0,
        target_accuracy=0.50,
    ),
    # training one client takes 0.95 GB of workspace beside the 45 MB of its parameters
    micro_batch={"cpu": 1, "gpu": 8, "tpu": 8},
    test_chunk=100,
    authors_build=authors_build,
)
