"""Steps on the mean update: Algorithm 2's own, FedOpt's, and any of optax.

``sgd`` is Algorithm 2 of Askin et al. (2024). ``adagrad``, ``adam`` and ``yogi`` are FedOpt, Reddi
et al. (ICLR 2021), Algorithm 2: without bias correction, v from adaptivity^2 on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from .record import Method, State

MOMENTUM = 0.9
BETA_1, BETA_2 = 0.9, 0.99
ADAPTIVITY = 1e-3  # FedOpt's tau, called epsilon elsewhere

Array = jax.Array
Vector = Float[jax.Array, " P"]  # as long as the model


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


def stepping(name: str, start: tuple[float, ...], direct: Callable[..., tuple]) -> Method:
    """A method that goes ``x <- x + server_lr * direction``.

    Args:
        name: of the method.
        start: what each kept vector is filled with before the first round.
        direct: ``(delta[P], *kept[P]) -> (direction[P], *kept[P])``; delta is minus the mean.
    """

    def init(model: Array) -> State:
        return tuple(jnp.full_like(model, value) for value in start)

    def step(model: Array, kept: State, update: Array, server_lr: Array) -> tuple[Array, State]:
        direction, *kept = direct(-update, *kept)
        return model + server_lr * direction, tuple(kept)

    return Method(name, init, step=step)


def from_optax(transformation: Any, name: str = "optax", **more: Any) -> Method:
    """The method whose step is an optax transformation of the mean update.

    The mean update takes the gradient's place, and what comes out is multiplied by ``server_lr``:
    ``from_optax(optax.sgd(1.0))`` is plain averaging.

    Args:
        transformation: anything with ``init(params)`` and ``update(gradient, state, params)``.
        name: of the method.
        more: further fields of ``Method``: ``accept``, ``weight``, ``buffer_size``.

    Raises:
        ValueError: it is no such transformation, or ``Method`` refuses a field.
    """
    if not all(callable(getattr(transformation, part, None)) for part in ("init", "update")):
        raise ValueError(f"from_optax takes an optax transformation, got {transformation!r}")

    def step(model: Array, state: State, update: Array, server_lr: Array) -> tuple[Array, State]:
        change, state = transformation.update(update, state, model)
        return model + server_lr * change, state

    return Method(name, transformation.init, step=step, **more)


SERVER_OPTIMIZERS: dict[str, Method] = {
    method.name: method
    for method in (
        stepping("sgd", (), lambda delta: (delta,)),
        stepping("momentum", (0.0,), momentum),
        stepping("adagrad", (ADAPTIVITY**2,), adagrad),
        stepping("adam", (0.0, ADAPTIVITY**2), adam),
        stepping("yogi", (0.0, ADAPTIVITY**2), yogi),
    )
}
"""By the task's ``server_optimizer``."""
