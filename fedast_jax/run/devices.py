"""How many devices share every batch, where a configuration leaves that to the machine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from ..config.settings import Config
from ..engine.devices import asking_for, find_devices
from ..results.output import warn

SIDE_BY_SIDE = 1 / 3  # of a task's requests in flight can be trained at once, about


def settle(configs: Sequence[Config], find: Callable[[], int] | None = None) -> list[Config]:
    """Configurations that run together, with the number of their devices named.

    Args:
        configs: those that name one keep it, and the others take it over.
        find: how many there are; None: the cores that this process may use.
    """
    given = [config.machine.num_devices for config in configs if config.machine.num_devices]
    number = given[0] if given else suitable(configs, (find or _all_cores)())
    return [named(config, number) for config in configs]


def named(config: Config, num_devices: int) -> Config:
    """A configuration that names its devices; one that does already stays as it is."""
    if config.machine.num_devices is not None:
        return config
    machine = config.machine.model_copy(update={"num_devices": num_devices})
    return config.model_copy(update={"machine": machine})


def suitable(configs: Sequence[Config], num_devices: int) -> int:
    """At most so many: the batch width can be divided by them, and each has something to train."""
    most = max(1, min(num_devices, trained_at_once(configs)))
    width = configs[0].machine.batch_width
    if width is None:
        return most
    return next(number for number in range(most, 0, -1) if width % number == 0)


def trained_at_once(configs: Sequence[Config]) -> int:
    """Requests of one kind that can be trained at once, about: of the task that has fewest."""
    fewest = min(task.settings.num_active for config in configs for task in config.named_tasks)
    return int(SIDE_BY_SIDE * fewest * sum(config.num_seeds for config in configs))


def _all_cores() -> int:
    """Devices, one a core; a sentence where JAX has begun to compute with fewer."""
    num_present, num_wanted = find_devices()
    if num_present < num_wanted:
        _warn_once(
            f"JAX has begun to compute with {num_present} of {num_wanted} cores as devices: "
            f"to use all, call {asking_for(num_wanted)} before; to say that this is meant, set "
            f"machine.num_devices={num_present}"
        )
    return num_present


@cache
def _warn_once(message: str) -> None:
    warn(message)
