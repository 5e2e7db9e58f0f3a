"""Blocks of a run's replicates: what one task of a cluster trains at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...config.errors import ConfigError, ResumeError
from ...config.plugins import import_modules
from ...config.settings import Config
from ...data.errors import DataError
from ..devices import SIDE_BY_SIDE
from ..options import RunOptions
from ..replicate import Job, jobs_of
from ..resolve import make_config
from ..saved import check_digests
from ..sizing import enough_resident
from .shares import run_share, to_bytes

BLOCKS_PER_WORKER = 4  # so that workers end at about the same time
LIKELY_WIDTH = 32  # W where the configuration leaves it to the device


def _never() -> bool:
    return False


def make_blocks(configs: Sequence[Config], num_workers: int) -> list[list[Job]]:
    """Cut the replicates into blocks, setting by setting.

    A block is large enough to fill batches, unless a worker would be left without one.
    """
    jobs = sorted(jobs_of(configs))
    even = -(-len(jobs) // (BLOCKS_PER_WORKER * num_workers))
    most = -(-len(jobs) // num_workers)
    size = min(max(even, enough_to_fill(configs)), most)
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]


def enough_to_fill(configs: Sequence[Config]) -> int:
    """Replicates of any of the settings that fill a batch together, about."""
    fewest = min(task.settings.num_active for config in configs for task in config.named_tasks)
    width = configs[0].machine.batch_width or LIKELY_WIDTH
    return enough_resident(width, SIDE_BY_SIDE * fewest)


def run_block(
    tables: Sequence[Mapping[str, Any]],
    jobs: Sequence[Job],
    keeps: Mapping[str, Any],
    imports: Sequence[str] = (),
    data: Mapping[str, str] | None = None,
    sign: Callable[[], bool] = _never,
) -> dict[str, Any]:
    """Run a block of the run that the tables of settings describe.

    Args:
        tables, jobs, keeps: which run, which of its replicates, what to keep.
        imports: modules that register what the tables name.
        data: digests of own tasks' data, as the run has it; None: not to be compared.
        sign: asked between calls of the device; True ends the block.
    Returns:
        ``share``, as bytes; or ``error``, a sentence.
    """
    try:
        import_modules(imports)
        configs = [make_config(table) for table in tables]
        if data is not None:
            check_digests(data, configs)
        share = run_share(configs, jobs, RunOptions(**keeps, is_stopped=sign))
    except (ConfigError, DataError, ResumeError, OSError) as error:
        return {"error": str(error)}
    return {"share": to_bytes(share.to_plain())}
