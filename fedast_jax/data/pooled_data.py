"""Another task's data, held by one machine as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..config.tables import TaskConfig
from .shapes import Data
from .task_data import Splits, TaskData


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
