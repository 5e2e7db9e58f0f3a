"""A task of a user's own: arrays, a model, clients, and what differs from the defaults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import ValidationError

from ..config.closest import did_you_mean
from ..config.cores import offer_cores
from ..config.errors import ConfigError
from ..config.goal import Goal
from ..config.tables import TaskConfig
from ..config.words import explain, show
from ..data.array_data import ArrayData, Arrays, check_alike, check_arrays, digest
from ..data.dataset import check_labels, show_shape
from ..data.divide import given
from ..data.divisions import Division
from ..data.shapes import Data, Shape
from .base import BACKENDS, Defaults, Kind, Params, TaskFunctions
from .judging import (
    Judge,
    Metric,
    check_judge,
    check_logits,
    cross_entropy,
    each,
    is_correct,
    traced,
)
from .models import Model, as_model
from .nn.layers import default_float

EPOCHS = 3  # of one request; where clients are unequal, of a client of mean size
BATCH_SIZE = 32
TRIED = 32  # examples on which the loss of the first model must be a number
NOT_SETTINGS = {"kind", "dataset", "copies", "metric", "metric_goal"}
FROM_CLIENTS = {"samples_per_client", "dirichlet_alpha"}


@dataclass(frozen=True, eq=False, repr=False)
class Task:
    """What is trained, on which data, by whom, and how; ``from_arrays`` makes one.

    ``simulate``, ``compare`` and ``sweep`` take a dict of them by name; ``register_task`` makes one
    a kind for configurations.

    Attributes:
        train, test: examples and targets.
        division: who holds which training sample.
        functions: what the engine trains and tests with.
        goal: what tests measure.
        settings: those that were given; they hold for every algorithm.
    """

    train: Arrays
    test: Arrays
    division: Division
    functions: TaskFunctions
    goal: Goal
    settings: Mapping[str, Any]
    micro_batch: int | None = None
    _engines: dict[Any, Any] = field(default_factory=dict)  # compiled once for all runs

    @classmethod
    def from_arrays(
        cls,
        train: tuple[Any, Any],
        test: tuple[Any, Any],
        *,
        model: Any,
        clients: Any,
        loss: Judge | None = None,
        metric: Metric | None = None,
        micro_batch: int | None = None,
        **settings: Any,
    ) -> Task:
        """Make a task of arrays.

        Args:
            train, test: ``(x, y)``, the examples along the first axis: x of any shape and numbers
                (floats are float32 on the device, whole numbers stay whole), y labels from 0 on, or
                whatever ``loss`` takes.
            model: a Flax module, ``lambda rngs: ...`` that makes an nnx module, ``lambda key: ...``
                that makes an Equinox module, or a pair ``(init, apply)`` with ``init(key)`` and
                ``apply(params, x)``, x being a batch. For labels it gives a score for each class.
            clients: ``dirichlet``, ``iid``, ``shards`` or ``by_label`` of this package, or an array
                with the client of each training sample.
            loss: ``(outputs, targets) -> [B]`` or a mean; None: softmax cross entropy.
            metric: what tests measure; None: accuracy where y holds labels and the model gives
                scores of classes, otherwise the loss, small values being good.
            micro_batch: clients trained side by side; None: as many as a batch has on a CPU. With
                convolutions 1 is faster there.
            settings: those of a task's table in a configuration: ``client_lr``, ``num_active``,
                ``target_accuracy``, ... Of unequal clients each request is ``local_steps`` batches,
                by default ``EPOCHS`` times what a client of mean size holds.
        Raises:
            ConfigError: the model, the loss, the metric or a setting cannot be used.
            DataError: the arrays or the clients cannot be.
        """
        offer_cores()  # what follows tries the model, with JAX
        arrays = check_arrays(train, "train"), check_arrays(test, "test")
        check_alike(*arrays)
        division = clients if isinstance(clients, Division) else given(clients)
        division = division.for_labels(arrays[0].y)
        judged = _judged(model, loss, metric, arrays)
        task = cls(*arrays, division, judged.functions, judged.goal, settings, micro_batch)
        task._check_settings()
        _check_first_loss(task)
        return task

    def kind(self, name: str) -> Kind:
        """The task as a registry has it."""
        return Kind(
            name=name,
            dataset=name,
            build=self._build,
            defaults=self.defaults,
            micro_batch={} if self.micro_batch is None else _everywhere(self.micro_batch),
            test_chunk=min(1000, len(self.test.y)),
            load=self._load,
            random_data=self._random_data,
            given=self.settings,
            goal=self.goal,
            num_clients=self.division.num_clients,
            digest=lambda: self.digest,
            engines=self._engines,
        )

    @property
    def defaults(self) -> Defaults:
        """What holds where neither the task nor a configuration says anything."""
        size = None if self.division.given is not None else self.division.per_client(self.train.y)
        mean = len(self.train.y) / self.division.num_clients
        batch = min(BATCH_SIZE, size or math.ceil(mean))
        return Defaults(
            client_lr=0.1,
            weight_decay=0.0,
            step_time=0.05,
            batch_size=batch,
            local_epochs=EPOCHS if size else None,
            local_steps=None if size else math.ceil(EPOCHS * mean / batch),
            samples_per_client=size,
            dirichlet_alpha=self.division.alpha,
        )

    @cached_property
    def digest(self) -> str:
        """Of the data, of who holds it and of the shapes of the model: of all but functions."""
        params = jax.eval_shape(self.functions.init, jax.random.key(0))
        owner = self.division.given
        clients = self.division if owner is None else owner
        return digest(*self.train, *self.test, clients, str(jax.tree.map(jnp.shape, params)))

    def __repr__(self) -> str:
        """One line."""
        shape = show_shape(self.train.x.shape[1:]) or "one number"
        return (
            f"<Task of {len(self.train.y):,} + {len(self.test.y):,} examples of {shape}, "
            f"{self.division.num_clients:,} clients, judged by {self.goal.metric}>"
        )

    @cached_property
    def _build(self) -> Any:
        """One function for all its kinds, for programs are told apart by it; it holds no data."""
        functions = self.functions
        return lambda shape: functions

    @cached_property
    def _load(self) -> Any:
        """One function for all its kinds, for equal data is told by it."""
        return lambda dataset, test_samples: ArrayData(
            self.train, self.test, self.division, test_samples
        )

    def _random_data(self, shape: Shape, num_examples: int) -> Data:
        """For a benchmark the data itself, over and over."""
        del shape
        places = np.arange(num_examples) % len(self.train.y)
        return {name: jnp.asarray(array[places]) for name, array in self.train._asdict().items()}

    def _check_settings(self) -> None:
        """Raise ConfigError where one is wrong, before anything is run."""
        known = set(TaskConfig.model_fields) - NOT_SETTINGS - FROM_CLIENTS
        for name in self.settings:
            if name in FROM_CLIENTS:
                raise ConfigError(f"{name} comes from clients: give it there, not here")
            if name not in known:
                raise ConfigError(
                    f"a task has no setting {show(name)}; {did_you_mean(name, known)}"
                )
        if "local_epochs" in self.settings and self.division.given is not None:
            raise ConfigError(
                "local_epochs has no meaning where clients hold different numbers of samples: give "
                "local_steps"
            )
        try:
            settings = self.kind("own").settings_for({}, {})
            TaskConfig.model_validate({"kind": "own", **settings})
        except ValidationError as error:
            raise ConfigError(explain(error, {"": TaskConfig})) from None


class Judged(NamedTuple):
    """A model with what it is trained and tested by."""

    functions: TaskFunctions
    goal: Goal


class ArrayBatch(NamedTuple):
    """Examples ready for the model."""

    x: jax.Array
    y: jax.Array


def _everywhere(micro_batch: Any) -> dict[str, int]:
    """A number of clients side by side, whatever the device."""
    if not isinstance(micro_batch, int) or micro_batch < 1:
        raise ConfigError(f"micro_batch must be a whole number from 1 on, got {show(micro_batch)}")
    return dict.fromkeys(BACKENDS, micro_batch)


def _judged(
    model: Any, loss: Judge | None, metric: Metric | None, arrays: tuple[Arrays, Arrays]
) -> Judged:
    """Put model, loss and metric together, once they are known to suit the arrays."""
    x, y = (
        jax.ShapeDtypeStruct((min(2, len(array)), *array.shape[1:]), array.dtype)
        for array in arrays[0]
    )
    pure = as_model(model, x)
    params = traced("the model", pure.init, jax.random.key(0))
    _check_params(params)
    outputs = traced(f"the model, given x of shape {list(x.shape)},", pure.apply, params, x)
    if loss is None:
        _check_classes(outputs, y, arrays)
    has_classes = loss is None or _are_scores(outputs, y, arrays[0].y)
    loss = cross_entropy if loss is None else loss
    check_judge(loss, "loss", outputs, y)
    if metric is not None and not isinstance(metric, Metric):
        raise ConfigError(
            f'metric must be fx.Metric(function, name, "at least" or "at most"), got {show(metric)}'
        )
    if metric is not None:
        check_judge(metric.function, "metric", outputs, y)
        return Judged(_functions(pure, loss, metric.function), metric.as_goal)
    if has_classes:
        return Judged(_functions(pure, loss, is_correct), Goal())
    return Judged(_functions(pure, loss, loss), Goal("loss", "at most"))


def _check_params(params: Any) -> None:
    """Raise ConfigError where there is nothing to train, or something else than floats."""
    leaves = jax.tree.leaves(params)
    if not leaves:
        raise ConfigError("the model has no parameters to train")
    for leaf in leaves:
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ConfigError(f"the model's parameters must be floats, got {leaf.dtype}")


def _check_classes(outputs: Any, y: jax.ShapeDtypeStruct, arrays: tuple[Arrays, Arrays]) -> None:
    """Raise where there are no labels, no scores of classes, or labels outside of the classes."""
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise ConfigError(
            f"y must be labels, whole numbers in a row, where no loss= is given; got "
            f"{y.dtype}{[len(arrays[0].y), *y.shape[1:]]}"
        )
    check_logits(outputs, y.shape[0])
    for split, part in zip(("training", "test"), arrays, strict=True):
        check_labels(
            part.y, outputs.shape[1], f"{split} set (the model has {outputs.shape[1]} outputs)"
        )


def _are_scores(outputs: Any, y: jax.ShapeDtypeStruct, labels: np.ndarray) -> bool:
    """Whether outputs can be scores of the classes that labels name."""
    shape = getattr(outputs, "shape", ())
    if y.ndim != 1 or y.dtype.kind not in "iu" or len(shape) != 2 or shape[1] < 2:
        return False
    return bool(labels.min() >= 0 and labels.max() < shape[1])


def _functions(model: Model, loss: Judge, metric: Judge) -> TaskFunctions:
    """As the engine takes them; all is computed in the type of the parameters."""

    @jax.jit  # what a library computes for the shapes alone is then left out
    def init(key: jax.Array) -> Params:
        return jax.tree.map(lambda leaf: jnp.asarray(leaf, default_float()), model.init(key))

    def take(data: Data, index: jax.Array, key: jax.Array | None) -> ArrayBatch:
        del key
        return ArrayBatch(data["x"][index], data["y"][index])

    def outputs_of(params: Params, batch: ArrayBatch) -> tuple[jax.Array, jax.Array]:
        dtype = jnp.result_type(*jax.tree.leaves(params))
        outputs = model.apply(params, _as(dtype, batch.x))
        return _as(dtype, outputs), _as(dtype, batch.y)

    def mean_loss(params: Params, batch: ArrayBatch) -> jax.Array:
        outputs, targets = outputs_of(params, batch)
        return jnp.asarray(loss(outputs, targets)).mean().astype(_float_of(params))

    def score(params: Params, batch: ArrayBatch) -> tuple[jax.Array, jax.Array]:
        judged = outputs_of(params, batch)
        values = each(metric, *judged), each(loss, *judged)
        first, second = (value.astype(_float_of(params)) for value in values)
        return first, second

    return TaskFunctions(init, take, mean_loss, score)


def _float_of(params: Params) -> jnp.dtype:
    return jnp.result_type(*jax.tree.leaves(params))


def _as(dtype: jnp.dtype, array: jax.Array) -> jax.Array:
    """Floats in another precision; whole numbers stay whole."""
    return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array


def _check_first_loss(task: Task) -> None:
    """Raise ConfigError where even the first model's loss is no number."""
    some = ArrayBatch(*(jnp.asarray(array[:TRIED]) for array in task.train))
    init, loss = task.functions.init, task.functions.loss
    value = float(jax.jit(lambda key, batch: loss(init(key), batch))(jax.random.key(0), some))
    if not math.isfinite(value):
        raise ConfigError(
            f"the loss must be a finite number, but the first model's on the first {len(some.y)} "
            f"training examples is {value}"
        )
