"""Sequential training: one task after another with FedAvg (Askin et al. 2024, Section 1).

All active clients work for the first task that is not finished; when it ends, the next one starts.
"""

from __future__ import annotations

from dataclasses import replace

from ..config.settings import Config
from . import sync
from .rounds import SyncTimeline


def first_open(open_tasks: list[int]) -> list[int]:
    """One task at a time; the clock goes on from task to task."""
    return open_tasks[:1]


RULES = replace(sync.RULES, tasks=first_open)


def make_timeline(config: Config, seed: int) -> SyncTimeline:
    """Lay out one replicate."""
    return sync.lay_out(RULES, config, seed, sync.keep_first(config))


def check(config: Config) -> None:
    """Raise ValueError where a round should keep more arrivals than it has clients."""
    sync.check_kept(config, sync.num_active(config), config.named_tasks[0].name)
