"""A driver between two segments as plain values, and back: what a checkpoint holds.

Nothing in it depends on the clock but the seconds that are reported, so that a run that was stopped
and resumed plans the very segments that an uninterrupted one would have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..engine.planning.pool import LanePool
from ..engine.planning.schedule import FreeRows, LaneRows
from ..results.records import Counts, ReplicateRecord, Seconds
from .driver import Driver
from .executor import Contents, UsedRows
from .record import evaluation_columns, evaluation_rows
from .replicate import Replicate

_PLAIN = ("target_times", "initial_models", "final_models", "diverged", "diverged_at")


def snapshot_of(driver: Driver) -> dict[str, Any]:
    """All that a driver holds between two segments; what it has planned ahead is taken back."""
    driver.planner.settle()
    return {
        "counts": asdict(driver.counts),
        "seconds": asdict(driver.executor.seconds),
        "num_begun": driver.num_begun,
        "waiting": driver.waiting,
        "done": [record.to_plain() for record in driver.done],
        "resident": [_take_replicate(replicate) for replicate in driver.resident],
        "pools": [_take_pool(driver, pool) for pool in driver.pools],
    }


def restore_driver(driver: Driver, content: Mapping[str, Any]) -> None:
    """Make a new driver, of the same arms and pools, what another was."""
    driver.counts = Counts(**content["counts"])
    vars(driver.executor.seconds).update(asdict(Seconds(**content["seconds"])))
    driver.num_begun, driver.waiting = content["num_begun"], content["waiting"]
    driver.done = [ReplicateRecord.from_plain(record) for record in content["done"]]
    driver.resident[:] = [_put_back_replicate(driver, entry) for entry in content["resident"]]
    for pool, entry in zip(driver.pools, content["pools"], strict=True):
        _put_back_pool(driver, pool, entry)


def _take_replicate(replicate: Replicate) -> dict[str, Any]:
    """One replicate, but for what its rows hold."""
    return {
        "number": replicate.number,
        "setting": replicate.setting,
        "index": replicate.index,
        "timeline": replicate.timeline.snapshot(),
        "rows": [tuple(lane.rows) for lane in replicate.lanes],
        "evaluations": evaluation_columns(replicate.evaluations),
    } | {name: getattr(replicate, name) for name in _PLAIN}


def _put_back_replicate(driver: Driver, content: Mapping[str, Any]) -> Replicate:
    """The inverse of ``_take_replicate``, for a driver of the same arms."""
    replicate = driver.new_replicate(*(content[key] for key in ("number", "setting", "index")))
    replicate.timeline.restore(content["timeline"])
    for lane, rows in zip(replicate.lanes, content["rows"], strict=True):
        lane.rows = LaneRows(*rows)
    for evaluation in evaluation_rows(content["evaluations"]):
        replicate.keep(evaluation)
    for name in _PLAIN:
        setattr(replicate, name, content[name])
    return replicate


def _take_pool(driver: Driver, pool: LanePool) -> dict[str, Any]:
    return {
        "capacity": pool.capacity,
        "peak": pool.peak,
        "free": tuple(pool.free),
        "lanes": [(lane.replicate, lane.task) for lane in pool.lanes],
        "contents": tuple(driver.executor.read(pool, _used_rows(pool))),
    }


def _put_back_pool(driver: Driver, pool: LanePool, content: Mapping[str, Any]) -> None:
    lanes = [lane for replicate in driver.resident for lane in replicate.lanes]
    lane_of = {(lane.replicate, lane.task): lane for lane in lanes}
    pool.capacity, pool.peak = content["capacity"], content["peak"]
    pool.free = FreeRows(*content["free"])
    pool.lanes = [lane_of[entry] for entry in content["lanes"]]
    driver.executor.write(pool, _used_rows(pool), Contents(*content["contents"]))


def _used_rows(pool: LanePool) -> UsedRows:
    """The rows that the pool's lanes hold, lane by lane."""
    rows = [lane.rows for lane in pool.lanes]
    return UsedRows(
        [row for lane in rows for row in lane.versions.values()],
        [row for lane in rows for row in lane.updates.values()],
    )
