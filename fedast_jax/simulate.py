"""The whole run as one call: configuration in, result out."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import jax

from .algorithms import get_algorithm
from .config import Config, ConfigError, TaskConfig
from .devices import provide
from .driver import Driver, Job, Setting, jobs_of
from .engine import Engine, EngineSpec
from .executor import Device, Executor, Interrupted, PlanOnly
from .flops import step_flops
from .pool import LanePool
from .results import PlanReport, Result
from .saving.checkpoint import Checkpoints, Keeper
from .saving.saved import Saved
from .saving.snapshot import put_back
from .schedule import mean_wave_width
from .sizing import (
    LEAST_WINDOW,
    PoolNeeds,
    Sizing,
    enough_resident,
    fit,
    memory_budget,
    narrower,
    window,
)
from .task_data import PooledData, TaskData, load_task_data
from .tasks import get_kind
from .workspace import COMPILER_BYTES, program_bytes, workspace_bytes

CALL_FLOP = 2e11  # work of one call on a CPU, so that it can be stopped within seconds
MOST_STEPS = 8
PROBE_TURNS = 6  # times that all active requests turn over while a probe runs


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
        wave_width = statistics.mean(_wave_widths(driver))
        return PlanReport.collect(driver, setup.sizing, seconds, wave_width)


class Setup(NamedTuple):
    """A run before its first event."""

    pools: list[LanePool]
    settings: list[Setting]
    sizing: Sizing
    jobs: Sequence[Job]

    def driver(
        self,
        executor: Executor,
        keep_models: bool = False,
        keep_requests: bool = True,
    ) -> Driver:
        """A driver over pools with the rows that the sizing gives them."""
        for pool, needs in zip(self.pools, self.sizing.needs, strict=True):
            pool.grow(*needs.rows(self.sizing.num_resident))
        return Driver(
            self.settings,
            self.pools,
            executor,
            keep_models=keep_models,
            keep_requests=keep_requests,
            jobs=self.jobs,
        )


def prepare(
    configs: Sequence[Config], saved: Saved | None = None, jobs: Sequence[Job] | None = None
) -> Setup:
    """Load the data, build the pools and choose how much is resident at once.

    Args:
        configs: what to run.
        saved: a state to go on from: width and sizing are as they were then.
        jobs: the replicates to run; None: all.
    Raises:
        ConfigError: not even one replicate fits into the memory.
        DataError: data is missing or broken.
    """
    data, jobs = load_data(configs), jobs_of(configs) if jobs is None else jobs
    if saved:
        return Setup(*make_pools(configs, data, saved.width), saved.sizing, jobs)
    return _widest(configs, data, jobs)


def load_data(configs: Sequence[Config]) -> dict[tuple, TaskData]:
    """The data of all tasks, for ``make_pools``; equal tasks share theirs.

    Raises:
        DataError: data is missing or broken, or cannot be divided over so many clients.
    """
    data: dict[tuple, TaskData] = {}
    for config in configs:
        for _, task in config.named_tasks:
            source = _source(task)
            if source not in data:
                data[source] = load_task_data(get_kind(task.kind), task.dataset, task.test_samples)
            data_of(config, data[source]).check_num_clients(config.num_clients)
    return data


def _with_seeds_of(configs: Sequence[Config], jobs: Sequence[Job]) -> list[Config]:
    """Every configuration with as many seeds as it has jobs."""
    numbers = Counter(setting for setting, _ in jobs)
    return [
        config.model_copy(update={"num_seeds": numbers[setting]})
        for setting, config in enumerate(configs)
    ]


def _widest(configs: Sequence[Config], data: dict[tuple, TaskData], jobs: Sequence[Job]) -> Setup:
    """With the widest batches that fit."""
    budget, refusal = memory_budget(configs[0]), None
    for width in narrower(_with_seeds_of(configs, jobs)):
        pools, settings = make_pools(configs, data, width)
        try:
            sizings = _sizings(settings, pools, len(jobs))
            return Setup(pools, settings, fit(sizings, budget, configs), jobs)
        except ConfigError as error:
            refusal = error
    assert refusal is not None
    raise refusal


def make_pools(
    configs: Sequence[Config], data: dict[tuple, TaskData], width: int
) -> tuple[list[LanePool], list[Setting]]:
    """One pool for each combination of kind and shapes, and the pools of each configuration."""
    pools: dict[tuple, LanePool] = {}
    settings = []
    for config in configs:
        pool_of = []
        for _, task in config.named_tasks:
            work, build = config.work_of(task), get_kind(task.kind).following(config.fidelity).build
            key = (task.kind, build, _source(task), work, task.server_optimizer)
            if key not in pools:
                loaded = data_of(config, data[_source(task)])
                pools[key] = LanePool(_spec(config, task, loaded, width), loaded)
            pool_of.append(list(pools).index(key))
        settings.append(Setting(config, pool_of))
    return list(pools.values()), settings


def data_of(config: Config, data: TaskData) -> TaskData:
    """The data as the configuration's algorithm sees it."""
    return PooledData(data) if get_algorithm(config.algorithm).pools_data else data


def _source(task: TaskConfig) -> tuple:
    """Tasks with equal sources share their data."""
    kind = get_kind(task.kind)
    return kind.data, kind.dataset or task.dataset, task.test_samples


