"""What a task is: a model, how it reads its data, and what it is trained and judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import jax

from ..config.goal import Goal
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
    """``(params, batch) -> (metric[B], loss[B])``: per example; for accuracy 0 or 1."""


BACKENDS = ("cpu", "gpu", "tpu")
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
    """Clients trained side by side, by backend (of ``BACKENDS``); absent: the whole batch."""
    test_chunk: int = 1000  # examples of the test set scored at once
    load: Callable[[str, int | None], TaskData] = load_images
    """``(name of the data set, test_samples) -> data``."""
    random_data: Callable[[Shape, int], Data] = random_images
    """``(shape, number of examples) -> training data`` without any meaning, for measurements."""
    authors_build: Callable[[Shape], TaskFunctions] | None = None
    """Instead of ``build`` where the authors' code is followed and its model differs."""

    given: Mapping[str, Any] = field(default_factory=dict)
    """Settings of an own task, which hold for every algorithm where a configuration is silent."""
    goal: Goal = field(default_factory=Goal)
    """What tests measure."""
    num_clients: int | None = None  # of the one division that its data has; None: any number
    digest: Callable[[], str] | None = None
    """Of an own task's data and clients, which no name stands for."""
    engines: dict[Any, Any] | None = field(default=None, compare=False)
    """Where its compiled programs are kept from run to run; None: nowhere."""

    def settings_for(
        self, chosen: Mapping[str, Any], changed: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """A task's settings: the defaults, what the task itself has given, what is chosen.

        Args:
            chosen: by the configuration.
            changed: defaults that are other ones with its algorithm; None: with a synchronous one.
        """
        defaults = {key: one for key, one in asdict(self.defaults).items() if one is not None}
        synchronous = defaults.pop("synchronous")
        defaults |= synchronous if changed is None else changed
        if not self.goal.is_accuracy:
            defaults |= {"metric": self.goal.metric, "metric_goal": self.goal.word}
        return _over(_over(defaults, self.given), chosen)

    def load_for(self, settings: TaskConfig) -> TaskData:
        """The data of a task of this kind.

        Raises:
            DataError: it is missing or broken.
        """
        name = self.dataset or settings.dataset
        assert name is not None, "the kind leaves its data set open, and the task names none"
        return self.load(name, settings.test_samples)

    def with_side_by_side(self, number: int | None) -> Kind:
        """The kind with so many clients side by side on any device; None: as it is."""
        micro_batch = dict.fromkeys(BACKENDS, number)
        return replace(self, micro_batch=micro_batch) if number else self

    def with_authors_model(self) -> Kind:
        """The kind whose ``build`` is that of the authors' code."""
        return replace(self, build=self.authors_build) if self.authors_build else self


LOCAL = {"local_steps", "local_epochs"}


def _over(settings: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, and others on top; passes or steps that these name take the place of both."""
    dropped = LOCAL if LOCAL & set(others) else set()
    return {key: one for key, one in settings.items() if key not in dropped} | dict(others)
