"""A method's rule on version rows: the flat model, then what the method keeps beside it, flat."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..algorithms.methods.record import Arrived, Method, Rule, State
from ..algorithms.methods.sums import rows_in_use
from ..config.errors import ConfigError
from ..tasks.base import Params
from .local_train import given_start

Array = jax.Array
MOST_LISTED = 2  # rows of updates of the trial that finds mistakes


class Server(NamedTuple):
    """Pure functions on version rows."""

    init: Callable[[Array], Array]
    """``model[P] -> version[P + S]``."""
    step: Callable[[Array, Array, Array], Array]
    """``(version[P + S], mean update[P], server_lr) -> version[P + S]``; for a rule with a step."""
    apply: Callable[[Array, Arrived], Array]
    """``(version[P + S], arrived) -> version[P + S]``; for a rule that sees all updates."""
    num_state: int
    """S: numbers beside each model."""


def make_server(rule: Rule, num_params: int) -> Server:
    """The server of a rule, for models of ``num_params`` = P numbers."""
    model = jax.ShapeDtypeStruct((num_params,), jnp.float32)
    kept = jax.eval_shape(rule.init, model)
    num_state = sum(leaf.size for leaf in jax.tree.leaves(kept))

    def init(model: Array) -> Array:
        return _row(model, rule.init(model))

    def step(version: Array, update: Array, server_lr: Array) -> Array:
        assert rule.step is not None
        model = version[:num_params]
        return _row(*rule.step(model, _state(kept, version[num_params:]), update, server_lr))

    def apply(version: Array, arrived: Arrived) -> Array:
        assert rule.apply is not None
        model = version[:num_params]
        state = _state(kept, version[num_params:])
        # Nothing is joined to what the engine does around it, and so rounded with it.
        given = lax.optimization_barrier((model, state, arrived))
        with rows_in_use(arrived.num_updates):
            return _row(*lax.optimization_barrier(rule.apply(*given)))

    return Server(init, step, apply, num_state)


def check_method(method: Method, num_params: int, dtype: np.dtype) -> None:
    """Try a method's rule on shapes alone.

    Raises:
        ConfigError: a function fails, or returns something else than it was given.
    """
    rule, model = method.rule, jax.ShapeDtypeStruct((num_params,), dtype)
    state = _try(method, "init", rule.init, model)
    for leaf in jax.tree.leaves(state):
        if not jnp.issubdtype(leaf.dtype, jnp.floating) and leaf.dtype != jnp.int32:
            raise ConfigError(
                f"init of method {method.name!r} must keep float or int32 arrays, got {leaf.dtype}"
            )
    name, arguments = _trial(rule, model)
    found = _try(method, name, getattr(rule, name), model, state, *arguments)
    if not isinstance(found, tuple) or len(found) != 2:
        raise ConfigError(
            f"{name} of method {method.name!r} must return the model and the state, got "
            f"{type(found).__name__}"
        )
    for part, wanted, got in zip(("model", "state"), (model, state), found, strict=True):
        if _shapes(wanted) != _shapes(got):
            raise ConfigError(
                f"{name} of method {method.name!r} must return a {part} of {_words(wanted)}, got "
                f"{_words(got)}"
            )


def check_local(method: Method, params: Params) -> None:
    """Try a method's rule of the client on shapes alone.

    Args:
        method: which.
        params: shapes and types of a model's leaves.
    Raises:
        ConfigError: it is no transformation, fails, or returns something else than a gradient.
    """
    local, place = method.local, f"local of method {method.name!r}"
    if local is None:
        return
    if not all(callable(getattr(local, part, None)) for part in ("init", "update")):
        raise ConfigError(f"{place} must be an optax transformation, got {local!r}")
    kept = _try(method, "local", local.init, params)
    found = _try(method, "local", partial(_changed, local), params, kept)
    if not isinstance(found, tuple) or len(found) != 2:
        raise ConfigError(
            f"{place} must return the change and the state, got {type(found).__name__}"
        )
    for part, wanted, got in zip(("change", "state"), (params, kept), found, strict=True):
        if _shapes(wanted) != _shapes(got):
            raise ConfigError(
                f"{place} must return a {part} of {_words(wanted)}, got {_words(got)}"
            )


def _changed(local: Any, params: Params, kept: State) -> Any:
    """What becomes of a gradient of the model's own shapes."""
    return local.update(params, kept, params, **given_start(local, params))


def _trial(rule: Rule, model: jax.ShapeDtypeStruct) -> tuple[str, tuple[Any, ...]]:
    """Which function to try, on what besides model and state."""
    number: Any = jax.ShapeDtypeStruct((), model.dtype)
    if rule.step:
        return "step", (model, number)
    each: Any = jax.ShapeDtypeStruct((MOST_LISTED,), model.dtype)
    rows: Any = jax.ShapeDtypeStruct((MOST_LISTED, *model.shape), model.dtype)
    count: Any = jax.ShapeDtypeStruct((), jnp.int32)
    numbers: dict[str, Any] = dict.fromkeys(rule.names, number)
    parts = {"weights": each, "previous": rows, "start": rows}
    needed: dict[str, Any] = {name: parts[name] for name in rule.needs}
    return "apply", (
        Arrived(
            rows, each, count, number, number, number, number, hyperparameters=numbers, **needed
        ),
    )


def _try(method: Method, name: str, function: Callable, *arguments: Any) -> Any:
    try:
        return jax.eval_shape(function, *arguments)
    except Exception as error:
        raise ConfigError(
            f"{name} of method {method.name!r} failed: {type(error).__name__}: {error}"
        ) from error


def _shapes(tree: Any) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _words(tree: Any) -> str:
    """``float32[650]``, of a tree all leaves."""
    return (
        ", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(tree)) or "nothing"
    )


def _row(model: Array, state: State) -> Array:
    """Model and state as one row of the model's type."""
    leaves = [jnp.ravel(leaf).astype(model.dtype) for leaf in jax.tree.leaves(state)]
    return jnp.concatenate([model, *leaves])


def _state(kept: Any, numbers: Array) -> State:
    """What ``_row`` has written, as a tree of ``kept``'s shapes; floats in the row's type."""
    leaves, structure = jax.tree.flatten(kept)
    stops = np.cumsum([leaf.size for leaf in leaves]).tolist()
    parts = [
        numbers[stop - leaf.size : stop].reshape(leaf.shape).astype(_type_of(leaf, numbers))
        for leaf, stop in zip(leaves, stops, strict=True)
    ]
    return jax.tree.unflatten(structure, parts)


def _type_of(leaf: jax.ShapeDtypeStruct, numbers: Array) -> jnp.dtype:
    is_float = jnp.issubdtype(leaf.dtype, jnp.floating)
    return jnp.dtype(numbers.dtype if is_float else leaf.dtype)
