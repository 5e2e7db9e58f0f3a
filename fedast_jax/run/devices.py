"""What a configuration leaves to the machine: its devices, and clients side by side on each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from ..config.settings import Config
from ..engine.devices import asking_for, find_devices
from ..results.output import warn
from .tuned import kept_numbers

SIDE_BY_SIDE = 1 / 3  # of a task's requests in flight can be trained at once, about


def settle(configs: Sequence[Config], find: Callable[[], int] | None = None) -> list[Config]:
    """Configurations that run together, with all named that bits depend on and a machine decides.

    A configuration that names its devices, as that of a run folder does, takes nothing from what
    was measured on this machine: it is the same wherever it is run.

    Args:
        configs: those that name their devices keep them, and the others take them over; likewise
            the clients side by side.
        find: how many devices there are, on other machines perhaps, of which nothing was measured;
            None: the cores that this process may use.
    """
    given = [config.machine.num_devices for config in configs if config.machine.num_devices]
    number = given[0] if given else suitable(configs, (find or _all_cores)())
    measured = {} if given or find else tuned(configs, number)
    numbers = joined(config.machine.side_by_side for config in configs)
    return [named(config, number, measured | numbers) for config in configs]


def named(config: Config, num_devices: int, side_by_side: Mapping[str, int]) -> Config:
    """A configuration that names its devices; one that does already stays as it is."""
    if config.machine.num_devices is not None:
        return config
    settled: dict[str, Any] = {"num_devices": num_devices}
    if side_by_side:
        settled["side_by_side"] = {**side_by_side, **config.machine.side_by_side}
    machine = config.machine.model_copy(update=settled)
    return config.model_copy(update={"machine": machine})


def joined(tables: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """All of them as one; of two numbers for a kind the last."""
    return {kind: number for table in tables for kind, number in table.items()}


def tuned(configs: Sequence[Config], num_devices: int) -> dict[str, int]:
    """What ``fedast tune`` has found here for their kinds, in float32, where that is precise."""
    if any(config.machine.precision != "float32" for config in configs):
        return {}
    kinds = {task.kind: None for config in configs for task in config.tasks.values()}
    return kept_numbers(kinds, num_devices)


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
