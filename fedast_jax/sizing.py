"""How large a run becomes: batch width, resident replicates, events of a segment, rows, bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import psutil

from .config import Config, ConfigError

SEGMENT_BATCHES = 10  # full batches of a pool in one segment, about
LEAST_WINDOW = 32  # events of a replicate in one segment: fewer cost more planning
SPARE = 1.15  # rows beyond those that a probe needed
BUDGET_SHARE = 0.6  # of the free memory


class PoolNeeds(NamedTuple):
    """Measured by planning one replicate: rows of a pool for one replicate, and their bytes."""

    versions: int
    updates: int
    width: int  # of a batch: what the last one of a segment trains ahead
    version_bytes: int
    update_bytes: int
    fixed_bytes: int  # data and workspace, whatever the number of replicates

    def rows(self, num_replicates: int) -> tuple[int, int]:
        """Version rows and update rows for so many replicates."""
        return (
            int(self.versions * num_replicates * SPARE) + 2,
            int(self.updates * num_replicates * SPARE) + self.width,
        )

    def bytes(self, num_replicates: int) -> int:
        """Bytes on the device for so many replicates."""
        versions, updates = self.rows(num_replicates)
        return versions * self.version_bytes + updates * self.update_bytes + self.fixed_bytes


class Sizing(NamedTuple):
    """What the driver works with."""

    num_resident: int
    window: int  # events of a replicate in one segment
    needs: tuple[PoolNeeds, ...]

    @property
    def bytes(self) -> int:
        """Estimated bytes on the device."""
        return sum(need.bytes(self.num_resident) for need in self.needs)


def memory_budget(config: Config) -> int:
    """Bytes that a run may take on each device."""
    if config.memory_gib is not None:
        return int(config.memory_gib * 2**30)
    stats = jax.local_devices()[0].memory_stats() or {}
    share_of_host = psutil.virtual_memory().available // config.num_devices
    return int(BUDGET_SHARE * stats.get("bytes_limit", share_of_host))


def batch_width(configs: Sequence[Config]) -> int:
    """W: the configured width, or what suits the device and the number of lanes."""
    if configs[0].batch_width is not None:
        return configs[0].batch_width
    num_devices = configs[0].num_devices
    if jax.default_backend() == "cpu":
        return 16 * num_devices
    lanes = sum(config.num_seeds * len(config.named_tasks) for config in configs)
    width = min(1024, max(32, 1 << (24 * lanes).bit_length() - 1))
    return -(-width // num_devices) * num_devices


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


def too_large(needed: int, budget: int, configs: Sequence[Config]) -> ConfigError:
    """The error for a run that does not fit with one replicate resident."""
    tasks = [task for config in configs for task in config.named_tasks]
    largest = max(tasks, key=lambda task: task.settings.num_active)
    return ConfigError(
        f"one replicate needs about {needed / 2**30:.2g} GiB, but {budget / 2**30:.2g} GiB may be "
        f"used; lower tasks.{largest.name}.num_active={largest.settings.num_active} or "
        f"batch_width, or raise memory_gib"
    )


def fit(options: Iterable[Sizing], budget: int, configs: Sequence[Config]) -> Sizing:
    """The first of the options (largest first) that the budget allows.

    Raises:
        ConfigError: none fits; the message says which number to lower.
    """
    needed = 0
    for option in options:
        needed = option.bytes
        if needed <= budget:
            return option
    raise too_large(needed, budget, configs)
