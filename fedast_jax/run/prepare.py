"""A run before its first event: its data, its pools and how much of it is resident at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import jax

from ..algorithms import get_algorithm
from ..config.settings import Config, ConfigError, TaskConfig
from ..data.task_data import PooledData, TaskData, load_task_data
from ..engine.engine import EngineSpec
from ..engine.flops import step_flops
from ..planning.pool import LanePool
from ..tasks import get_kind
from .driver import Driver
from .executor import Executor
from .probe import sizings
from .replicate import Job, Setting, jobs_of
from .saved import Saved
from .sizing import Sizing, fit, memory_budget, narrower

CALL_FLOP = 2e11  # work of one call on a CPU, so that it can be stopped within seconds
MOST_STEPS = 8


class Prepared(NamedTuple):
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
) -> Prepared:
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
        return Prepared(*make_pools(configs, data, saved.width), saved.sizing, jobs)
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


def _widest(
    configs: Sequence[Config], data: dict[tuple, TaskData], jobs: Sequence[Job]
) -> Prepared:
    """With the widest batches that fit."""
    budget, refusal = memory_budget(configs[0]), None
    for width in narrower(_with_seeds_of(configs, jobs)):
        pools, settings = make_pools(configs, data, width)
        try:
            sizing = fit(sizings(settings, pools, len(jobs)), budget, configs)
            return Prepared(pools, settings, sizing, jobs)
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
