"""Models of a user's own, whatever library they come from: as a pair of pure functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax

from ..config.errors import ConfigError
from ..config.words import few, show
from .base import Params

Constructor = Callable[..., Any]

WAYS = (
    "a Flax module, a function of rngs that makes an nnx module (lambda rngs: Net(rngs=rngs)), a "
    "function of key that makes an Equinox module (lambda key: Net(key)), or a pair (init, apply)"
)


class Model(NamedTuple):
    """What training needs of a model."""

    init: Callable[[jax.Array], Params]
    """``key -> params``."""
    apply: Callable[[Params, jax.Array], jax.Array]
    """``(params, x[B, ...]) -> outputs[B, ...]``."""


def as_model(model: Any, example: jax.ShapeDtypeStruct) -> Model:
    """A model of any of the ``WAYS``.

    A constructor is told by the name of its argument: ``rngs`` or ``key``.

    Args:
        model: of the user.
        example: one batch of inputs, for a Flax module.
    Raises:
        ConfigError: it is none of them, or keeps state that training would have to change.
    """
    if isinstance(model, nn.Module):
        return _linen(model, example)
    if isinstance(model, tuple | list) and len(model) == 2 and all(map(callable, model)):
        return Model(*model)
    names = _arguments(model)
    if "rngs" in names:
        return _nnx(cast(Constructor, model))
    if "key" in names:
        return _equinox(cast(Constructor, model))
    raise ConfigError(f"model must be {WAYS}; got {show(model)}")


def _arguments(model: Any) -> list[str]:
    """Of a function that could be a constructor: an instance of a module is none."""
    is_constructor = inspect.isclass(model) or inspect.isroutine(model) or hasattr(model, "func")
    if not is_constructor:
        return []
    try:
        return list(inspect.signature(model).parameters)
    except (TypeError, ValueError):  # some built-in functions do not say
        return []


def _linen(model: nn.Module, example: jax.ShapeDtypeStruct) -> Model:
    """All but its parameters would be state."""

    def variables(key: jax.Array) -> Any:
        return model.init(key, jax.numpy.zeros(example.shape, example.dtype))

    _refuse_state(set(jax.eval_shape(variables, jax.random.key(0))) - {"params"})

    def apply(params: Params, x: jax.Array) -> Any:
        return model.apply({"params": params}, x)

    return Model(lambda key: variables(key).get("params", {}), apply)


def _nnx(make: Constructor) -> Model:
    """Its parameters as a dict of dicts; all that is no ``nnx.Param`` would be state."""
    from flax import nnx

    def parts(key: jax.Array) -> Any:
        return nnx.split(make(rngs=nnx.Rngs(key)), nnx.Param, ...)

    def module() -> Any:
        return make(rngs=nnx.Rngs(0))

    shapes = nnx.eval_shape(module)
    if not isinstance(shapes, nnx.Module):
        raise ConfigError(f"a model made from rngs must be an nnx.Module, got {show(shapes)}")
    structure, params, state = nnx.split(shapes, nnx.Param, ...)
    leaves = jax.tree.leaves(state, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable))
    _refuse_state({type(leaf).__name__ for leaf in leaves})

    def apply(values: Params, x: jax.Array) -> Any:
        filled = jax.tree.unflatten(jax.tree.structure(params), jax.tree.leaves(values))
        return nnx.merge(structure, filled)(x)

    return Model(lambda key: nnx.to_pure_dict(parts(key)[1]), apply)


def _equinox(make: Constructor) -> Model:
    """Its floating-point arrays are the parameters; it sees one example, here mapped over all."""
    try:
        import equinox as eqx
    except ImportError:
        raise ConfigError(
            'a model made from key needs Equinox: pip install "fedast-jax[equinox]"'
        ) from None
    made = make(key=jax.random.key(0))
    if isinstance(made, tuple):
        _refuse_state({"eqx.nn.State"})
    if not isinstance(made, eqx.Module):
        raise ConfigError(f"a model made from key must be an equinox.Module, got {show(made)}")
    leaves = jax.tree.leaves(made, is_leaf=lambda leaf: isinstance(leaf, eqx.nn.StateIndex))
    _refuse_state({"StateIndex" for leaf in leaves if isinstance(leaf, eqx.nn.StateIndex)})
    fixed = eqx.partition(made, eqx.is_inexact_array)[1]

    def init(key: jax.Array) -> Params:
        return eqx.filter(make(key=key), eqx.is_inexact_array)

    def apply(params: Params, x: jax.Array) -> Any:
        return jax.vmap(eqx.combine(params, fixed))(x)

    return Model(init, apply)


def _refuse_state(names: Iterable[str]) -> None:
    """Raise ConfigError where a model keeps what every call changes."""
    if names:
        raise ConfigError(
            f"the model keeps state that every call changes ({few(sorted(names))}), which clients "
            f"do not send: use GroupNorm or LayerNorm in place of batch normalisation, and no "
            f"dropout"
        )