def _spec(config: Config, task: TaskConfig, data: TaskData, width: int) -> EngineSpec:
    kind, backend = get_kind(task.kind).following(config.fidelity), jax.default_backend()
    work = config.work_of(task)
    steps = MOST_STEPS
    if backend == "cpu":
        flops = step_flops(kind.build(data.shape), data.train_shapes, work.batch_size)
        steps = int(CALL_FLOP / (width * work.num_steps * max(flops, 1)))
    return EngineSpec(
        kind=kind,
        shape=data.shape,
        work=work,
        server_optimizer=task.server_optimizer,
        width=width,
        steps=min(max(steps, 1), MOST_STEPS),
        precision=config.precision,
        backend=backend,
        num_devices=config.num_devices,
    )


def _sizings(settings: Sequence[Setting], pools: list[LanePool], total: int) -> Iterator[Sizing]:
    """Ways to run, the largest first: all replicates at once, half of them, ..., small windows."""
    width = pools[0].spec.width
    drivers = [_probe(one, pools, LEAST_WINDOW, width) for one in settings]
    narrowest = min(width for driver in drivers for width in _wave_widths(driver))
    turns = max(1, total // enough_resident(width, narrowest))  # of about equal numbers
    num_resident, empty = -(-total // turns), _without_rows(settings, pools)
    while True:
        events = window(width, len(pools), num_resident)
        yield Sizing(num_resident, events, _needs(settings, pools, empty, events, num_resident))
        if num_resident == 1:
            break
        num_resident = (num_resident + 1) // 2
    while events > 1:
        events //= 2
        yield Sizing(1, events, _needs(settings, pools, empty, events, 1))


def _needs(
    settings: Sequence[Setting],
    pools: list[LanePool],
    empty: list[PoolNeeds],
    events: int,
    num_resident: int,
) -> tuple[PoolNeeds, ...]:
    """What one of the resident replicates needs at most, whichever setting it has."""
    share = -(-pools[0].spec.width // num_resident)  # a wider batch would train further ahead
    drivers = [_probe(one, pools, events, share) for one in settings]
    probed = zip(*(driver.pools for driver in drivers), strict=True)
    return tuple(_with_rows(*one) for one in zip(empty, probed, strict=True))


def _with_rows(needs: PoolNeeds, probed: Sequence[LanePool]) -> PoolNeeds:
    """With the most rows that a probe of any setting used of a pool."""
    versions, updates = (max(pool.peak[part] for pool in probed) for part in range(2))
    kept = [max(pool.kept[part] for pool in probed) for part in range(2)]
    is_cpu = probed[0].spec.backend == "cpu"  # elsewhere the host holds what is to be saved
    saved = is_cpu * (kept[0] * needs.version_bytes + kept[1] * needs.update_bytes)
    return needs._replace(versions=versions, updates=updates, saved_bytes=saved)


def _probe(setting: Setting, pools: list[LanePool], events: int, width: int) -> Driver:
    """Plan the first part of one replicate alone, in batches of a given width."""
    config = setting.config
    tasks = config.named_tasks
    largest = get_algorithm(config.algorithm).largest_round(config)
    active = max(sum(task.settings.num_active for task in tasks), len(tasks) * largest)
    most = PROBE_TURNS * active + 2 * events
    if config.max_updates is not None:
        most = min(most, config.max_updates)
    probe = config.model_copy(update={"num_seeds": 1, "max_updates": most})
    copies = [LanePool(replace(pool.spec, width=width), pool.data) for pool in pools]
    for pool in copies:
        bound = 2 * active + events + width
        pool.grow(bound, bound)
    driver = Driver([setting._replace(config=probe)], copies, PlanOnly())
    driver.run(1, events)
    return driver


def _without_rows(settings: Sequence[Setting], pools: list[LanePool]) -> list[PoolNeeds]:
    """What each pool needs beside its rows. Data that pools share counts for the first of them."""
    first = {id(pool.data): pool for pool in reversed(pools)}
    is_cpu = pools[0].spec.backend == "cpu"  # the process holds all, its own copy of the data too
    found = []
    for number, pool in enumerate(pools):
        fixed = workspace_bytes(pool.spec, pool.data) + program_bytes(pool.spec, pool.data)
        fixed += COMPILER_BYTES if is_cpu and number == 0 else 0
        if first[id(pool.data)] is pool:
            fixed += pool.data.num_bytes * (1 + is_cpu)
        clients = is_cpu * max(_clients_bytes(one, number, pool.data) for one in settings)
        width, row_bytes = pool.spec.width, Engine(pool.spec).row_bytes
        found.append(PoolNeeds(0, 0, width, *row_bytes, fixed, clients))
    return found


def _clients_bytes(setting: Setting, pool: int, data: TaskData) -> int:
    lanes = list(setting.pool_of).count(pool)
    return lanes * data.partition_bytes(setting.config.num_clients)


def _wave_widths(driver: Driver) -> list[float]:
    """Of every lane of the first replicate: how many of its requests can be trained at once."""
    widths = []
    for lane in driver.done[0].lanes:
        rounds, base = lane.timeline.rounds[lane.task], lane.timeline.requests.base_round
        bases = [base[request] for request in rounds.arrived[: rounds.num_used]]
        widths.append(mean_wave_width(bases, rounds.end.tolist()))
    return widths


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
