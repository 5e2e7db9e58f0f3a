"""A task's data as a run needs it: on the device once, labels on the host for the partition."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .data import Dataset, load_dataset
from .tasks import Data, Kind, Shape


class Splits(NamedTuple):
    """Training and test data on the device: uint8 images, int32 labels."""

    train: Data
    test: Data


class TaskData:
    """One data set; what lies on the device is put there when it is first asked for."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.labels: np.ndarray = dataset.train_labels
        self.num_tests = len(dataset.test_labels)
        self.shape = Shape(dataset.train_images.shape[1:], dataset.num_classes)

    @property
    def num_bytes(self) -> int:
        """Bytes on the device."""
        dataset = self.dataset
        images = dataset.train_images.nbytes + dataset.test_images.nbytes
        return images + 4 * (len(dataset.train_labels) + len(dataset.test_labels))

    @property
    def train_shapes(self) -> Data:
        """Shapes and types of the training data on the device."""
        images, labels = self.dataset.train_images, self.dataset.train_labels
        return {
            "images": jax.ShapeDtypeStruct(images.shape, images.dtype),
            "labels": jax.ShapeDtypeStruct(labels.shape, jnp.int32),
        }

    @cached_property
    def on_device(self) -> Splits:
        """The arrays on the device."""
        dataset = self.dataset
        return Splits(
            _put(dataset.train_images, dataset.train_labels),
            _put(dataset.test_images, dataset.test_labels),
        )


def load_task_data(kind: Kind, dataset: str | None) -> TaskData:
    """Load the data of a kind (of ``dataset`` where the kind leaves it open).

    Raises:
        DataError: the data is missing or broken.
    """
    if kind.dataset is None:
        return TaskData(load_dataset("tfds", dataset))
    return TaskData(load_dataset(kind.dataset))


def _put(images: np.ndarray, labels: np.ndarray) -> Data:
    return {"images": jax.device_put(images), "labels": jnp.asarray(labels, jnp.int32)}
