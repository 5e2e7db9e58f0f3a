"""What a task is: a model, how it reads its data, and what it is trained and judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax

from ..config.tables import TaskConfig
from ..data.image_data import load_images, random_images
from ..data.shapes import Data, Shape
from ..data.task_data import TaskData

Params = Any  # a tree of float arrays: the model
Batch = Any  # what one step of training or testing sees


class TaskFunctions(NamedTuple):
    """The pure functions that the engine needs of one task."""

    init: Callable[[jax.Array], Params]
    """``key -> params``."""
    take: Callable[[Data, jax.Array, jax.Array | None], Batch]
    """``(data, index[B], key) -> batch``: gather, normalise, augment (if ``key`` is given)."""
    loss: Callable[[Params, Batch], jax.Array]
    """``(params, batch) -> ()``: the mean loss over the batch, without weight decay."""
    score: Callable[[Params, Batch], tuple[jax.Array, jax.Array]]
    """``(params, batch) -> (correct[B], loss[B])``: per example, correct being 0 or 1."""


SYNCHRONOUS = {"server_lr": 1.0, "test_every": 1}  # with a round's many clients, per round


@dataclass(frozen=True)
class Defaults:
    """Hyperparameters of a kind where the user names none: Askin et al., UAI 2024, Appendix C."""

    client_lr: float  # eta_c
    weight_decay: float
    step_time: float  # beta of the task: the shortest time of one local step of a client of speed 1
    server_lr: float = 0.1  # eta_s
    batch_size: int = 32
    local_epochs: int | None = 3
    local_steps: int | None = None
    samples_per_client: int | None = 300  # None: the data says who the clients are
    dirichlet_alpha: float | None = 0.1
    test_samples: int | None = None  # None: the whole test set
    target_accuracy: float | None = None
    test_every: int = 4
    num_active: int = 96  # R_m
    buffer_size: int = 3  # b_m
    synchronous: Mapping[str, float] = field(default_factory=dict)
    """What differs for synchronous algorithms, beside ``SYNCHRONOUS``."""

    def __post_init__(self) -> None:
        """Complete what synchronous algorithms use."""
        object.__setattr__(self, "synchronous", {**SYNCHRONOUS, **self.synchronous})


@dataclass(frozen=True)
class Kind:
    """A registry entry: the task as a function of the shape of its data, and its defaults."""

    name: str
    dataset: str | None  # the data set's name; None where the user must give it
    build: Callable[[Shape], TaskFunctions]
    defaults: Defaults
    micro_batch: Mapping[str, int] = field(default_factory=dict)
    """Clients trained side by side, by backend ("cpu", "gpu", "tpu"); absent: the whole batch."""
    test_chunk: int = 1000  # examples of the test set scored at once
    load: Callable[[str, int | None], TaskData] = load_images
    """``(name of the data set, test_samples) -> data``."""
    random_data: Callable[[Shape, int], Data] = random_images
    """``(shape, number of examples) -> training data`` without any meaning, for measurements."""
    authors_build: Callable[[Shape], TaskFunctions] | None = None
    """Instead of ``build`` where the authors' code is followed and its model differs."""

    def load_for(self, settings: TaskConfig) -> TaskData:
        """The data of a task of this kind.

        Raises:
            DataError: it is missing or broken.
        """
        name = self.dataset or settings.dataset
        assert name is not None, "the kind leaves its data set open, and the task names none"
        return self.load(name, settings.test_samples)

    def with_authors_model(self) -> Kind:
        """The kind whose ``build`` is that of the authors' code."""
        return replace(self, build=self.authors_build) if self.authors_build else self
