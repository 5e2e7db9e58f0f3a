"""Windows of one text as a run needs them; a client is a speaking role."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ..config.tables import TaskConfig
from .shapes import Data, Shape
from .task_data import Splits, TaskData, evenly, put
from .text import SYMBOLS, WINDOW, Roles, TextDataset, check_num_clients
from .text_sources import load_roles


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
        return {
            name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in arrays.items()
        }

    def put(self) -> Splits:
        """Put the arrays on the device."""
        train = put("training", text=self.dataset.text, starts=self.dataset.train_starts)
        return Splits(train, {**train, **put("test", starts=self.test_starts)})

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


def load_text(dataset: str, test_samples: int | None = None) -> TextData:
    """Load a text by roles: plays or LEAF's files under the data set's name."""
    return TextData(load_roles(dataset), test_samples)


def random_text(shape: Shape, num_examples: int) -> Data:
    """Characters without any meaning, stored on the device as real ones are."""
    rng, size = np.random.default_rng(0), num_examples + shape.input_shape[0]
    text = rng.integers(0, shape.num_classes, size, dtype=np.uint8)
    return {"text": jnp.asarray(text), "starts": jnp.arange(num_examples, dtype=jnp.int32)}
