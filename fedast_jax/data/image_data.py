"""Images and labels as a run needs them; a Dirichlet partition over the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ..config.tables import TaskConfig
from .dataset import Dataset, check_labels
from .errors import DataError
from .keep import kept_type, whole_labels
from .partition import Partition
from .shapes import Data, Shape
from .sources import load_dataset
from .task_data import Splits, TaskData, evenly, put


class ImageData(TaskData):
    """Images and labels; a Dirichlet partition over the classes.

    Images may be of any numbers: ``uint8`` and ``bool`` stay what they are on the device, other
    whole numbers are ``int32`` there, floats ``float32``.
    """

    def __init__(self, dataset: Dataset, test_samples: int | None = None) -> None:
        """Take a data set.

        Raises:
            DataError: images and labels differ in number, or are not what can be kept.
        """
        _check_split(dataset.train_images, dataset.train_labels, "training", dataset)
        _check_split(dataset.test_images, dataset.test_labels, "test", dataset)
        self.dataset = dataset
        self.labels: np.ndarray = dataset.train_labels
        self.tests = evenly(len(dataset.test_labels), test_samples)
        self.num_tests = len(self.tests)
        self.shape = Shape(dataset.train_images.shape[1:], dataset.num_classes)

    @property
    def num_examples(self) -> int:
        """Images of the training set."""
        return len(self.labels)

    @property
    def num_bytes(self) -> int:
        """Bytes on the device."""
        images = self.train_shapes["images"]
        one_image = (
            math.prod(images.shape[1:]) * images.dtype.itemsize + np.dtype(np.int32).itemsize
        )
        return one_image * (len(self.labels) + self.num_tests)

    @property
    def train_shapes(self) -> Data:
        """Shapes and types of the training data on the device."""
        images = self.dataset.train_images
        return {
            "images": jax.ShapeDtypeStruct(images.shape, kept_type(images, "images")),
            "labels": jax.ShapeDtypeStruct(self.labels.shape, jnp.int32),
        }

    def put(self) -> Splits:
        """Put the arrays on the device."""
        dataset, tests = self.dataset, self.tests
        return Splits(
            put("training", images=dataset.train_images, labels=dataset.train_labels),
            put("test", images=dataset.test_images[tests], labels=dataset.test_labels[tests]),
        )

    def partition_bytes(self, num_clients: int) -> int:
        """Of each client and class a count and an offset; the shuffled pools."""
        return 6 * num_clients * self.shape.num_classes + 8 * len(self.labels)

    def partition(
        self,
        settings: TaskConfig,
        num_clients: int,
        seed: Sequence[int],
        shares_seed: Sequence[int] | None = None,
    ) -> Partition:
        """A Dirichlet partition, for any number of clients: class pools start over."""
        assert settings.samples_per_client is not None
        assert settings.dirichlet_alpha is not None
        return Partition(
            self.labels,
            self.shape.num_classes,
            num_clients,
            settings.samples_per_client,
            settings.dirichlet_alpha,
            seed,
            shares_seed,
        )


def load_images(dataset: str, test_samples: int | None = None) -> ImageData:
    """Load one of the known image classification sets."""
    return ImageData(load_dataset(dataset), test_samples)


def load_tfds_images(dataset: str, test_samples: int | None = None) -> ImageData:
    """Load a prepared TFDS image classification set."""
    return ImageData(load_dataset("tfds", dataset), test_samples)


def random_images(shape: Shape, num_examples: int) -> Data:
    """Images without any meaning, stored on the device as real ones are."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_examples, *shape.input_shape), dtype=np.uint8)
    labels = rng.integers(0, shape.num_classes, num_examples, dtype=np.int32)
    return {"images": jnp.asarray(images), "labels": jnp.asarray(labels)}


def _check_split(images: np.ndarray, labels: np.ndarray, split: str, dataset: Dataset) -> None:
    """Raise DataError where images cannot be kept, or labels do not belong to them."""
    where = f"{split} set of {dataset.name}"
    kept_type(images, f"images of the {where}")
    whole_labels(labels, f"labels of the {where}")
    if not 0 < len(images) == len(labels):
        raise DataError(f"the {where} has {len(images)} images but {len(labels)} labels")
    check_labels(labels, dataset.num_classes, where)
