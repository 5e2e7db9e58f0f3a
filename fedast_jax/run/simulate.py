"""The whole run as one call: configuration in, result out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import jax

from ..config.settings import Config, ConfigError
from ..engine.devices import provide
from ..results.tables import PlanReport, Result
from .checkpoint import Checkpoints, Keeper
from .driver import Driver, Job
from .executor import Device, Interrupted, PlanOnly
from .prepare import prepare
from .probe import wave_widths
from .saved import Saved
from .sizing import Sizing
from .snapshot import put_back


def simulate(
    config: Config,
    *,
    on_segment: Callable[[Driver], None] = lambda driver: None,
    is_stopped: Callable[[], bool] = lambda: False,
    keep_models: bool = False,
    keep_requests: bool = True,
    checkpoints: Checkpoints | None = None,
) -> Result:
    """Run a configuration: every replicate, in shared full batches.

    Args:
        config: what to run.
        on_segment: called with the driver after each segment, for progress.
        is_stopped: asked between calls of the device; True ends the run in order.
        keep_models: whether the result holds the initial and final models.
        keep_requests: whether it holds every request; a megabyte for each 20,000 of them.
        checkpoints: where the run's state is kept now and then (``config.checkpoint_seconds``);
            where there is one already, the run goes on from it.
    Returns:
        What was measured; ``result.status`` says whether the run was interrupted.
    Raises:
        ConfigError: the run cannot fit into the memory.
        DataError: data is missing or broken.
        ResumeError: there are checkpoints, and none of them can be used for this run.
    """
    return simulate_together(
        [config],
        on_segment=on_segment,
        is_stopped=is_stopped,
        keep_models=keep_models,
        keep_requests=keep_requests,
        checkpoints=checkpoints,
    )[0]


def simulate_together(
    configs: Sequence[Config],
    *,
    on_segment: Callable[[Driver], None] = lambda driver: None,
    is_stopped: Callable[[], bool] = lambda: False,
    keep_models: bool = False,
    keep_requests: bool = True,
    checkpoints: Checkpoints | None = None,
) -> list[Result]:
    """Run several configurations in shared full batches: other methods, other numbers.

    Seeds are taken in turn: the first of every configuration, the second of every configuration,
    and so on. Equal seeds meet equal clients, data and initial models, and equal delays as far as
    the methods dispatch alike.

    Args:
        configs: with the same ``precision``, ``batch_width``, ``memory_gib`` and ``num_devices``.
        on_segment, is_stopped, keep_models, keep_requests, checkpoints: as for ``simulate``.
    Returns:
        A result for each configuration, in order; counts and seconds are those of the whole run.
    Raises:
        ConfigError: the run cannot fit into the memory, or the configurations not together.
        DataError: data is missing or broken.
        ResumeError: there are checkpoints, and none of them can be used for this run.
    """
    return run_jobs(
        configs,
        None,
        on_segment=on_segment,
        is_stopped=is_stopped,
        keep_models=keep_models,
        keep_requests=keep_requests,
        checkpoints=checkpoints,
    ).results()


class Ran(NamedTuple):
    """A run after its last event."""

    driver: Driver
    sizing: Sizing
    status: str  # "finished" or "interrupted"
    wall_seconds: float

    def results(self) -> list[Result]:
        """One for each setting."""
        return [
            Result.collect(self.driver, number, self.sizing, self.status, self.wall_seconds)
            for number in range(len(self.driver.settings))
        ]


def run_jobs(
    configs: Sequence[Config],
    jobs: Sequence[Job] | None,
    *,
    on_segment: Callable[[Driver], None] = lambda driver: None,
    is_stopped: Callable[[], bool] = lambda: False,
    keep_models: bool = False,
    keep_requests: bool = True,
    checkpoints: Checkpoints | None = None,
) -> Ran:
    """As ``simulate_together`` for some of the replicates; None: for all."""
    keeps = {"keep_models": keep_models, "keep_requests": keep_requests}
    saved = Saved.find(checkpoints, configs, keeps)
    start = time.perf_counter() - (saved.wall_seconds if saved else 0.0)
    with precision(configs):
        setup = prepare(configs, saved, jobs)
        driver = setup.driver(Device(is_stopped), **keeps)
        if saved:
            put_back(driver, saved.driver)
        keeper = Keeper(
            checkpoints,
            lambda: Saved.content(driver, setup.sizing, time.perf_counter() - start),
            min(config.checkpoint_seconds for config in configs),
        )
        driver.on_segment = _both(on_segment, keeper)
        status = "finished"
        try:
            driver.run(setup.sizing.num_resident, setup.sizing.window)
        except Interrupted:
            status = "interrupted"
            keeper.write()
        except KeyboardInterrupt:  # in the middle of anything: only earlier checkpoints are sound
            status = "interrupted"
        return Ran(driver, setup.sizing, status, time.perf_counter() - start)


def _both(on_segment: Callable[[Driver], None], keeper: Keeper) -> Callable[[Driver], None]:
    """Report a segment, then write a checkpoint if one is due; none once nothing is left to do."""

    def after_segment(driver: Driver) -> None:
        on_segment(driver)
        if driver.is_unfinished:
            keeper.tick()

    return after_segment


def plan(*configs: Config) -> PlanReport:
    """Plan a whole run without training: targets are never met, so it is the longest possible."""
    with precision(configs):
        setup = prepare(configs)
        driver, start = setup.driver(PlanOnly()), time.perf_counter()
        driver.run(setup.sizing.num_resident, setup.sizing.window)
        seconds = time.perf_counter() - start
        wave_width = statistics.mean(wave_widths(driver))
        return PlanReport.collect(driver, setup.sizing, seconds, wave_width)


@contextmanager
def precision(configs: Sequence[Config]) -> Iterator[None]:
    """JAX as the configurations want it.

    Raises:
        ConfigError: they cannot run together.
    """
    if any(config.compare or config.sweep for config in configs):
        raise ConfigError(
            "compare and sweep stand for several configurations: call fedast_jax.compare or "
            "fedast_jax.sweep, or leave them out"
        )
    for key in ("precision", "batch_width", "memory_gib", "num_devices"):
        found = {getattr(config, key) for config in configs}
        if len(found) > 1:
            raise ConfigError(f"{key} must be the same for all that runs together, got {found}")
    try:
        provide(configs[0].num_devices)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with jax.enable_x64(configs[0].precision == "float64"):
        yield
