"""A task's data as a run needs it: on the device once, and on the host who holds which part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple, Protocol

import jax
import numpy as np

from ..config.tables import TaskConfig
from .keep import keep
from .shapes import Data, Shape


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


def evenly(total: int, most: int | None) -> np.ndarray:
    """``int64``, at most ``most`` of ``0 .. total - 1``, evenly spaced from 0; None: all."""
    number = total if most is None else min(total, most)
    return np.arange(number) * total // number


def put(split: str, **arrays: np.ndarray) -> Data:
    """Arrays on the device, each as ``keep`` has it."""
    return {name: jax.device_put(keep(array, f"{split} {name}")) for name, array in arrays.items()}
