"""A driver over pools of a chosen size, and what it did in the tables of a run folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import pandas as pd

from ...algorithms import get_algorithm
from ...config.settings import Config
from ...data.pooled_data import PooledData
from ...engine.planning.pool import LanePool
from ...engine.spec import EngineSpec
from ...oracle import load_data
from ...results.tables import evaluation_table, request_table
from ...run.driver import Driver
from ...run.executor import Executor
from ...run.replicate import Arm, Replicate
from ...run.resolve import ResolvedTask, resolve


class KeepingDriver(Driver):
    """A driver that keeps its replicates once they have ended, to look inside."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.ended: list[Replicate] = []

    def retire(self) -> None:
        """As every driver does."""
        self.ended += [one for one in self.resident if one.timeline.end_reason]
        super().retire()


class Ran(NamedTuple):
    """What a driver did."""

    driver: KeepingDriver
    requests: pd.DataFrame
    evaluations: pd.DataFrame

    @property
    def replicates(self) -> list[Replicate]:
        """In order of their seeds."""
        return sorted(self.driver.ended, key=lambda one: one.index)


def run_driver(
    config: Config,
    executor: Executor,
    *,
    capacity: tuple[int, int] = (120, 120),
    num_resident: int | None = None,
    window: int = 40,
    step_updates: int | None = None,
    change: Callable[[Driver], None] | None = None,
) -> Ran:
    """Run a configuration over pools of a chosen size.

    Args:
        config: with ``machine.batch_width``; one kind has one set of shapes.
        executor: what trains.
        capacity: rows of each pool at the start (versions, updates).
        num_resident, window: as of ``Driver.run``.
        step_updates: instead of the driver's choice.
        change: called with the driver when its first replicates have been admitted.
    """
    num_resident = num_resident or config.num_seeds
    with jax.enable_x64(config.machine.precision == "float64"):
        driver = make_driver(config, executor, capacity, step_updates)
        driver.on_segment = getattr(executor, "on_segment", lambda driver: None)
        if change is not None:
            driver.admit(num_resident)
            change(driver)
        driver.run(num_resident, window)
        return ran_of(driver)


def make_driver(
    config: Config,
    executor: Executor,
    capacity: tuple[int, int],
    step_updates: int | None = None,
    make: Callable[..., KeepingDriver] = KeepingDriver,
) -> KeepingDriver:
    """A driver at time 0, as a new process makes it; the arguments are those of ``run_driver``."""
    pools, arm = pools_of(config)
    for pool in pools:
        pool.grow(*capacity)
    driver = make([arm], pools, executor, keep_models=True)
    driver.planner.step_updates = step_updates or driver.planner.step_updates
    return driver


def ran_of(driver: KeepingDriver) -> Ran:
    """What a driver did, as tables."""
    records = sorted(driver.records(), key=lambda record: record.index)
    return Ran(driver, request_table(records), evaluation_table(records))


def pools_of(config: Config) -> tuple[list[LanePool], Arm]:
    """One pool a kind, and the pool of each task."""
    pools: dict[str, LanePool] = {}
    resolved = resolve(config)
    for task in resolved.tasks:
        if task.kind.name not in pools:
            data = load_data(task.kind.name)
            data = PooledData(data) if resolved.algorithm.pools_data else data
            pools[task.kind.name] = LanePool(engine_spec(config, task), data)
    pool_of = [list(pools).index(task.kind.name) for task in resolved.tasks]
    return list(pools.values()), Arm(config, resolved.algorithm, pool_of, resolved.rules)


def engine_spec(config: Config, task: ResolvedTask, steps: int = 3) -> EngineSpec:
    """The spec of a task's pool on this machine."""
    assert config.machine.batch_width is not None
    return EngineSpec(
        kind=task.kind,
        shape=load_data(task.kind.name).shape,
        work=task.work,
        rule=task.method.rule,
        width=config.machine.batch_width,
        steps=steps,
        precision=config.machine.precision,
        backend=jax.default_backend(),
        num_devices=config.machine.num_devices or 1,
        most_updates=most_updates(config, task),
        local=task.method.local,
        is_proximal=task.settings.proximal > 0,
    )


def most_updates(config: Config, task: ResolvedTask) -> int:
    """B: one of few numbers, so that programs can be shared."""
    largest = get_algorithm(config.algorithm).largest_round(config)
    if task.method.rule.step:
        return 1
    return next(size for size in (1, 4, 16, 64, 256) if size >= largest)
