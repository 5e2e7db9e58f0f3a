"""A method: what the server makes of the updates that arrive, as a record of pure functions."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType
from typing import Any, NamedTuple

import jax

from ...config.bounds import LARGEST, MOST_REQUESTS
from ...config.closest import did_you_mean

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
KNOWN_NEEDS = ("previous", "start", "weights")

Array = jax.Array
State = Any  # a tree of arrays


@dataclass(frozen=True)
class Hyperparameter:
    """A number that a method takes: a setting of each task, never a reason to compile anew."""

    default: float  # a whole number (32, not 32.0): only such are allowed
    least: float = -LARGEST
    most: float = LARGEST
    meaning: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it counts something."""
        return isinstance(self.default, int)

    def check(self, value: float) -> None:
        """Raise ValueError where a value is not allowed."""
        kind = "a whole number" if self.is_whole else "a number"
        if isinstance(value, bool) or not isinstance(value, Real):
            raise ValueError(f"must be {kind}, got {value!r}")
        is_kind = not self.is_whole or float(value).is_integer()
        if not (is_kind and self.least <= value <= self.most):
            raise ValueError(f"must be {kind} from {self.least:g} to {self.most:g}, got {value:g}")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Arrived:
    """What a round brings to ``Method.apply``; numbers are arrays in the model's type.

    The arrays by updates have B rows, at least as many as the round has updates; those beyond
    ``num_updates`` hold NaN. Sum over rows by ``sum_in_order`` and ``mean_in_order``, which leave
    them out. The method's hyperparameters are attributes, too: ``arrived.beta_1``.
    """

    updates: Array  # float[B, P]: delta = x_dispatch - x_local, in order of arrival
    staleness: Array  # float[B]: rounds between dispatch and use
    num_updates: Array  # int: b
    server_lr: Array
    num_clients: Array  # N
    num_active: Array  # R_m when the round closed
    oldest: Array  # the largest staleness
    weights: Any = None  # float[B]: s(staleness), where ``needs`` has "weights"
    previous: Any = None  # float[B, P]: the client's last update used; "previous"
    start: Any = None  # float[B, P]: the version that it trained from; "start"
    hyperparameters: Mapping[str, Array] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["hyperparameters"][name]
        except KeyError:
            raise AttributeError(f"a round has no {name!r}") from None


class Rule(NamedTuple):
    """The part of a method that is compiled: methods of equal rules share programs."""

    init: Callable[[Array], State]
    step: Callable[..., tuple[Array, State]] | None
    apply: Callable[..., tuple[Array, State]] | None
    needs: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()  # of the hyperparameters that ``apply`` is given


def no_state(model: Array) -> tuple:
    """Nothing beside the model."""
    del model
    return ()


