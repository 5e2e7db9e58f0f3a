"""What a configuration says of methods: their hyperparameters, and methods in place of names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..algorithms import ALGORITHMS, register_method
from ..algorithms.methods.record import Hyperparameter, Method
from ..config.closest import did_you_mean
from ..config.errors import ConfigError
from ..config.settings import Config
from ..config.tables import TaskConfig
from ..config.words import show


def check_method_settings(config: Config, method: Method | None) -> None:
    """Raise ValueError where a task gives a method what it does not take.

    A comparison's methods share their tasks' tables: what some other method takes is left alone.

    Args:
        config: whose tasks to look at.
        method: of its algorithm.
    """
    for name, task in config.tasks.items():
        for key, value in task.method.items():
            _check_number(f"tasks.{name}.method.{key}", key, value, method)
        if method is not None:
            _check_shared(name, task, method)


def _check_number(place: str, key: str, value: float, method: Method | None) -> None:
    number = None if method is None else method.numbers.get(key)
    if number is not None:
        try:
            number.check(value)
        except ValueError as error:
            raise ValueError(f"{place} {error}") from None
    elif key not in _all_numbers():
        raise ValueError(
            f"unknown key {show(place)}; {did_you_mean(key, _all_numbers(), 'methods know')}"
        )


def _check_shared(name: str, task: TaskConfig, method: Method) -> None:
    """Settings of every task that a method may have no use for."""
    if task.server_optimizer != "sgd" and not method.leaves_step_open:
        raise ValueError(
            f"tasks.{name}.server_optimizer={task.server_optimizer!r} has no meaning for "
            f"{method.name!r}, which has a step of its own; leave it out"
        )
    weighs = method.weight is None and (method.apply is None or "weights" in method.needs)
    if task.staleness != "constant" and not weighs:
        raise ValueError(
            f"tasks.{name}.staleness={task.staleness!r} has no meaning for {method.name!r}, which "
            f"has its own rule for old updates; leave it out"
        )


def _all_numbers() -> dict[str, Hyperparameter]:
    """The hyperparameters of all methods, by name."""
    methods = [one.method for one in ALGORITHMS.values() if one.method is not None]
    return {name: number for method in methods for name, number in method.numbers.items()}


def with_method_names(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """A table of settings, with names in the place of methods, which are registered.

    Raises:
        ConfigError: a method has the name of an algorithm that is no method.
    """
    if not isinstance(table, Mapping):
        return table
    study = table.get("study")
    changed = {}
    if isinstance(study, Mapping) and isinstance(study.get("compare"), list | tuple):
        changed["study"] = {**study, "compare": [name_of(one) for one in study["compare"]]}
    if isinstance(table.get("algorithm"), Method):
        changed["algorithm"] = name_of(table["algorithm"])
    return {**table, **changed} if changed else table


def name_of(algorithm: Any) -> Any:
    """A method's name, once it is registered; anything else as it is.

    Raises:
        ConfigError: it has the name of an algorithm that is no method.
    """
    if not isinstance(algorithm, Method):
        return algorithm
    known = ALGORITHMS.get(algorithm.name)
    if known is not None and known.method is algorithm:
        return algorithm.name
    try:
        return register_method(algorithm).name
    except ValueError as error:
        raise ConfigError(str(error)) from None
