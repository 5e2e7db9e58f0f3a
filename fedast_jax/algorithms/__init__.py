"""Algorithms by name: each lays out a replicate's events; the engine never knows which it runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..config.closest import did_you_mean
from ..config.plugins import load_entry_points
from ..config.settings import Config
from ..config.words import show
from . import centralized, fedast, sequential, sync, sync_bayes, sync_ucb
from .log import EventLog
from .methods.built_in import BUILT_IN
from .methods.record import Method


@dataclass(frozen=True)
class Algorithm:
    """A registry entry."""

    make_timeline: Callable[[Config, int], EventLog]
    """``(config, seed) -> events`` of one replicate at time 0."""
    largest_round: Callable[[Config], int]
    """The most updates that one aggregation can ever take."""
    check: Callable[[Config], None] = lambda config: None
    """Raises ValueError where the configuration does not suit the algorithm."""
    is_synchronous: bool = False  # which of a kind's defaults apply
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Settings of every task where the user names none, before the kind's own."""
    pools_data: bool = False  # whether a request draws from all training data, not a client's
    method: Method | None = None  # what is made of arrivals; None: the mean update


NO_BUFFER = {"buffer_size": 1, "server_lr": 0.038}
ONE_MACHINE = {"num_active": 1, "buffer_size": 1, "server_lr": 1.0}

ALGORITHMS: dict[str, Algorithm] = {
    "fedast": Algorithm(fedast.make_timeline, fedast.largest_round, fedast.check),
    "fedast_nobuffer": Algorithm(
        fedast.no_buffer, fedast.largest_round, fedast.check, defaults=NO_BUFFER
    ),
    "async_fl": Algorithm(
        fedast.no_buffer, fedast.largest_round, fedast.check_single_task, defaults=NO_BUFFER
    ),
    "fedbuff": Algorithm(fedast.make_timeline, fedast.largest_round, fedast.check_single_task),
    "sync_st": Algorithm(sync.first_k, sync.most_kept, sync.check_first_k, is_synchronous=True),
    "sync_st_no_mitigation": Algorithm(
        sync.no_mitigation, sync.num_active, sync.check, is_synchronous=True
    ),
    "sync_bayes_st": Algorithm(
        sync_bayes.make_timeline, sync.most_kept, sync.check_first_k, is_synchronous=True
    ),
    "sync_ucb_st": Algorithm(
        sync_ucb.make_timeline, sync_ucb.largest_round, sync.check_first_k, is_synchronous=True
    ),
    "sequential": Algorithm(
        sequential.make_timeline, sync.most_kept, sequential.check, is_synchronous=True
    ),
    "centralized": Algorithm(
        centralized.make_timeline,
        lambda config: 1,
        centralized.check,
        defaults=ONE_MACHINE,
        pools_data=True,
    ),
}


def by_method(method: Method) -> Algorithm:
    """Algorithm 2 with a method for what arrives."""
    size = {} if method.buffer_size is None else {"buffer_size": method.buffer_size}
    return Algorithm(
        fedast.by_method(method),
        fedast.most_by_method(method),
        fedast.check,
        defaults=size,
        method=method,
    )


_NOT_METHODS = frozenset(ALGORITHMS)  # names that nobody else can have
ALGORITHMS |= {method.name: by_method(method) for method in BUILT_IN}
OWN_NAMES = frozenset(ALGORITHMS)


def register_method(method: Method) -> Method:
    """Make a method known by its name: ``algorithm = "its name"``, also in comparisons.

    One of the same name, this package's included, gives it its place, with a warning that says so.

    Returns:
        The method.
    Raises:
        TypeError: it is no ``Method``.
        ValueError: the name is that of an algorithm which is no method, such as "fedast".
    """
    if not isinstance(method, Method):
        raise TypeError(f"a method must be a fedast_jax.Method, got {type(method).__name__}")
    if method.name in _NOT_METHODS:
        raise ValueError(f"{method.name!r} is an algorithm of this package; choose another name")
    known = ALGORITHMS.get(method.name)
    if known is not None and known.method is method:
        return method
    if known is not None:
        warnings.warn(f"the method {method.name!r} replaces another of that name", stacklevel=2)
    ALGORITHMS[method.name] = by_method(method)
    return method


def find_algorithm(name: str) -> Algorithm | None:
    """The algorithm of this name, installed packages' methods included; None: there is none."""
    if name not in ALGORITHMS:
        load_entry_points("methods", _register_as)
    return ALGORITHMS.get(name)


def _register_as(name: str, method: Method) -> None:
    is_named = not isinstance(method, Method) or method.name == name
    register_method(method if is_named else replace(method, name=name))


def get_algorithm(name: str) -> Algorithm:
    """The algorithm of this name.

    Raises:
        ValueError: if there is none; the message names the nearest one.
    """
    found = find_algorithm(name)
    if found is None:
        raise ValueError(
            f"unknown algorithm {show(name)}; {did_you_mean(name, ALGORITHMS)}; an own method is "
            f"known once its module is imported (--import MODULE)"
        )
    return found