@dataclass(frozen=True, eq=False)
class Method:
    """A way to aggregate, the same for every task; all functions are pure.

    Device functions are traced by JAX. ``step`` is enough where only the (weighted) mean of a
    round's updates counts, and is fastest; ``apply`` sees all of them. With neither, the step is
    that of each task's ``server_optimizer``.

    Functions of the planner run on the host, on plain numbers: ``weight`` and ``accept`` are given
    the staleness, and by their parameters' names any of ``num_active`` (R_m at that event),
    ``num_clients``, ``server_lr`` and the hyperparameters.

    Raises:
        ValueError: a name that is none, an unknown need, both ``step`` and ``apply``, a
            hyperparameter with the name of something else.
    """

    name: str
    init: Callable[[Array], State] = no_state
    """``model[P] -> state``: a tree of float (or small whole) arrays kept beside the model."""
    apply: Callable[[Array, State, Arrived], tuple[Array, State]] | None = None
    """``(model[P], state, arrived) -> (model[P], state)``"""
    step: Callable[[Array, State, Array, Array], tuple[Array, State]] | None = None
    """``(model[P], state, mean update[P], server_lr) -> (model[P], state)``"""
    weight: Callable[..., float] | None = None
    """``staleness -> s``; None: the task's ``staleness`` law."""
    accept: Callable[..., bool] | None = None
    """``staleness -> whether it is used``; else it is dropped and its task dispatches anew."""
    needs: Collection[str] = ()
    """What ``apply`` takes besides: "previous", "start", "weights"."""
    local: Any = None
    """The client's rule: an optax transformation (``init`` and ``update``) of its gradients.

    Its ``update`` is also given ``start=``, the model that the client began from, if it takes it.
    """
    buffer_size: int | None = None
    """b: 1: every update is a round; None: as configured. Other numbers are its default."""
    hyperparameters: Mapping[str, Hyperparameter | float] = field(default_factory=dict)
    source: str = ""
    """Where it was published."""

    def __post_init__(self) -> None:
        _check_kinds(self)
        numbers = {
            name: number if isinstance(number, Hyperparameter) else Hyperparameter(number)
            for name, number in self.hyperparameters.items()
        }
        object.__setattr__(self, "hyperparameters", MappingProxyType(numbers))
        object.__setattr__(self, "needs", frozenset(self.needs))
        _check(self)

    def __deepcopy__(self, memo: Any) -> Method:
        return self  # a table of settings that holds it may be copied

    @property
    def numbers(self) -> Mapping[str, Hyperparameter]:
        """The hyperparameters."""
        return self.hyperparameters  # type: ignore[return-value]  # made so above

    @property
    def rule(self) -> Rule:
        """What of it is compiled."""
        names = tuple(self.numbers) if self.apply else ()
        return Rule(self.init, self.step, self.apply, frozenset(self.needs), names)

    @property
    def leaves_step_open(self) -> bool:
        """Whether a task's ``server_optimizer`` takes the step."""
        return self.apply is None and self.step is None


def _check_kinds(method: Method) -> None:
    """Raise ValueError where a field is of a kind that nothing can be made of."""
    place, size = f"method {method.name!r}", method.buffer_size
    if not isinstance(method.name, str) or not NAME.fullmatch(method.name):
        raise ValueError(
            f"a method's name is a letter and up to 63 more letters, digits, '_' and '-', got "
            f"{method.name!r}"
        )
    if isinstance(method.needs, str):
        raise ValueError(f"{place}: needs are a set of names: needs={{{method.needs!r}}}")
    numbers = method.hyperparameters
    if not isinstance(numbers, Mapping) or not all(isinstance(name, str) for name in numbers):
        raise ValueError(f"{place}: hyperparameters are numbers by name, got {numbers!r}")
    if size is not None and (isinstance(size, bool) or not isinstance(size, int)):
        raise ValueError(f"{place}: buffer_size is a whole number or None, got {size!r}")


def _check(method: Method) -> None:
    place = f"method {method.name!r}"
    for need in method.needs:
        if need not in KNOWN_NEEDS:
            raise ValueError(
                f"{place}: unknown need {need!r}; {did_you_mean(str(need), KNOWN_NEEDS)}"
            )
    if method.apply and method.step:
        raise ValueError(f"{place} has both step and apply; leave one of them out")
    if method.needs and not method.apply:
        raise ValueError(f"{place}: needs={sorted(method.needs)} are for apply, which it has not")
    if method.buffer_size is not None and not 1 <= method.buffer_size <= MOST_REQUESTS:
        raise ValueError(f"{place}: buffer_size is at least 1 or None, got {method.buffer_size!r}")
    _check_numbers(method, place)


def _check_numbers(method: Method, place: str) -> None:
    for name, number in method.numbers.items():
        if not name.isidentifier() or name in Arrived.__dataclass_fields__ or name == "self":
            raise ValueError(f"{place}: a hyperparameter cannot be called {name!r}; rename it")
        try:
            number.check(number.default)
        except ValueError as error:
            raise ValueError(f"{place}: the default of {name!r} {error}") from None
