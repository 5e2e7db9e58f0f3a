"""Arrays of a user's own as a run needs them: examples and targets of any shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

import jax
import numpy as np

from ..config.tables import TaskConfig
from ..config.words import show
from .dataset import show_shape
from .divisions import Division
from .errors import DataError
from .keep import keep
from .partition import check_clients
from .shapes import Data, Shape
from .task_data import Clients, Splits, TaskData, evenly, put


class Arrays(NamedTuple):
    """Examples and their targets, in their types on the device."""

    x: np.ndarray  # [n, ...]
    y: np.ndarray  # [n, ...]


def check_arrays(pair: Any, split: str) -> Arrays:
    """Examples and targets that can be kept.

    Args:
        pair: ``(x, y)``.
        split: "train" or "test".
    Raises:
        DataError: they are no pair, differ in length, are empty, or hold what is no finite number.
    """
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(f"{split} must be a pair (x, y) of arrays, got {show(type(pair).__name__)}")
    x, y = (_array(one, f"{split} {name}") for one, name in zip(pair, "xy", strict=True))
    if x.ndim < 1 or y.ndim < 1 or len(x) != len(y):
        raise DataError(
            f"{split} has an x of shape {list(x.shape)} and a y of shape {list(y.shape)}: both "
            f"need one entry for each example"
        )
    if not x.size or not y.size:
        raise DataError(f"{split} is empty: its x has shape {list(x.shape)}")
    return Arrays(x, y)


def _array(values: Any, where: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError:
        raise DataError(
            f"the {where} must be an array, but its entries are of different lengths: pad them"
        ) from None
    return keep(array, where)


def check_alike(train: Arrays, test: Arrays) -> None:
    """Raise DataError where training and test examples are of different shapes or types."""
    for name, one, other in zip("xy", train, test, strict=True):
        if one.shape[1:] != other.shape[1:]:
            raise DataError(
                f"{name} of train and test must be of one shape, but an example of train is "
                f"{show_shape(one.shape[1:]) or 'one number'} and one of test "
                f"{show_shape(other.shape[1:]) or 'one number'}"
            )
        if one.dtype != other.dtype:
            raise DataError(
                f"{name} of train and test must be of one type, got {one.dtype} and {other.dtype}"
            )


class ArrayData(TaskData):
    """Own arrays, and how they are divided."""

    def __init__(
        self, train: Arrays, test: Arrays, division: Division, test_samples: int | None = None
    ) -> None:
        """Take arrays that ``check_arrays`` has made."""
        self.division, self.labels = division, train.y
        self.order: np.ndarray | None = None
        if division.given is not None:  # clients one after the other, so that each is a span
            self.order = np.argsort(division.given, kind="stable")
            train = Arrays(*(array[self.order] for array in train))
        self.train = train
        tests = evenly(len(test.y), test_samples)
        self.test = Arrays(*(array[tests] for array in test))
        self.num_tests = len(tests)
        self.shape = Shape(train.x.shape[1:], 0)

    @property
    def num_examples(self) -> int:
        """Of the training set."""
        return len(self.train.x)

    @property
    def num_bytes(self) -> int:
        """Bytes on the device."""
        return sum(array.nbytes for split in (self.train, self.test) for array in split)

    @property
    def train_shapes(self) -> Data:
        """Shapes and types of the training data on the device."""
        return {
            name: jax.ShapeDtypeStruct(array.shape, array.dtype)
            for name, array in self.train._asdict().items()
        }

    def put(self) -> Splits:
        """Put the arrays on the device."""
        return Splits(put("train", **self.train._asdict()), put("test", **self.test._asdict()))

    def partition(
        self,
        settings: TaskConfig,
        num_clients: int,
        seed: Sequence[int],
        shares_seed: Sequence[int] | None = None,
    ) -> Clients:
        """As the division says."""
        self.check_num_clients(num_clients)
        if self.order is not None:
            return self._spans
        assert settings.samples_per_client is not None
        seeds = [seed] if shares_seed is None else [seed, shares_seed]
        size, alpha = settings.samples_per_client, settings.dirichlet_alpha
        return self.division.deal(self.labels, size, alpha, seeds)

    @cached_property
    def _spans(self) -> Spans:
        assert self.division.given is not None
        assert self.order is not None
        return Spans(np.bincount(self.division.given), self.order)

    def partition_bytes(self, num_clients: int) -> int:
        """Of each sample a number; of a Dirichlet division, as of images."""
        classes = 0 if self.division.alpha is None else int(self.labels.max()) + 1
        return 8 * self.num_examples + 6 * num_clients * classes

    def check_num_clients(self, num_clients: int) -> None:
        """It is that of the division."""
        if num_clients != self.division.num_clients:
            raise DataError(
                f"the data is divided over {self.division.num_clients} clients, not over "
                f"num_clients={num_clients}"
            )


class Spans:
    """Clients whose samples lie one after the other; a row is ``(first, number)``."""

    def __init__(self, sizes: np.ndarray, order: np.ndarray) -> None:
        """Lay them out.

        Args:
            sizes: ``int[clients]``, samples of each.
            order: ``int[n]``, the user's number of the sample that lies at each place.
        """
        self._spans = np.stack([np.cumsum(sizes) - sizes, sizes], 1).astype(np.int32)
        self._order = order

    def samples(self, clients: np.ndarray | Sequence[int]) -> np.ndarray:
        """``int32[n, 2]``, the span of each of some clients."""
        clients = np.asarray(clients, np.int64).reshape(-1)
        check_clients(clients, len(self._spans))
        return self._spans[clients]

    def all_samples(self) -> Iterator[np.ndarray]:
        """The samples of each client in order, by the user's numbers, ``int32[1, samples]``."""
        for first, number in self._spans.tolist():
            yield self._order[first : first + number].astype(np.int32)[None]


def digest(*parts: Any) -> str:
    """Equal for equal arrays and words."""
    found = sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            found.update(f"{part.dtype}{part.shape}".encode())
            found.update(np.ascontiguousarray(part).data)
        else:
            found.update(repr(part).encode())
    return found.hexdigest()
