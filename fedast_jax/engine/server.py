"""The server's step: one optax optimizer on the mean update, its state kept beside the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree

OPTIMIZERS: dict[str, Callable[[], optax.GradientTransformation]] = {
    "sgd": lambda: optax.sgd(1.0),
    "momentum": lambda: optax.sgd(1.0, momentum=0.9),
    "adagrad": lambda: optax.adagrad(1.0, eps=1e-3),
    "adam": lambda: optax.adam(1.0, b2=0.99, eps=1e-3),
    "yogi": lambda: optax.yogi(1.0, b2=0.99, eps=1e-3),
}
"""Server optimizers at learning rate 1; "sgd" is Algorithm 2, the others are FedOpt's (Reddi et
al., ICLR 2021, Algorithm 2, with their adaptivity 1e-3)."""


class Server(NamedTuple):
    """Pure functions on version rows: the flat model, then the optimizer's flat state."""

    init: Callable[[jax.Array], jax.Array]
    """``model[P] -> version[P + S]``."""
    apply: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    """``(version[P + S], mean update[P], server_lr) -> version[P + S]``."""
    num_state: int
    """S: numbers of optimizer state beside each model."""


def make_server(name: str, num_params: int) -> Server:
    """Server of ``num_params`` = P numbers: ``x <- x - server_lr * direction(mean update)``."""
    optimizer = OPTIMIZERS[name]()
    shapes = jax.eval_shape(optimizer.init, jax.ShapeDtypeStruct((num_params,), jnp.float32))
    num_state = sum(leaf.size for leaf in jax.tree.leaves(shapes))

    def init(model: jax.Array) -> jax.Array:
        state, _ = ravel_pytree(optimizer.init(model))
        return jnp.concatenate([model, state.astype(model.dtype)])

    def apply(version: jax.Array, update: jax.Array, server_lr: jax.Array) -> jax.Array:
        model, flat_state = version[:num_params], version[num_params:]
        template = jax.eval_shape(optimizer.init, model)
        state = _unravel(template, flat_state)
        direction, state = optimizer.update(update, state, model)
        flat_state, _ = ravel_pytree(jax.tree.map(lambda leaf: leaf.astype(model.dtype), state))
        return jnp.concatenate(
            [model + server_lr * jnp.asarray(direction), flat_state.astype(model.dtype)]
        )

    return Server(init, apply, num_state)


def _unravel(template: optax.OptState, flat: jax.Array) -> optax.OptState:
    leaves, structure = jax.tree.flatten(template)
    values, start = [], 0
    for leaf in leaves:
        values.append(flat[start : start + leaf.size].reshape(leaf.shape).astype(leaf.dtype))
        start += leaf.size
    return jax.tree.unflatten(structure, values)
