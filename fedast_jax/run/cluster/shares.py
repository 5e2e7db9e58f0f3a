"""A share of a run: some of its replicates run by themselves, and all of them joined again."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...config.settings import Config
from ...results.records import RunRecord, join
from ...results.result import Result
from ..checkpoint import read_file, write_file
from ..devices import settle
from ..options import RunOptions
from ..replicate import Job
from ..simulate import results_of, run_jobs


def run_share(configs: Sequence[Config], jobs: Sequence[Job], options: RunOptions) -> RunRecord:
    """Run some replicates of a run.

    Args:
        configs: of the whole run; only those that the jobs need are prepared.
        jobs: which replicates.
        options: how.
    """
    settings = sorted({setting for setting, _ in jobs})
    renumbered = [(settings.index(setting), index) for setting, index in jobs]
    share = run_jobs(settle([configs[setting] for setting in settings]), renumbered, options)
    records = [replace(record, setting=settings[record.setting]) for record in share.replicates]
    return replace(share, replicates=tuple(records))


def merge(
    configs: Sequence[Config], shares: Sequence[RunRecord], wall_seconds: float
) -> list[Result]:
    """The results of the run that shares make up; of one that has not begun where there is none."""
    num_replicates = sum(config.num_seeds for config in configs)
    return results_of(configs, join(shares, num_replicates, wall_seconds))


def to_bytes(content: Any) -> bytes:
    """Plain values as the bytes of a checkpoint file."""
    buffer = io.BytesIO()
    write_file(buffer, content)
    return buffer.getvalue()


def from_bytes(data: bytes, sender: str) -> Any:
    """The inverse of ``to_bytes``.

    Raises:
        ResumeError: another version has written it, or it is damaged; names the sender.
    """
    return read_file(io.BytesIO(data), sender)
