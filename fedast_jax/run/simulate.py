"""The whole run as one call: configuration in, result out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import jax

from ..config.errors import ConfigError
from ..config.settings import Config
from ..config.shipped import Source
from ..engine.devices import provide
from ..results.records import RunRecord
from ..results.result import Result
from .checkpoint import Keeper
from .devices import settle
from .driver import Driver
from .executor import Device, Interrupted
from .footprint import within_memory
from .machine import machine_facts, say_side_by_side, say_where_it_gains_nothing
from .options import RunOptions
from .prepare import Prepared, prepare_run
from .progress import progress_of
from .replicate import Job
from .resolve import load_config
from .saved import SavedRun, putting_back
from .snapshot import restore_driver
from .sources import split_options
from .stopping import interruptible


def simulate(config: Source, *, overrides: Iterable[str] = (), **options: Any) -> Result:
    """Run a configuration: every replicate, in shared full batches.

    Args:
        config: what to run: the name of a shipped configuration, the path of a TOML file, a nested
            table of settings, a Config, or a dict of tasks by name, each a ``Task`` or a table.
        overrides: a list of ``key=value``, as for ``load_config``.
        options: of ``RunOptions``, by name; all others are settings: ``time_limit=300, seeds=20``.
    Returns:
        What was measured; ``result.status`` says whether the run was interrupted.
    Raises:
        ConfigError: a setting cannot be run, or the run cannot fit into the memory.
        DataError: data is missing or broken.
        ResumeError: there are checkpoints, and none of them can be used for this run.
        KeyboardInterrupt: Ctrl-C, once a checkpoint is written where there are any.
    """
    options, settings = split_options(options)
    return simulate_together([load_config(config, overrides, **settings)], **options)[0]


def simulate_together(configs: Sequence[Config], **options: Any) -> list[Result]:
    """Run several configurations in shared full batches: other methods, other numbers.

    Seeds are taken in turn: the first of every configuration, the second of every configuration,
    and so on; configurations that share no compiled program come one after another, since they
    cannot fill each other's batches. Equal seeds meet equal clients, data and initial models, and
    equal delays as far as the methods dispatch alike.

    Args:
        configs: with the same ``machine``, but for its ``checkpoint_seconds``: the least one holds.
        options: of ``RunOptions``, by name.
    Returns:
        A result for each configuration, in order; counts and seconds are those of the whole run.
    Raises:
        ConfigError: the run cannot fit into the memory, or the configurations not together.
        DataError, ResumeError, KeyboardInterrupt: as ``simulate``.
    """
    how = RunOptions(**options)
    saved = SavedRun.find(how.checkpoints, configs, how.keeps)
    configs = saved.named(configs) if saved else settle(configs)
    return results_of(configs, run_jobs(configs, None, how, saved))


def results_of(configs: Sequence[Config], record: RunRecord) -> list[Result]:
    """A run's result for each of its configurations."""
    return [Result.collect(config, number, record) for number, config in enumerate(configs)]


def run_jobs(
    configs: Sequence[Config],
    jobs: Sequence[Job] | None,
    options: RunOptions,
    saved: SavedRun | None = None,
) -> RunRecord:
    """As ``simulate_together`` of settled configurations.

    Args:
        configs: with nothing left to the machine, see ``settle``.
        jobs: the replicates; None: all.
        options: how.
        saved: a state to go on from.
    """
    start = time.perf_counter() - (saved.wall_seconds if saved else 0.0)
    with within_memory(), precision(configs), interruptible(options.is_stopped) as stopping:
        say_where_it_gains_nothing(configs[0].machine.precision)
        say_side_by_side(configs)
        with putting_back(options.checkpoints) if saved else nullcontext():
            prepared = prepare_run(configs, saved, jobs)
            driver = prepared.driver(Device(stopping.is_wanted), **options.keeps)
            if saved:
                restore_driver(driver, saved.driver)
        keeper = Keeper(
            options.checkpoints,
            lambda: SavedRun.content(driver, prepared.sizing, time.perf_counter() - start),
            min(config.machine.checkpoint_seconds for config in configs),
        )
        driver.on_segment = _after_segment(options, keeper)
        try:
            driver.run(prepared.sizing.num_resident, prepared.sizing.window)
        except Interrupted:
            keeper.write()
            stopping.raise_if_ctrl_c()
        return record_run(driver, prepared, time.perf_counter() - start)


def record_run(driver: Driver, prepared: Prepared, wall_seconds: float) -> RunRecord:
    """What a driver has measured, whether or not it has come to its end."""
    return RunRecord(
        replicates=tuple(
            sorted(driver.records(), key=lambda record: (record.index, record.setting))
        ),
        status="interrupted" if driver.is_unfinished else "finished",
        counts=driver.counts,
        seconds=driver.executor.seconds,
        wall_seconds=wall_seconds,
        batch_width=driver.pools[0].spec.width,
        num_devices=driver.pools[0].spec.num_devices,
        num_resident=prepared.sizing.num_resident,
        estimated_bytes=prepared.sizing.bytes,
        temp_bytes=driver.executor.temp_bytes,
        keeps_models=driver.keep_models,
        keeps_requests=driver.keep_requests,
        machine=machine_facts(),
    )


def _after_segment(options: RunOptions, keeper: Keeper) -> Callable[[Driver], None]:
    """Report a segment, then write a checkpoint if one is due; none once nothing is left to do."""

    def after_segment(driver: Driver) -> None:
        options.on_progress(progress_of(driver))
        if driver.is_unfinished:
            keeper.tick()

    return after_segment


@contextmanager
def precision(configs: Sequence[Config]) -> Iterator[None]:
    """JAX as the configurations want it.

    Raises:
        ConfigError: they cannot run together.
    """
    if any(config.study.is_wanted for config in configs):
        raise ConfigError(
            "study.compare and study.sweep stand for several configurations: call "
            "fedast_jax.compare or fedast_jax.sweep, or leave them out"
        )
    for key in ("precision", "batch_width", "memory_gib", "num_devices", "side_by_side"):
        first, *others = [getattr(config.machine, key) for config in configs]
        for other in others:
            if other != first:
                raise ConfigError(
                    f"machine.{key} must be the same for all that runs together, got {first} and "
                    f"{other}"
                )
    try:
        provide(configs[0].machine.num_devices or 1)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with jax.enable_x64(configs[0].machine.precision == "float64"):
        yield
