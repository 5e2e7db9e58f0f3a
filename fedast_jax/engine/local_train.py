"""Algorithm 1 (LocalTrain) of Askin et al., UAI 2024, for one client."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int32, Key

from ..clients.batches import AUGMENT, batch_samples
from ..config.work import LocalWork
from ..data.shapes import Data
from ..tasks.base import Params, TaskFunctions


class Trained(NamedTuple):
    """What a client's training yields."""

    update: Params
    """``x - x_tau``, a tree like the model: Algorithm 1's Delta times ``tau * client_lr``."""
    loss: jax.Array
    """``()``: the mean over the steps of the batch's loss before the step, without weight decay."""


def local_train(
    task: TaskFunctions,
    work: LocalWork,
    data: Data,
    params: Params,
    samples: Int32[jax.Array, " {work.row_length}"],
    key: Key[jax.Array, ""],
    client_lr: Float[jax.Array, ""] | float,
    weight_decay: Float[jax.Array, ""] | float,
    proximal: Float[Any, ""] | None = None,
    local: Any = None,
) -> Trained:
    """Train one client and return its update and its loss.

    Args:
        task, work: static.
        data: the task's data on the device.
        params: the version current at dispatch, x.
        samples: ``int32[work.row_length]``, what the client holds; see ``batch_samples``.
        key: randomness of this request only.
        client_lr: eta_c.
        weight_decay: L2 coefficient, added to the gradient.
        proximal: mu of FedProx (Li et al., 2020): ``mu (x - start)`` is added to the gradient.
        local: an optax transformation of the gradient with all that is added to it; a step goes
            ``client_lr`` against what comes out. Its ``update`` gets ``start=params`` if it can.
    Returns:
        Both in the type of ``params``.
    """
    index = batch_samples(work, samples, key)
    dtype = jnp.result_type(*jax.tree.leaves(params))
    lr = jnp.asarray(client_lr, dtype)
    weight_decay = jnp.asarray(weight_decay, dtype)
    decay = lr * weight_decay

    def step(carry: tuple[Params, Any], inputs: tuple[jax.Array, jax.Array]) -> Any:
        (x, kept), (number, rows) = carry, inputs
        batch = task.take(data, rows, jax.random.fold_in(key, AUGMENT + number))
        loss, gradient = jax.value_and_grad(task.loss)(x, batch)
        if proximal is not None:
            gradient = _pulled_back(gradient, x, params, jnp.asarray(proximal, dtype))
        if local is None:
            return (jax.tree.map(lambda x, g: x - (lr * g + decay * x), x, gradient), kept), loss
        gradient = jax.tree.map(lambda x, g: g + weight_decay * x, x, gradient)
        change, kept = local.update(gradient, kept, x, **given_start(local, params))
        return (jax.tree.map(lambda x, g: x - lr * g, x, change), kept), loss

    kept = () if local is None else local.init(params)
    steps = jnp.arange(work.num_steps), index
    (trained, _), losses = lax.scan(step, (params, kept), steps)
    return Trained(jax.tree.map(jnp.subtract, params, trained), losses.mean())


def _pulled_back(gradient: Params, x: Params, start: Params, mu: jax.Array) -> Params:
    """``gradient + mu (x - start)``."""
    return jax.tree.map(lambda g, x, x_0: g + mu * (x - x_0), gradient, x, start)


def given_start(local: Any, start: Params) -> dict[str, Params]:
    """The model that a client began from, for a rule whose ``update`` takes it."""
    parameters = inspect.signature(local.update).parameters.values()
    takes = any(one.name == "start" or one.kind == one.VAR_KEYWORD for one in parameters)
    return {"start": start} if takes else {}


def side_by_side(function: Callable[..., Any], width: int) -> Callable[..., Any]:
    """``jax.vmap`` over ``width`` slots, but a single slot runs without it.

    The products of a batch of one are slower than plain ones: by a fifth for the CIFAR-10 model on
    two CPU cores, by two fifths for LeNet-5.
    """
    if width > 1:
        return jax.vmap(function)

    def single(*args: Any) -> Any:
        first = jax.tree.map(lambda leaf: leaf[0], args)
        return jax.tree.map(lambda leaf: leaf[None], function(*first))

    return single
