"""FedAST (Askin et al., UAI 2024, Algorithm 2), options S and D."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from ..clients.delays import Dispatches, client_delays, request_time
from ..clients.presence import make_presence
from ..config.settings import Config
from ..config.tables import TaskConfig
from .allocation import PERIOD
from .async_state import TaskPlan
from .asynchronous import Timeline
from .authors import check_granules, rules_of
from .log import Limits
from .methods.bound import Bound
from .methods.record import Method


def make_timeline(config: Config, seed: int) -> Timeline:
    """Lay out one replicate: R_m requests of every task over one pool of clients."""
    return _make_timeline(config, seed, has_buffer=True)


def no_buffer(config: Config, seed: int) -> Timeline:
    """FedAST-NoBuffer: every arrival is a round, whatever R_m becomes."""
    return _make_timeline(config, seed, has_buffer=False)


def largest_round(config: Config) -> int:
    """The largest buffer that can arise: one task that has been given every request."""
    tasks = [task.settings for task in config.named_tasks]
    if len(tasks) == 1 and not rules_of(config).flight_granule:
        return tasks[0].buffer_size
    ratio = min(task.num_active / task.buffer_size for task in tasks)
    total = sum(task.num_active for task in tasks)
    granule = rules_of(config).flight_granule or total
    return max(math.ceil(total / ratio) + 1, math.ceil(total / granule))


def check(config: Config) -> None:
    """Raise ValueError where the requests cannot be shared out as they must be."""
    tasks, granule = config.named_tasks, rules_of(config).flight_granule
    if granule and config.allocation == "dynamic" and len(tasks) > 1:
        check_granules([task.settings.num_active for task in tasks], granule)


def check_single_task(config: Config) -> None:
    """Raise ValueError where there is more than one task."""
    if len(config.named_tasks) > 1:
        raise ValueError(
            f"algorithm {config.algorithm!r} trains one task, got {len(config.named_tasks)}; "
            f"choose 'fedast' or 'fedast_nobuffer' for several"
        )


def by_method(method: Method) -> Callable[[Config, int], Timeline]:
    """Algorithm 2 with another rule for what arrives: ``(config, seed) -> events``."""
    return partial(_make_timeline, has_buffer=method.buffer_size != 1, method=method)


def most_by_method(method: Method) -> Callable[[Config], int]:
    """``largest_round`` of a method."""
    return largest_round if method.buffer_size != 1 else lambda config: 1


def _make_timeline(
    config: Config, seed: int, *, has_buffer: bool, method: Method | None = None
) -> Timeline:
    rules = rules_of(config)
    delays = client_delays(config.delays, seed, config.num_clients)
    dispatches = Dispatches(seed, config.num_clients, *delays)
    plans = [
        TaskPlan(
            num_active=task.num_active,
            buffer_size=task.buffer_size if has_buffer else 1,
            max_rounds=task.max_rounds,
            duration_scale=time.scale,
            variance_scale=rules.variance_scale(
                task.client_lr, task.server_lr, task.work.num_steps
            ),
            keeps_buffer_size=not has_buffer,
            accepts=_accepts(method, task, config.num_clients),
            load=time.load,
        )
        for _, task in config.named_tasks
        for time in [request_time(config.delays, task)]
    ]
    limits = Limits(config.max_updates, config.time_limit, config.max_active_clients)
    period = PERIOD if config.allocation == "dynamic" else None
    presence = make_presence(config.availability, seed, config.num_clients)
    return Timeline(seed, plans, limits, dispatches, period, rules, presence)


def _accepts(
    method: Method | None, task: TaskConfig, num_clients: int
) -> Callable[[int, int], bool] | None:
    if method is None or method.accept is None:
        return None
    return Bound(method, task, num_clients).accepts
