"""A run before its first event: its data, its pools and how much of it is resident at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import jax

from ..algorithms.methods.record import Rule
from ..config.errors import ConfigError
from ..config.settings import Config
from ..data.pooled_data import PooledData
from ..data.shapes import Shape
from ..data.task_data import TaskData
from ..engine.engine import Engine
from ..engine.flops import step_flops
from ..engine.planning.pool import LanePool
from ..engine.server import check_local, check_method
from ..engine.spec import EngineSpec
from .driver import Driver
from .executor import Executor
from .footprint import check_footprint
from .groups import in_groups
from .probe import sizings
from .replicate import Arm, Job, jobs_of
from .resolve import Resolved, ResolvedTask, resolve
from .saved import SavedRun
from .sizing import Sizing, fit, memory_budget, most_filled, narrower

CALL_FLOP = 2e11  # work of one call on a CPU, so that it can be stopped within seconds
MOST_STEPS = 8


class Prepared(NamedTuple):
    """A run before its first event."""

    pools: list[LanePool]
    arms: list[Arm]
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
            self.arms,
            self.pools,
            executor,
            keep_models=keep_models,
            keep_requests=keep_requests,
            jobs=self.jobs,
        )


def prepare_run(
    configs: Sequence[Config], saved: SavedRun | None = None, jobs: Sequence[Job] | None = None
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
    jobs = jobs_of(configs) if jobs is None else jobs
    loaded = load([resolve(config) for config in configs])
    if saved:
        return Prepared(*make_pools(loaded, saved.width), saved.sizing, jobs)
    for each in loaded:
        check_footprint(each.config, each.data_of)
    return _widest(loaded, jobs)


class Loaded(NamedTuple):
    """A resolved configuration and the data of each of its tasks."""

    resolved: Resolved
    data: tuple[TaskData, ...]

    @property
    def config(self) -> Config:
        """As it was given."""
        return self.resolved.config

    @property
    def data_of(self) -> dict[str, TaskData]:
        """By the name of a task's table; copies of a task share theirs."""
        copies = [name for name, task in self.config.tasks.items() for _ in range(task.copies)]
        return dict(zip(copies, self.data, strict=True))


def load(configs: Sequence[Resolved]) -> list[Loaded]:
    """Load the data of all tasks; equal tasks share theirs.

    Raises:
        DataError: data is missing or broken, or cannot be divided over so many clients.
    """
    shared: dict[tuple, TaskData] = {}
    return [
        Loaded(resolved, tuple(_data(resolved, task, shared) for task in resolved.tasks))
        for resolved in configs
    ]


def _data(resolved: Resolved, task: ResolvedTask, shared: dict[tuple, TaskData]) -> TaskData:
    """A task's data as the algorithm sees it."""
    kind, settings = task.kind, task.settings
    source = kind.load, kind.dataset or settings.dataset, settings.test_samples
    if source not in shared:
        shared[source] = kind.load_for(settings)
    if resolved.algorithm.pools_data:
        shared.setdefault(("pooled", *source), PooledData(shared[source]))
        source = ("pooled", *source)
    shared[source].check_num_clients(resolved.config.num_clients)
    return shared[source]


def _with_seeds_of(configs: Sequence[Config], jobs: Sequence[Job]) -> list[Config]:
    """Every configuration with as many seeds as it has jobs."""
    numbers = Counter(setting for setting, _ in jobs)
    return [
        config.model_copy(update={"num_seeds": numbers[setting]})
        for setting, config in enumerate(configs)
    ]


def _widest(loaded: Sequence[Loaded], jobs: Sequence[Job]) -> Prepared:
    """With the widest batches that fit and are filled; if none is, with the widest that fit."""
    configs = [each.config for each in loaded]
    fitting: list[Prepared] = []
    refusals: list[ConfigError] = []

    def sizes() -> Iterator[Sizing]:
        budget = memory_budget(configs[0])
        for width in narrower(_with_seeds_of(configs, jobs)):
            pools, arms = make_pools(loaded, width)
            try:
                sizing = fit(sizings(arms, pools, jobs, budget), budget, configs)
            except ConfigError as error:
                refusals.append(error)
            else:
                fitting.append(Prepared(pools, arms, sizing, in_groups(jobs, arms)))
                yield sizing

    chosen = most_filled(sizes())
    if chosen is None:
        raise refusals[-1]
    return next(prepared for prepared in fitting if prepared.sizing is chosen)


def make_pools(loaded: Sequence[Loaded], width: int) -> tuple[list[LanePool], list[Arm]]:
    """One pool for each combination of program and data, and the pools of each configuration."""
    pools: dict[tuple, LanePool] = {}
    arms = []
    largest = _largest_rounds(loaded)
    for resolved, data in loaded:
        pool_of = []
        for task, task_data in zip(resolved.tasks, data, strict=True):
            spec = _spec(resolved.config, task, task_data, width, largest[task.method.rule])
            key = spec.key, id(task_data)
            if key not in pools:
                pools[key] = LanePool(spec, task_data)
                engine = Engine(spec)
                check_method(task.method, engine.num_params, spec.dtype)
                check_local(task.method, engine.template)
            pool_of.append(list(pools).index(key))
        arms.append(Arm(resolved.config, resolved.algorithm, pool_of, resolved.rules))
    return list(pools.values()), arms


def _largest_rounds(loaded: Sequence[Loaded]) -> Counter[Rule]:
    """The most updates of one round, by the rule that closes it."""
    largest: Counter[Rule] = Counter()
    for each in loaded:
        most = each.resolved.algorithm.largest_round(each.config)
        for task in each.resolved.tasks:
            largest[task.method.rule] = max(largest[task.method.rule], most)
    return largest


def _spec(
    config: Config, task: ResolvedTask, data: TaskData, width: int, largest: int
) -> EngineSpec:
    kind, work, backend = task.kind, task.work, jax.default_backend()
    steps = MOST_STEPS
    if backend == "cpu":
        shapes = tuple(sorted(data.train_shapes.items()))
        flops = _step_flops(kind.build, data.shape, shapes, work.batch_size)
        steps = int(CALL_FLOP / (width * work.num_steps * max(flops, 1)))
    return EngineSpec(
        kind=kind,
        shape=data.shape,
        work=work,
        rule=task.method.rule,
        width=width,
        steps=min(max(steps, 1), MOST_STEPS),
        precision=config.machine.precision,
        backend=backend,
        num_devices=config.machine.num_devices or 1,
        most_updates=1 if task.method.rule.step else largest,
        local=task.method.local,
        is_proximal=task.settings.proximal > 0,
    )


@lru_cache(maxsize=256)
def _step_flops(build: Callable, shape: Shape, shapes: tuple, batch_size: int) -> int:
    """Traced once for all the settings and batch widths that differ in nothing of this."""
    return step_flops(build(shape), dict(shapes), batch_size)
