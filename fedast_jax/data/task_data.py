"""A task's data as a run needs it: on the device once, and on the host who holds which part."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ..config.settings import TaskConfig
from ..tasks import Data, Kind, Shape
from . import DataError, Dataset, Partition, load_dataset
from .dataset import check_labels
from .keep import keep, kept_type, whole_labels
from .text import SYMBOLS, WINDOW, Roles, TextDataset, check_num_clients
from .text_sources import load_shakespeare


class Splits(NamedTuple):
    """Training and test data on the device, as the kind's ``take`` expects them."""

    train: Data
    test: Data


class Clients(Protocol):
    """What each client holds."""

    def samples(self, clients: np.ndarray | Sequence[int]) -> np.ndarray:
        """What ``local_train`` is given of some clients, in any order, repeats allowed.

        ``int32[n, LocalWork.row_length]``: a client's examples, or ``(first, number)`` of them.
        """
        ...

    def all_samples(self) -> Iterable[np.ndarray]:
        """The examples of all clients in order, in blocks ``int32[clients, examples of each]``."""
        ...


class TaskData(ABC):
    """The data of one kind."""

    shape: Shape
    num_tests: int

    @cached_property
    def on_device(self) -> Splits:
        """The arrays on the device, put there when this is first asked for."""
        return self.put()

    @property
    @abstractmethod
    def num_examples(self) -> int:
        """Training examples, all clients together."""

    @property
    @abstractmethod
    def num_bytes(self) -> int:
        """Bytes on the device."""

    @property
    @abstractmethod
    def train_shapes(self) -> Data:
        """Shapes and types of the training data on the device."""

    @abstractmethod
    def put(self) -> Splits:
        """Put the arrays on the device."""

    @abstractmethod
    def partition(
        self,
        settings: TaskConfig,
        num_clients: int,
        seed: Sequence[int],
        shares_seed: Sequence[int] | None = None,
    ) -> Clients:
        """Divide the data over clients; a function of the arguments alone.

        Args:
            settings, num_clients: what for.
            seed: of all that is drawn,
            shares_seed: but for the clients' class proportions, if given.
        """

    def partition_bytes(self, num_clients: int) -> int:
        """Bytes, on the host, of a partition."""
        del num_clients
        return 0

    def check_num_clients(self, num_clients: int) -> None:
        """Raise DataError if the data cannot be divided over so many clients."""
        del num_clients  # any number will do


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
            _put("training", images=dataset.train_images, labels=dataset.train_labels),
            _put("test", images=dataset.test_images[tests], labels=dataset.test_labels[tests]),
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


class TextData(TaskData):
    """One array of characters, and where each window starts; a client is a speaking role.

    Tests use windows of *all* roles, whichever are clients, so that every replicate and method is
    judged by the same ones: ``test_samples`` of them, evenly spaced over the roles' test windows in
    order. Of 10,000 windows an accuracy of 0.42 has a standard error of 0.5 points against that of
    all windows; being the same windows in every test, they shift all curves of a run alike.
    """

    def __init__(self, dataset: TextDataset, test_samples: int | None = None) -> None:
        self.dataset = dataset
        self.test_starts = dataset.test_starts[evenly(len(dataset.test_starts), test_samples)]
        self.num_tests = len(self.test_starts)
        self.shape = Shape((WINDOW,), len(SYMBOLS))

    @property
    def num_examples(self) -> int:
        """Training windows of all roles, whichever are clients."""
        return len(self.dataset.train_starts)

    @property
    def num_bytes(self) -> int:
        """Bytes on the device; training and test data share the text."""
        dataset = self.dataset
        return dataset.text.nbytes + dataset.train_starts.nbytes + self.test_starts.nbytes

    @property
    def train_shapes(self) -> Data:
        """Shapes and types of the training data on the device."""
        arrays = {"text": self.dataset.text, "starts": self.dataset.train_starts}
        return {name: jax.ShapeDtypeStruct(one.shape, one.dtype) for name, one in arrays.items()}

    def put(self) -> Splits:
        """Put the arrays on the device."""
        train = _put("training", text=self.dataset.text, starts=self.dataset.train_starts)
        return Splits(train, {**train, **_put("test", starts=self.test_starts)})

    def check_num_clients(self, num_clients: int) -> None:
        """There are as many clients as roles, or fewer."""
        check_num_clients(self.dataset, num_clients)

    def partition(
        self,
        settings: TaskConfig,
        num_clients: int,
        seed: Sequence[int],
        shares_seed: Sequence[int] | None = None,
    ) -> Roles:
        """The roles, or a choice of them."""
        del settings, shares_seed
        return Roles(self.dataset, num_clients, seed)


