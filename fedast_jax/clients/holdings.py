"""Who holds which samples: one partition for each task of each replicate."""

from __future__ import annotations

from ..config.settings import TaskConfig
from ..data.task_data import Clients, TaskData
from .delays import Stream


def draw_holdings(
    data: TaskData,
    settings: TaskConfig,
    num_clients: int,
    *,
    seed: int,
    task: int,
    one_mix: bool = False,
) -> Clients:
    """Divide a task's data over the clients of one replicate; a function of the arguments alone.

    Args:
        data, settings, num_clients: what is divided, how, and over how many.
        seed: of the replicate.
        task: its number in the configuration.
        one_mix: whether a client draws its class proportions once, for all of its tasks.
    """
    key = (seed, Stream.PARTITION, task)
    shares_key = key[:2] if one_mix else key
    return data.partition(settings, num_clients, key, shares_key)
