"""How large a run becomes: batch width, resident replicates, events of a segment, rows, bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import jax
import psutil

from ..config.errors import ConfigError
from ..config.settings import Config

SEGMENT_BATCHES = 10  # full batches of a pool in one segment, about
LEAST_WINDOW = 32  # events of a replicate in one segment: fewer cost more planning
PROBE_WORK = 8_000_000  # requests in flight in all segments of a probe together: some seconds
MOST_LANES = 2**20  # of a run at once: ``schedule`` numbers them by 20 bits
SPARE = 1.15  # rows beyond those that a probe needed
BUDGET_SHARE = 0.6  # of the free memory
NARROWEST = 16  # W is not made less than this to fit
FULL = 0.9  # fill of the batches from which on a width counts as filled


class PoolNeeds(NamedTuple):
    """Measured by planning one replicate: rows of a pool for one replicate, and their bytes."""

    versions: int
    updates: int
    width: int  # of a batch: what the last one of a segment trains ahead
    version_bytes: int
    update_bytes: int
    fixed_bytes: int  # data, workspace and programs, whatever the number of replicates
    clients_bytes: int = 0  # of one replicate: which samples its clients hold
    saved_bytes: int = 0  # of one replicate: its rows' contents while a checkpoint is written
    previous: int = 0  # update rows of one replicate that hold each client's last update
    most: int = MOST_LANES  # replicates that train in it at all, at any time

    def rows(self, num_resident: int) -> tuple[int, int]:
        """Version rows and update rows where so many replicates are resident."""
        number = min(num_resident, self.most)
        return (
            int(self.versions * number * SPARE) + 2,
            int(self.updates * number * SPARE) + self.width + self.previous_rows(num_resident),
        )

    def previous_rows(self, num_resident: int) -> int:
        """Update rows among these that hold each client's last update."""
        return self.previous * min(num_resident, self.most)

    def bytes(self, num_resident: int) -> int:
        """Bytes where so many replicates are resident."""
        each = self.clients_bytes + self.saved_bytes
        held = each * min(num_resident, self.most)
        return self.row_bytes(num_resident) + held + self.fixed_bytes

    @property
    def previous_bytes(self) -> int:
        """Of one replicate, for each client's last update: the rows, and what is saved of them."""
        is_saved = self.saved_bytes > 0
        return self.previous * self.update_bytes * (1 + is_saved)

    def row_bytes(self, num_resident: int) -> int:
        """Bytes of the rows where so many replicates are resident."""
        versions, updates = self.rows(num_resident)
        return versions * self.version_bytes + updates * self.update_bytes


class Sizing(NamedTuple):
    """What the driver works with."""

    num_resident: int
    window: int  # events of a replicate in one segment
    needs: tuple[PoolNeeds, ...]
    fill: float = 1.0  # of the batches, estimated, while so many are resident

    @property
    def bytes(self) -> int:
        """Estimated bytes on the device; on a CPU of the process, beside Python and JAX."""
        return sum(need.bytes(self.num_resident) for need in self.needs)


def memory_budget(config: Config) -> int:
    """Bytes that a run may take on each device; on a CPU, on all of its devices together."""
    if config.machine.memory_gib is not None:
        return int(config.machine.memory_gib * 2**30)
    stats = jax.local_devices()[0].memory_stats() or {}
    total = stats.get("bytes_limit", psutil.virtual_memory().available)
    return int(BUDGET_SHARE * total)


def batch_width(configs: Sequence[Config]) -> int:
    """W: the configured width, or what suits the device and the number of lanes."""
    machine = configs[0].machine
    if machine.batch_width is not None:
        return machine.batch_width
    num_devices = machine.num_devices or 1
    if jax.default_backend() == "cpu":
        return 16 * num_devices
    lanes = sum(config.num_seeds * len(config.named_tasks) for config in configs)
    width = min(1024, max(32, 1 << (24 * lanes).bit_length() - 1))
    return -(-width // num_devices) * num_devices


def narrower(configs: Sequence[Config]) -> Iterator[int]:
    """The batch widths to try: the first that fits is taken; a configured one is the only one."""
    width = batch_width(configs)
    yield width
    machine = configs[0].machine
    num_devices = machine.num_devices or 1
    while machine.batch_width is None and width > max(NARROWEST, num_devices):
        width = max(width // 2 // num_devices, 1) * num_devices
        yield width


def most_filled(sizings: Iterable[Sizing]) -> Sizing | None:
    """Of sizings for ever narrower batches: the first that fills them, or else the first.

    A batch costs what its width costs, however few of its slots are used: a wide one that little
    memory leaves nearly empty is slower than a narrow full one.
    """
    widest = None
    for sizing in sizings:
        if sizing.fill >= FULL:
            return sizing
        widest = widest or sizing
    return widest


def enough_resident(width: int, narrowest: float) -> int:
    """Replicates that fill every batch: more would only take memory.

    Args:
        width: W.
        narrowest: requests that can be trained at once of the lane that has fewest.
    """
    return math.ceil(2 * width / max(narrowest, 1.0)) + 1


def window(width: int, num_pools: int, num_resident: int) -> int:
    """Events of one replicate in a segment, so that every pool gets some full batches."""
    return max(LEAST_WINDOW, -(-SEGMENT_BATCHES * width * num_pools // num_resident))


def fewest_events(in_flight: int, turns: int) -> int:
    """Events of one replicate in a segment, below which a probe would take minutes.

    Args:
        in_flight: requests, each of which costs planning in every segment.
        turns: times that all of them turn over.
    """
    return max(1, min(in_flight, turns * in_flight**2 // PROBE_WORK))


def too_large(smallest: Sizing, budget: int, configs: Sequence[Config]) -> ConfigError:
    """The error for a run whose smallest way does not fit."""
    return ConfigError(
        f"one replicate needs at least {smallest.bytes / 2**30:.2g} GiB, but "
        f"{budget / 2**30:.2g} GiB may be used; lower {_main_number(smallest, configs)} or "
        f"machine.batch_width, or raise machine.memory_gib"
    )


def _main_number(sizing: Sizing, configs: Sequence[Config]) -> str:
    """What most of the memory goes with: the number of clients, or of requests in flight."""
    by_client = sum(need.clients_bytes + need.previous_bytes for need in sizing.needs)
    if by_client > sizing.bytes / 2:
        return f"num_clients={max(config.num_clients for config in configs)}"
    tasks = [task for config in configs for task in config.named_tasks]
    largest = max(tasks, key=lambda task: task.settings.num_active)
    return f"tasks.{largest.name}.num_active={largest.settings.num_active}"


def fit(options: Iterable[Sizing], budget: int, configs: Sequence[Config]) -> Sizing:
    """The first of the options (largest first) that the budget allows.

    Raises:
        ConfigError: none fits; the message says which number to lower.
    """
    smallest = None
    for option in options:
        if option.bytes <= budget:
            return option
        smallest = option
    assert smallest is not None
    raise too_large(smallest, budget, configs)
