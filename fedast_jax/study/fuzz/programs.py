"""A device whose programs are traced and compiled once in a process, whatever runs on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from ...engine.engine import Engine, PoolArrays
from ...engine.spec import EngineSpec
from ...run.executor import Device

QUICK = "jax_disable_most_optimizations"


class Lowered:
    """A jitted function that poses as its own lowering, so that its programs are kept."""

    def __init__(self, function: Callable) -> None:
        self.function = function

    def lower(self, *arguments: Any) -> Lowered:
        """The last of the tests' five arguments is static and no argument of the program."""
        static = arguments[4:]
        return Lowered(lambda *given: self.function(*given, *static))

    def compile(self) -> Lowered:
        """Compiled at the first call with new shapes."""
        return self

    def memory_analysis(self) -> None:
        """Nothing is known before that."""

    def __call__(self, *given: Any) -> Any:
        """Run it."""
        return self.function(*given)


def roomy_pool(engine: Engine, empty_pool: Callable, *numbers: int) -> PoolArrays:
    """With rows beyond those that anybody knows of: one of few sizes, so one program for most."""
    rows = [1 << max(8, (number - 1).bit_length()) for number in numbers]
    is_small = max(rows) * max(engine.row_bytes) <= 2**26
    return empty_pool(*(rows if is_small else numbers))


ENGINES: dict[tuple, Engine] = {}
MOST_ENGINES = 24  # with their programs: the one that was not used for longest is forgotten


def shared_engine(spec: EngineSpec) -> Engine:
    """One engine for all equal specs, whatever the devices that use it."""
    how = spec.micro_batch, spec.groups_at_once, spec.ticks, spec.tests(360), jax.config.read(QUICK)
    key = *spec.key, *how
    engine = ENGINES.pop(key, None)
    if engine is None:
        engine = Engine(spec)
        engine.run, engine.evaluate = Lowered(engine.run), Lowered(engine.evaluate)  # type: ignore
        engine.empty_pool = partial(roomy_pool, engine, engine.empty_pool)  # type: ignore
    ENGINES[key] = engine
    if len(ENGINES) > MOST_ENGINES:
        del ENGINES[next(iter(ENGINES))]
    return engine


def shared_device() -> Device:
    """A new device with the programs of those before it."""
    return Device(make_engine=shared_engine)
