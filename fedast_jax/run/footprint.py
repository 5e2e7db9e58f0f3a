"""What planning a run takes on the host: known before anything large is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import jax
import psutil

from ..algorithms import get_algorithm
from ..config.errors import ConfigError, OutOfMemory
from ..config.settings import Config
from ..data.task_data import TaskData
from ..results.output import reason_of
from .sizing import BUDGET_SHARE, memory_budget

CLIENT_BYTES = 16  # of a client: its class, its speed, and whether a round has it
FULL = "RESOURCE_EXHAUSTED"  # what a device says that has no room left
REQUEST_BYTES = 1200  # of a request in flight, and of those before it while a probe runs: measured


def check_footprint(config: Config, data: Mapping[str, TaskData]) -> None:
    """Raise ConfigError where one replicate's clients and requests do not fit into the memory.

    Args:
        config: what to plan.
        data: of each task, by its name in ``config.tasks``.
    """
    parts = footprint(config, data)
    total, budget = sum(parts.values()), host_budget(config)
    if total > budget:
        way = ", or raise machine.memory_gib" if jax.default_backend() == "cpu" else ""
        raise ConfigError(
            f"planning one replicate takes about {total / 2**30:.2g} GiB of the host's memory, but "
            f"{budget / 2**30:.2g} GiB may be used; lower {max(parts, key=parts.__getitem__)}{way}"
        )


def footprint(config: Config, data: Mapping[str, TaskData]) -> dict[str, int]:
    """Bytes on the host for one replicate, by the number that they go with."""
    clients = CLIENT_BYTES * config.num_clients + sum(
        task.copies * data[name].partition_bytes(config.num_clients)
        for name, task in config.tasks.items()
    )
    parts = Counter({f"num_clients={config.num_clients}": clients})
    parts[_most_active(config)] += REQUEST_BYTES * in_flight(config)
    return parts


def in_flight(config: Config) -> int:
    """Requests of a replicate at once: sum R, or the clients of a synchronous round."""
    if get_algorithm(config.algorithm).is_synchronous:
        return config.max_active_clients or config.num_clients
    return sum(task.copies * task.num_active for task in config.tasks.values())


def largest_in_flight(configs: Sequence[Config]) -> int:
    """The most of any configuration."""
    return max(map(in_flight, configs))


def host_budget(config: Config) -> int:
    """Bytes of the host that a run may take: on a CPU they are the device's."""
    if jax.default_backend() == "cpu":
        return memory_budget(config)
    return int(BUDGET_SHARE * psutil.virtual_memory().available)


def _most_active(config: Config) -> str:
    """The number that most requests in flight go with."""
    if get_algorithm(config.algorithm).is_synchronous:
        most = config.max_active_clients
        return f"max_active_clients={most}" if most else f"num_clients={config.num_clients}"
    tasks = config.tasks
    name = max(tasks, key=lambda name: tasks[name].copies * tasks[name].num_active)
    if tasks[name].copies > 1:
        return f"tasks.{name}.copies={tasks[name].copies}"
    return f"tasks.{name}.num_active={tasks[name].num_active}"


@contextmanager
def within_memory() -> Iterator[None]:
    """Tell in one sentence that memory has run out, here or on a device.

    Raises:
        OutOfMemory: it has; what was kept before is kept.
    """
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, jax.errors.JaxRuntimeError) and FULL not in str(error):
            raise
        raise OutOfMemory(
            f"out of memory ({reason_of(error)}): free some and resume the run where it has "
            f"checkpoints, or begin it anew with a lower machine.memory_gib or machine.batch_width"
        ) from error
