"""A method with the numbers of one task: what the planner asks of each update that arrives."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

from ...config.bounds import LARGEST
from ...config.errors import ConfigError
from ...config.tables import TaskConfig
from .record import Method
from .staleness import LAWS


class Bound:
    """A method for one task."""

    def __init__(self, method: Method, settings: TaskConfig, num_clients: int) -> None:
        """Bind the numbers; nothing is checked or called yet.

        Args:
            method: whose functions to call.
            settings: of the task.
            num_clients: N.
        """
        self.method = method
        self.numbers: dict[str, float] = {
            name: settings.method.get(name, number.default)
            for name, number in method.numbers.items()
        }
        given = {**self.numbers, "num_clients": num_clients, "server_lr": settings.server_lr}
        law = partial(
            LAWS[settings.staleness], a=settings.staleness_a, bound=settings.staleness_bound
        )
        weighs_alike = method.weight is None and settings.staleness == "constant"
        self.is_plain = weighs_alike and method.apply is None  # whether rounds need no marks
        self.may_drop = method.accept is not None
        self._weight = cache(partial(_weight, method, method.weight or law, given))
        self._accept = cache(partial(_accept, method, given))

    def weight(self, staleness: int, num_active: int) -> float:
        """s of an update.

        Raises:
            ConfigError: the method's function fails, or gives no finite number.
        """
        return self._weight(staleness, num_active)

    def accepts(self, staleness: int, num_active: int) -> bool:
        """Whether an update is used.

        Raises:
            ConfigError: the method's function fails, or takes not even a fresh update: then none
                would ever be used.
        """
        if self._accept(staleness, num_active):
            return True
        if not self._accept(0, num_active):
            raise ConfigError(
                f"accept of method {self.method.name!r} drops even an update of staleness 0 "
                f"(at num_active={num_active}), so that no round would ever close; let it take "
                f"fresh updates"
            )
        return False


def _weight(
    method: Method, function: Callable, given: Mapping[str, Any], staleness: int, num_active: int
) -> float:
    weight = _call(method, "weight", function, {**given, "num_active": num_active}, staleness)
    try:
        number = float(weight)
    except (TypeError, ValueError):
        number = math.nan
    if not abs(number) <= LARGEST:
        raise ConfigError(
            f"weight of method {method.name!r} must be a finite number, got {weight!r} for "
            f"staleness {staleness}"
        )
    return number


def _accept(method: Method, given: Mapping[str, Any], staleness: int, num_active: int) -> bool:
    assert method.accept is not None
    known = {**given, "num_active": num_active}
    accepted = _call(method, "accept", method.accept, known, staleness)
    try:
        return bool(accepted)
    except Exception as error:
        raise ConfigError(
            f"accept of method {method.name!r} must be true or false, got {accepted!r} for "
            f"staleness {staleness}"
        ) from error


def _call(
    method: Method, what: str, function: Callable, given: Mapping[str, Any], staleness: int
) -> Any:
    """``function(staleness, ...)`` with what else its parameters name."""
    try:
        return function(staleness, **{name: given[name] for name in _named(function, given)})
    except Exception as error:
        raise ConfigError(
            f"{what} of method {method.name!r} failed for staleness {staleness}: "
            f"{type(error).__name__}: {error}"
        ) from error


def _named(function: Callable, given: Mapping[str, Any]) -> list[str]:
    """The parameters beyond the first that there are values for."""
    if isinstance(function, partial):
        return []
    return [name for name in list(inspect.signature(function).parameters)[1:] if name in given]
