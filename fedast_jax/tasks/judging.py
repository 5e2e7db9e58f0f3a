"""What an own task is trained and judged by: losses and metrics of outputs and targets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from ..config.errors import ConfigError
from ..config.goal import ACCURACY, Goal, Word
from ..config.settings import NAME
from ..config.words import show
from .classification import first_largest, score_logits

Judge = Callable[[jax.Array, jax.Array], jax.Array]
"""``(outputs[B, ...], targets[B, ...]) -> float[B]``, or ``float[]`` for all of them."""


@dataclass(frozen=True)
class Metric:
    """What tests measure.

    Attributes:
        function: ``(outputs[B, ...], targets[B, ...]) -> [B]``, a number for each example, of which
            tests take the mean; or one number, which tests take of each example by itself.
        name: as tables and figures show it: letters, digits, ``_``, ``-`` and ``.``.
        goal: "at least" where large values are good, "at most" where small ones are: on which side
            of ``target_metric`` the task has met it.
    """

    function: Judge
    name: str
    goal: Word

    def __post_init__(self) -> None:
        """Check the words.

        Raises:
            ConfigError: one of them is none.
        """
        if not callable(self.function):
            raise ConfigError(f"a metric is a function of outputs and targets, got {self.function}")
        if not isinstance(self.name, str) or not re.fullmatch(NAME, self.name):
            raise ConfigError(
                f"the name of a metric has 1 to 64 letters, digits, '_', '-' and '.', got "
                f"{show(self.name)}"
            )
        if self.name == ACCURACY:
            raise ConfigError(
                "accuracy is what labels without loss= and metric= are judged by; give your metric "
                "another name"
            )
        if self.goal not in ("at least", "at most"):
            raise ConfigError(
                f'the goal of a metric is "at least" or "at most", got {show(self.goal)}'
            )

    @property
    def as_goal(self) -> Goal:
        """As tables have it."""
        return Goal(self.name, self.goal)


def cross_entropy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Softmax cross entropy of each example."""
    return score_logits(outputs, targets)[1]


def is_correct(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Whether the largest output is that of the label."""
    return (first_largest(outputs) == targets).astype(outputs.dtype)


def each(judge: Judge, outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """A number for each example, ``float[B]``: of a mean over examples that of each by itself."""
    found = jnp.asarray(judge(outputs, targets))
    if found.ndim == 0:
        alone = jax.vmap(lambda output, target: judge(output[None], target[None]))
        found = jnp.asarray(alone(outputs, targets))
    return found.astype(outputs.dtype)


def check_judge(judge: Any, what: str, outputs: Any, targets: Any) -> None:
    """Raise ConfigError where a loss or a metric gives something else than a number an example.

    Args:
        judge: of the user.
        what: "loss" or "metric".
        outputs, targets: shapes and types of a batch.
    """
    if not callable(judge):
        raise ConfigError(f"{what} must be a function of outputs and targets, got {show(judge)}")
    found = traced(f"the {what}", judge, outputs, targets)
    shape, number = getattr(found, "shape", None), outputs.shape[0]
    if shape not in ((), (number,)) or not _is_real(found.dtype):
        raise ConfigError(
            f"the {what} must give a number for each example, or one for all, but of {number} "
            f"examples it gives {_shown(found)}; take the mean over the other axes"
        )


def check_logits(outputs: Any, number: int) -> None:
    """Raise ConfigError where outputs are no scores of classes."""
    if len(getattr(outputs, "shape", ())) != 2 or outputs.shape[0] != number:
        raise ConfigError(
            f"a model for labels must give a score for each class, [{number}, classes] for "
            f"{number} examples, but it gives {_shown(outputs)}; or give loss= for other outputs"
        )
    if outputs.shape[1] < 2:
        raise ConfigError(
            "a model for labels must give a score for each of at least 2 classes, but it gives 1 "
            "for an example; or give loss= for other outputs"
        )


def traced(what: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Shapes and types of what a user's function gives.

    Raises:
        ConfigError: it fails on these arguments.
    """
    try:
        return jax.eval_shape(function, *arguments)
    except ConfigError:
        raise
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
        raise ConfigError(f"{what} fails: {type(error).__name__}: {lines[0][:300]}") from error


def _is_real(dtype: jnp.dtype) -> bool:
    return any(jnp.issubdtype(dtype, one) for one in (jnp.floating, jnp.integer, jnp.bool_))


def _shown(found: Any) -> str:
    shape, dtype = getattr(found, "shape", None), getattr(found, "dtype", None)
    return show(found) if shape is None else f"{dtype}{list(shape)}"