class PooledData(TaskData):
    """Another task's data, held by one machine as a whole."""

    def __init__(self, data: TaskData) -> None:
        self.data = data
        self.shape, self.num_tests = data.shape, data.num_tests

    @property
    def num_examples(self) -> int:
        """Training examples."""
        return self.data.num_examples

    @property
    def num_bytes(self) -> int:
        """Bytes on the device."""
        return self.data.num_bytes

    @property
    def train_shapes(self) -> Data:
        """Shapes and types of the training data on the device."""
        return self.data.train_shapes

    def put(self) -> Splits:
        """The same arrays."""
        return self.data.on_device

    def partition(
        self,
        settings: TaskConfig,
        num_clients: int,
        seed: Sequence[int],
        shares_seed: Sequence[int] | None = None,
    ) -> Pooled:
        """Undivided."""
        del settings, num_clients, seed, shares_seed
        return Pooled(self.num_examples)


class Pooled:
    """One holder of all examples; its row is ``(first, number)``, whoever asks."""

    def __init__(self, num_examples: int) -> None:
        self._num_examples = num_examples

    def samples(self, clients: np.ndarray | Sequence[int]) -> np.ndarray:
        """``int32[n, 2]``: everything."""
        return np.full((len(clients), 2), [0, self._num_examples], np.int32)

    def all_samples(self) -> Iterable[np.ndarray]:
        """``int32[1, examples]``, once."""
        yield np.arange(self._num_examples, dtype=np.int32)[None]


def load_images(kind: Kind, dataset: str | None, test_samples: int | None) -> ImageData:
    """Load an image classification set."""
    if kind.dataset is None:
        return ImageData(load_dataset("tfds", dataset), test_samples)
    return ImageData(load_dataset(kind.dataset), test_samples)


def load_text(kind: Kind, dataset: str | None, test_samples: int | None) -> TextData:
    """Load the one text that is known."""
    del kind, dataset
    return TextData(load_shakespeare(), test_samples)


LOADERS: dict[str, Callable[[Kind, str | None, int | None], TaskData]] = {
    "images": load_images,
    "text": load_text,
}
"""By ``Kind.data``: ``(kind, dataset of a kind that leaves it open, test_samples) -> data``."""


def load_task_data(kind: Kind, dataset: str | None, test_samples: int | None = None) -> TaskData:
    """Load the data of a kind (of ``dataset`` where the kind leaves it open).

    Raises:
        DataError: the data is missing or broken.
    """
    return LOADERS[kind.data](kind, dataset, test_samples)


def evenly(total: int, most: int | None) -> np.ndarray:
    """``int64``, at most ``most`` of ``0 .. total - 1``, evenly spaced from 0; None: all."""
    number = total if most is None else min(total, most)
    return np.arange(number) * total // number


def _put(split: str, **arrays: np.ndarray) -> Data:
    """Arrays on the device, each as ``keep`` has it."""
    return {name: jax.device_put(keep(one, f"{split} {name}")) for name, one in arrays.items()}


def _check_split(images: np.ndarray, labels: np.ndarray, split: str, dataset: Dataset) -> None:
    """Raise DataError where images cannot be kept, or labels do not belong to them."""
    where = f"{split} set of {dataset.name}"
    kept_type(images, f"images of the {where}")
    whole_labels(labels, f"labels of the {where}")
    if not 0 < len(images) == len(labels):
        raise DataError(f"the {where} has {len(images)} images but {len(labels)} labels")
    check_labels(labels, dataset.num_classes, where)
