"""Duration laws: from a uniform number to the time of one local step, in units of beta.

A law is one function here and one line in ``LAWS``; what it can be given stands beside it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from ..config.closest import did_you_mean
from ..config.plugins import load_entry_points
from ..config.settings import NAME
from ..config.words import number, show


class Parameter(NamedTuple):
    """A number that a law takes, between bounds that it may equal."""

    default: float
    least: float
    most: float


@dataclass(frozen=True)
class DelayLaw:
    """A registry entry."""

    quantile: Callable[..., np.ndarray]
    """``(u[n], **parameters) -> float64[n]``: of ``u`` in (0, 1), never below 0, growing with u."""
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    def __call__(self, u: np.ndarray, **given: float) -> np.ndarray:
        """The quantiles, ``float64[n]``; parameters that are not given have their defaults."""
        return self.quantile(u, **self.filled(given))

    def filled(self, given: Mapping[str, Any]) -> dict[str, float]:
        """Every parameter's value.

        Raises:
            ValueError: one is no number, or out of its bounds.
        """
        for name, value in given.items():
            _check_value(name, value, self.parameters[name])
        return {name: one.default for name, one in self.parameters.items()} | dict(given)


def _check_value(name: str, value: Any, known: Parameter) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, got {show(value)}")
    if not known.least <= value <= known.most:
        raise ValueError(
            f"{name} must be from {number(known.least)} to {number(known.most)}, got {show(value)}"
        )


def shifted_exponential(u: np.ndarray, least: float) -> np.ndarray:
    """``P(X <= x) = 1 - exp(-(x - least) / (3 - least))`` for x >= least; mean 3.

    With ``least = 1`` the paper's (Appendix C.6).
    """
    return least - (3.0 - least) * np.log1p(-u)


def shifted_uniform(u: np.ndarray, least: float) -> np.ndarray:
    """Uniform on [least, 6 - least]; with ``least = 1`` as short at least as the exponential's."""
    return least + (6.0 - 2.0 * least) * u


def half_normal(u: np.ndarray) -> np.ndarray:
    """``|Z|`` of a normal Z, scaled to mean 3; durations near 0 occur."""
    return -3.0 * np.sqrt(np.pi / 2) * ndtri(0.5 * (1.0 - u))


def lognormal(u: np.ndarray, sigma: float) -> np.ndarray:
    """``exp(sigma Z)`` scaled to mean 3: sigma is the log-standard deviation."""
    return 3.0 * np.exp(sigma * ndtri(u) - sigma**2 / 2)


def constant(u: np.ndarray) -> np.ndarray:
    """Always the mean, 3."""
    return np.full_like(u, 3.0)


LEAST = {"least": Parameter(1.0, 0.0, 2.999)}

LAWS: dict[str, DelayLaw] = {
    "shifted_exponential": DelayLaw(shifted_exponential, LEAST),
    "shifted_uniform": DelayLaw(shifted_uniform, LEAST),
    "half_normal": DelayLaw(half_normal),
    "lognormal": DelayLaw(lognormal, {"sigma": Parameter(1.0, 0.001, 5.0)}),
    "constant": DelayLaw(constant),
}
"""Quantile functions in units of beta: a uniform number in (0, 1) to the time of one local step."""

BUILT_IN = frozenset(LAWS)
RESERVED = ("trace", "devices", "law", "speeds", "shares", "trace_scale", "classes")
TRIED = (np.arange(64) + 0.5) / 64  # quantiles at which a law of one's own is tried


def register_delay(
    name: str,
    law: Callable[..., np.ndarray],
    parameters: Mapping[str, tuple[float, float, float]] | None = None,
) -> None:
    """Add a duration law, so that a configuration can name it: ``delays.law = "NAME"``.

    One of the same name is replaced, with a line on standard error that says so.

    Args:
        name: letters, digits, ``_``, ``-`` and ``.``.
        law: the quantile function in units of beta (the task's ``step_time``): ``(u[n],
            **parameters) -> float64[n]`` of ``u`` in (0, 1); not below 0, and growing with u. Mean
            3 keeps to the scale of the others.
        parameters: ``(default, least, most)`` by name; ``delays.NAME`` sets one, a sweep too.
    Raises:
        ValueError: a name or a parameter cannot be used, or the law returns something else.
    """
    own = {key: Parameter(*map(float, value)) for key, value in (parameters or {}).items()}
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in RESERVED:
        raise ValueError(f"a delay law cannot be called {show(name)}; choose another name")
    for key, (default, least, most) in own.items():
        if key in RESERVED or not key.isidentifier():
            raise ValueError(f"a parameter cannot be called {show(key)}; choose another name")
        if not -np.inf < least <= default <= most < np.inf:
            raise ValueError(
                f"parameter {key!r} needs numbers least <= default <= most, got default {default}, "
                f"least {least}, most {most}"
            )
    entry = DelayLaw(law, own)
    check_law(name, entry, {})
    if name in LAWS:
        print(f"delay law {name!r} is there already; it is replaced", file=sys.stderr)
    LAWS[name] = entry


def find_law(name: str) -> DelayLaw | None:
    """The law of this name, installed packages' included; None: there is none."""
    if name not in LAWS:
        load_entry_points("delays", lambda found, law: register_delay(found, law))
    return LAWS.get(name)


def check_law(name: str, law: DelayLaw, given: Mapping[str, Any]) -> None:
    """Raise ValueError where a parameter is unknown or out of bounds, or the law returns nonsense.

    Args:
        name, law: which.
        given: its parameters, as configured.
    """
    for key in given:
        if key not in law.parameters:
            raise ValueError(
                f"law {name!r} has no parameter {show(key)}; {did_you_mean(key, law.parameters)}"
                if law.parameters
                else f"law {name!r} has no parameters, got {show(key)}"
            )
    values = law.filled(given)
    try:
        times = law.quantile(TRIED.copy(), **values)
    except Exception as error:
        raise ValueError(f"delay law {name!r} failed: {type(error).__name__}: {error}") from None
    if not isinstance(times, np.ndarray) or times.shape != TRIED.shape or times.dtype != np.float64:
        raise ValueError(
            f"delay law {name!r} must return one float64 for each of its {len(TRIED)} numbers, "
            f"got {_kind(times)}"
        )
    wrong = ~((times >= 0) & (times < np.inf))
    if wrong.any():
        raise ValueError(
            f"delay law {name!r} must return finite numbers of at least 0, got {times[wrong][0]} "
            f"for u={TRIED[wrong][0]}"
        )


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    return type(value).__name__
