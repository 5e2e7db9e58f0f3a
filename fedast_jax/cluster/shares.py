"""A share of a run: some of its replicates run by themselves, and all of them put together again.

What a share has measured travels as plain values, so that it can come from another process.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, TypeVar

import numpy as np

from ..config.settings import Config
from ..results.plain import flatten, unflatten
from ..run.driver import Counts, Driver, Job, jobs_of
from ..run.executor import PlanOnly, Seconds
from ..run.prepare import load_data, make_pools
from ..run.simulate import Ran, precision, run_jobs
from ..run.sizing import PoolNeeds, Sizing, batch_width
from ..run.snapshot import put_back_replicate, take_replicate

Share = dict[str, Any]
"""What some replicates measured, as ``saving.plain`` can write it down."""

Sums = TypeVar("Sums", Counts, Seconds)


def run_share(configs: Sequence[Config], jobs: Sequence[Job], **options: Any) -> Share:
    """Run some replicates of a run.

    Args:
        configs: of the whole run; only those that the jobs need are prepared.
        jobs: which replicates.
        options: as for ``simulate.run_jobs``.
    """
    settings = sorted({setting for setting, _ in jobs})
    ours = [(settings.index(setting), index) for setting, index in jobs]
    ran = run_jobs([configs[setting] for setting in settings], ours, **options)
    share = _take(ran)
    for one in share["replicates"]:
        one["setting"] = settings[one["setting"]]
    return share


def merge(
    configs: Sequence[Config],
    shares: Iterable[Share],
    wall_seconds: float,
    *,
    keep_models: bool,
    keep_requests: bool,
) -> Ran:
    """The run that shares make up: interrupted where a replicate is missing or has not ended.

    Counts and seconds are the sums over the shares. Nothing is put on a device.

    Args:
        configs: of the whole run.
        shares: with every replicate at most once.
        wall_seconds: of the whole run.
        keep_models, keep_requests: what the shares hold besides.
    """
    shares = list(shares)
    with precision(configs):
        width = max([share["width"] for share in shares], default=0) or batch_width(configs)
        pools, settings = make_pools(configs, load_data(configs), width)
        driver = Driver(
            settings, pools, PlanOnly(), keep_models=keep_models, keep_requests=keep_requests
        )
    driver.counts = _sum(Counts, [share["counts"] for share in shares])
    driver.executor.seconds = _sum(Seconds, [share["seconds"] for share in shares])
    _fill(driver, [one for share in shares for one in share["replicates"]])
    status = "interrupted" if driver.is_unfinished else "finished"
    return Ran(driver, _largest(shares), status, wall_seconds)


def to_bytes(content: Any) -> bytes:
    """Plain values as the bytes of an NPZ file without pickled objects."""
    tree, entries = flatten(content)
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    np.savez(buffer, tree=text, **entries)  # type: ignore[arg-type]
    return buffer.getvalue()


def from_bytes(data: bytes) -> Any:
    """The inverse of ``to_bytes``."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        entries = {name: file[name] for name in file.files if name != "tree"}
        return unflatten(json.loads(file["tree"].tobytes()), entries)


def _take(ran: Ran) -> Share:
    driver, sizing = ran.driver, ran.sizing
    return {
        "width": driver.pools[0].spec.width,
        "sizing": (sizing.num_resident, sizing.window, tuple(map(tuple, sizing.needs))),
        "counts": asdict(driver.counts),
        "seconds": asdict(driver.executor.seconds),
        "replicates": [take_replicate(one) for one in driver.done + driver.resident],
    }


def _fill(driver: Driver, contents: Sequence[Mapping[str, Any]]) -> None:
    """Give a new driver the replicates that have begun elsewhere, in its own order."""
    jobs = jobs_of([setting.config for setting in driver.settings])
    by_job = {(one["setting"], one["index"]): one for one in contents}
    assert len(by_job) == len(contents), "a replicate was counted twice"
    assert by_job.keys() <= set(jobs), "a replicate is of another run"
    found = [
        put_back_replicate(driver, {**by_job[job], "number": number})
        for number, job in enumerate(jobs)
        if job in by_job
    ]
    driver.done = [one for one in found if one.has_ended]
    driver.resident = [one for one in found if not one.has_ended]
    driver.waiting = [job for job in jobs if job not in by_job]


def _sum(kind: type[Sums], parts: Sequence[Mapping[str, Any]]) -> Sums:
    names = [one.name for one in fields(kind)]
    return kind(**{name: sum(part[name] for part in parts) for name in names})


def _largest(shares: Sequence[Share]) -> Sizing:
    """That of the share that needed most memory on its device."""
    found = [Sizing(0, 0, ())]
    for share in shares:
        num_resident, window, needs = share["sizing"]
        found.append(Sizing(num_resident, window, tuple(PoolNeeds(*one) for one in needs)))
    return max(found, key=lambda sizing: sizing.bytes)
