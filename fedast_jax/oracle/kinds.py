"""The data and the functions of a kind of task, each made once."""

from __future__ import annotations

from functools import cache

import jax
import numpy as np

from ..clients.batches import batch_samples, request_key
from ..config.settings import Fidelity
from ..data.task_data import TaskData
from ..tasks import TaskFunctions, get_kind


@cache
def load_data(kind: str) -> TaskData:
    """The data of a kind."""
    found = get_kind(kind)
    assert found.dataset is not None
    return found.load(found.dataset, None)


@cache
def built_task(kind: str, fidelity: Fidelity = "paper") -> TaskFunctions:
    """The functions of a kind."""
    found = get_kind(kind)
    build = (fidelity == "authors" and found.authors_build) or found.build
    return build(load_data(kind).shape)


@cache
def sgd_step(kind: str, fidelity: Fidelity = "paper"):
    """``x - lr (grad + decay x + mu (x - start))`` and the loss at x, compiled."""
    task = built_task(kind, fidelity)

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
def whole_test(kind: str, fidelity: Fidelity = "paper"):
    """Scores of a list of test examples, compiled."""
    task = built_task(kind, fidelity)
    return jax.jit(lambda x, data, places: task.score(x, task.take(data, places, None)))


@cache
def model_bytes(kind: str) -> int:
    """Four for each number of the model."""
    leaves = jax.tree.leaves(built_task(kind).init(jax.random.key(0)))
    return sum(4 * np.size(leaf) for leaf in leaves)


orders = jax.jit(batch_samples, static_argnums=0)
compiled_key = jax.jit(request_key)


def key_of(seed: int, task: int, request: int) -> jax.Array:
    """The randomness of a request."""
    return compiled_key(np.uint32(seed), np.uint32(task), np.uint32(request))
