"""FedAST (Askin et al., UAI 2024, Algorithm 2), options S and D."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..allocation import PERIOD
from ..delays import Dispatches, client_speeds
from ..events import Limits
from ..timeline import TaskPlan, Timeline

if TYPE_CHECKING:
    from ..config import Config


def make_timeline(config: Config, seed: int) -> Timeline:
    """Lay out one replicate: R_m requests of every task over one pool of clients."""
    delays = config.delays
    classes = client_speeds(seed, config.num_clients, delays.speeds, delays.shares)
    dispatches = Dispatches(seed, config.num_clients, delays.law, classes, delays.speeds)
    plans = [
        TaskPlan(
            task.num_active,
            task.buffer_size,
            task.max_rounds,
            task.work.num_steps * task.step_time,
        )
        for _, task in config.named_tasks
    ]
    limits = Limits(config.max_updates, config.time_limit, config.max_active_clients)
    period = PERIOD if config.allocation == "dynamic" else None
    return Timeline(seed, plans, limits, dispatches, period)
