"""The data and the functions of a kind of task, each made once."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np

from ..clients.batches import batch_samples, request_key
from ..config.settings import Fidelity
from ..config.tables import TaskConfig
from ..data.task_data import TaskData
from ..tasks import TaskFunctions, get_kind


def load_data(kind: str, dataset: str | None = None, test_samples: int | None = None) -> TaskData:
    """The data of a kind."""
    found = get_kind(kind)
    name = found.dataset or dataset
    assert name is not None
    return _loaded(found.load, name, test_samples)


def built_task(
    kind: str, fidelity: Fidelity = "paper", dataset: str | None = None
) -> TaskFunctions:
    """The functions of a kind."""
    found = get_kind(kind)
    build = (fidelity == "authors" and found.authors_build) or found.build
    return _built(build, load_data(kind, dataset).shape)


@cache
def _loaded(load: Any, name: str, test_samples: int | None) -> TaskData:
    return load(name, test_samples)


@cache
def _built(build: Any, shape: Any) -> TaskFunctions:
    return build(shape)


@cache
def sgd_step(task: TaskFunctions):
    """``x - lr (grad + decay x + mu (x - start))`` and the loss at x, compiled."""

    @jax.jit
    def step(x, data, rows, key, client_lr, weight_decay, mu, start):
        loss, gradient = jax.value_and_grad(task.loss)(x, task.take(data, rows, key))
        new = jax.tree.map(
            lambda p, g, o: p - client_lr * (g + weight_decay * p + mu * (p - o)),
            x,
            gradient,
            start,
        )
        return new, loss

    return step


@cache
def whole_test(task: TaskFunctions):
    """Scores of a list of test examples, compiled."""
    return jax.jit(lambda x, data, places: task.score(x, task.take(data, places, None)))


def model_bytes(task: TaskConfig) -> int:
    """Four for each number of the model."""
    leaves = jax.tree.leaves(built_task(task.kind, dataset=task.dataset).init(jax.random.key(0)))
    return sum(4 * np.size(leaf) for leaf in leaves)


orders = jax.jit(batch_samples, static_argnums=0)
compiled_key = jax.jit(request_key)


def key_of(seed: int, task: int, request: int) -> jax.Array:
    """The randomness of a request."""
    return compiled_key(np.uint32(seed), np.uint32(task), np.uint32(request))
