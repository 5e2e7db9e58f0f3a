"""The whole run as one call: configuration in, result out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import jax

from .config import Config, TaskConfig
from .driver import Driver
from .engine import Engine, EngineSpec
from .executor import Device, Executor, Interrupted, PlanOnly
from .flops import step_flops
from .pool import LanePool
from .results import PlanReport, Result
from .schedule import mean_wave_width
from .sizing import PoolNeeds, Sizing, batch_width, fit, memory_budget, window
from .task_data import TaskData, load_task_data
from .tasks import get_kind

CALL_FLOP = 2e11  # work of one call on a CPU, so that it can be stopped within seconds
MOST_STEPS = 8
PROBE_TURNS = 6  # times that all active requests turn over while a probe runs
WORKSPACE_COPIES = 8  # model-sized arrays that one client's training holds at once


def simulate(
    config: Config,
    *,
    on_segment: Callable[[Driver], None] = lambda driver: None,
    is_stopped: Callable[[], bool] = lambda: False,
    keep_models: bool = False,
) -> Result:
    """Run a configuration: every replicate, in shared full batches.

    Args:
        config: what to run.
        on_segment: called with the driver after each segment, for progress.
        is_stopped: asked between calls of the device; True ends the run in order.
        keep_models: whether the result holds the initial and final models.
    Returns:
        What was measured; ``result.status`` says whether the run was interrupted.
    Raises:
        ConfigError: the run cannot fit into the memory.
        DataError: data is missing or broken.
    """
    start = time.perf_counter()
    with _precision(config):
        setup = prepare(config)
        device = Device(is_stopped)
        driver = setup.driver(config, device, on_segment, keep_models)
        status = "finished"
        try:
            driver.run(setup.sizing.num_resident, setup.sizing.window)
        except (Interrupted, KeyboardInterrupt):
            status = "interrupted"
        return Result.collect(driver, setup.sizing, status, time.perf_counter() - start)


def plan(config: Config) -> PlanReport:
    """Plan a whole run without training: targets are never met, so it is the longest possible."""
    with _precision(config):
        setup = prepare(config)
        executor, start = PlanOnly(), time.perf_counter()
        driver = setup.driver(config, executor)
        driver.run(setup.sizing.num_resident, setup.sizing.window)
        seconds = time.perf_counter() - start
        return PlanReport.collect(driver, setup.sizing, seconds, _wave_width(driver))


class Setup(NamedTuple):
    """A run before its first event."""

    pools: list[LanePool]
    pool_of: list[int]
    sizing: Sizing

    def driver(
        self,
        config: Config,
        executor: Executor,
        on_segment: Callable[[Driver], None] = lambda driver: None,
        keep_models: bool = False,
    ) -> Driver:
        """A driver over pools with the rows that the sizing gives them."""
        for pool, needs in zip(self.pools, self.sizing.needs, strict=True):
            pool.grow(*needs.rows(self.sizing.num_resident))
        return Driver(config, self.pools, self.pool_of, executor, on_segment, keep_models)


def prepare(config: Config) -> Setup:
    """Load the data, build the pools and choose how much is resident at once.

    Raises:
        ConfigError: not even one replicate fits into the memory.
        DataError: data is missing or broken.
    """
    data: dict[tuple, TaskData] = {}
    for _, task in config.named_tasks:
        source = _source(task)
        if source not in data:
            data[source] = load_task_data(get_kind(task.kind), task.dataset, task.test_samples)
            data[source].check_num_clients(config.num_clients)
    pools, pool_of = make_pools(config, data)
    options = _sizings(config, pools, pool_of)
    return Setup(pools, pool_of, fit(options, memory_budget(config), config))


def make_pools(config: Config, data: dict[tuple, TaskData]) -> tuple[list[LanePool], list[int]]:
    """One pool for each combination of kind and shapes, and the pool of each task."""
    pools: dict[tuple, LanePool] = {}
    pool_of = []
    for _, task in config.named_tasks:
        key = (task.kind, _source(task), task.work, task.server_optimizer)
        if key not in pools:
            loaded = data[_source(task)]
            pools[key] = LanePool(_spec(config, task, loaded), loaded)
        pool_of.append(list(pools).index(key))
    return list(pools.values()), pool_of


def _source(task: TaskConfig) -> tuple:
    """Tasks with equal sources share their data."""
    kind = get_kind(task.kind)
    return kind.data, kind.dataset or task.dataset, task.test_samples


def _spec(config: Config, task: TaskConfig, data: TaskData) -> EngineSpec:
    kind, backend, width = get_kind(task.kind), jax.default_backend(), batch_width(config)
    steps = MOST_STEPS
    if backend == "cpu":
        flops = step_flops(kind.build(data.shape), data.train_shapes, task.work.batch_size)
        steps = int(CALL_FLOP / (width * task.work.num_steps * max(flops, 1)))
    return EngineSpec(
        kind=kind,
        shape=data.shape,
        work=task.work,
        server_optimizer=task.server_optimizer,
        width=width,
        steps=min(max(steps, 1), MOST_STEPS),
        precision=config.precision,
        backend=backend,
    )


def _sizings(config: Config, pools: list[LanePool], pool_of: list[int]) -> Iterator[Sizing]:
    """Ways to run, the largest first: all replicates at once, half of them, ..., small windows."""
    width, num_resident = pools[0].spec.width, config.num_seeds
    while True:
        events = window(width, len(pools), num_resident)
        yield Sizing(num_resident, events, _needs(config, pools, pool_of, events, num_resident))
        if num_resident == 1:
            break
        num_resident = (num_resident + 1) // 2
    while events > 1:
        events //= 2
        yield Sizing(1, events, _needs(config, pools, pool_of, events, 1))


def _needs(
    config: Config, pools: list[LanePool], pool_of: list[int], events: int, num_resident: int
) -> tuple[PoolNeeds, ...]:
    """What one of the resident replicates needs, found by planning the first part of one.

    It is planned with its share of a batch: a wider one would train further ahead.
    """
    share = -(-pools[0].spec.width // num_resident)
    active = sum(task.settings.num_active for task in config.named_tasks)
    most = PROBE_TURNS * active + 2 * events
    if config.max_updates is not None:
        most = min(most, config.max_updates)
    probe = config.model_copy(update={"num_seeds": 1, "max_updates": most})
    copies = [LanePool(replace(pool.spec, width=share), pool.data) for pool in pools]
    for pool in copies:
        bound = 2 * active + events + share
        pool.grow(bound, bound)
    Driver(probe, copies, pool_of, PlanOnly()).run(1, events)
    return tuple(_pool_needs(pool, copy.peak) for pool, copy in zip(pools, copies, strict=True))


def _pool_needs(pool: LanePool, peak: tuple[int, int]) -> PoolNeeds:
    engine = Engine(pool.spec)
    version_bytes, update_bytes = engine.row_bytes
    workspace = WORKSPACE_COPIES * pool.spec.micro_batch * update_bytes
    fixed = pool.data.num_bytes + workspace
    return PoolNeeds(*peak, pool.spec.width, version_bytes, update_bytes, fixed)


def _wave_width(driver: Driver) -> float:
    """Mean over the lanes of the first replicate."""
    widths = []
    for lane in driver.done[0].lanes:
        rounds, base = lane.timeline.rounds[lane.task], lane.timeline.requests.base_round
        bases = [base[request] for request in rounds.arrived[: rounds.num_used]]
        widths.append(mean_wave_width(bases, rounds.end.tolist()))
    return sum(widths) / len(widths)


@contextmanager
def _precision(config: Config) -> Iterator[None]:
    with jax.enable_x64(config.precision == "float64"):
        yield
