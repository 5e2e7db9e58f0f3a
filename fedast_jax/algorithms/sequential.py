"""Sequential training: one task after another with FedAvg (Askin et al. 2024, Section 1).

All active clients work for the first task that is not finished; when it ends, the next one starts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import sync
from .sync import SyncTimeline

if TYPE_CHECKING:
    from ..config.settings import Config


class SequentialTimeline(SyncTimeline):
    """Rounds of one task at a time; the clock goes on from task to task."""

    def _tasks_in_round(self) -> list[int]:
        return self._open_tasks()[:1]


def make_timeline(config: Config, seed: int) -> SequentialTimeline:
    """Lay out one replicate."""
    return sync.lay_out(SequentialTimeline, config, seed, sync.keep_first(config))


def check(config: Config) -> None:
    """Raise ValueError where a round should keep more arrivals than it has clients."""
    sync.check_kept(config, sync.num_active(config), config.named_tasks[0].name)
