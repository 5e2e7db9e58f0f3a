"""The server's step on the mean update, and what it keeps beside the model from round to round.

``sgd`` is Algorithm 2 of Askin et al. (2024). ``adagrad``, ``adam`` and ``yogi`` are FedOpt, Reddi
et al. (ICLR 2021), Algorithm 2: without bias correction, v from adaptivity^2 on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float

MOMENTUM = 0.9
BETA_1, BETA_2 = 0.9, 0.99
ADAPTIVITY = 1e-3  # FedOpt's tau, called epsilon elsewhere

Array = jax.Array
Vector = Float[jax.Array, " P"]  # as long as the model


class Optimizer(NamedTuple):
    """What one optimizer keeps, and how it goes."""

    start: tuple[float, ...]
    """What each kept vector is filled with before the first round."""
    step: Callable[..., tuple[Array, ...]]
    """``(delta[P], *kept[P]) -> (direction[P], *kept[P])``; delta is minus the mean update."""


def momentum(delta: Vector, m: Vector) -> tuple[Vector, Vector]:
    """``m = 0.9 m + delta``."""
    m = MOMENTUM * m + delta
    return m, m


def adagrad(delta: Vector, v: Vector) -> tuple[Vector, Vector]:
    """``v = v + delta^2``; beta_1 is 0, so that m is delta."""
    v = v + delta**2
    return adapted(delta, v), v


def adam(delta: Vector, m: Vector, v: Vector) -> tuple[Vector, Vector, Vector]:
    """``v = beta_2 v + (1 - beta_2) delta^2``."""
    m, v = first_moment(m, delta), BETA_2 * v + (1 - BETA_2) * delta**2
    return adapted(m, v), m, v


def yogi(delta: Vector, m: Vector, v: Vector) -> tuple[Vector, Vector, Vector]:
    """``v = v - (1 - beta_2) delta^2 sign(v - delta^2)``."""
    square = delta**2
    m, v = first_moment(m, delta), v - (1 - BETA_2) * square * jnp.sign(v - square)
    return adapted(m, v), m, v


def first_moment(m: Vector, delta: Vector) -> Vector:
    """``beta_1 m + (1 - beta_1) delta``."""
    return BETA_1 * m + (1 - BETA_1) * delta


def adapted(m: Vector, v: Vector) -> Vector:
    """``m / (sqrt(v) + adaptivity)``."""
    return m / (jnp.sqrt(v) + ADAPTIVITY)


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer((), lambda delta: (delta,)),
    "momentum": Optimizer((0.0,), momentum),
    "adagrad": Optimizer((ADAPTIVITY**2,), adagrad),
    "adam": Optimizer((0.0, ADAPTIVITY**2), adam),
    "yogi": Optimizer((0.0, ADAPTIVITY**2), yogi),
}


class Server(NamedTuple):
    """Pure functions on version rows: the flat model, then what the optimizer keeps, flat."""

    init: Callable[[Array], Array]
    """``model[P] -> version[P + S]``."""
    apply: Callable[[Array, Array, Array], Array]
    """``(version[P + S], mean update[P], server_lr) -> version[P + S]``."""
    num_state: int
    """S: numbers beside each model."""


def make_server(name: str, num_params: int) -> Server:
    """Server of ``num_params`` = P numbers: ``x <- x + server_lr * direction``."""
    start, step = OPTIMIZERS[name]

    def init(model: Array) -> Array:
        return jnp.concatenate([model, *(jnp.full_like(model, value) for value in start)])

    def apply(version: Array, update: Array, server_lr: Array) -> Array:
        model, *kept = version.reshape(-1, num_params)
        direction, *kept = step(-update, *kept)
        return jnp.concatenate([model + server_lr * direction, *kept])

    return Server(init, apply, num_params * len(start))
