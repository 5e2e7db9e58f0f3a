"""A run laid out to its end without training: how long, how full, how large."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from typing import Any

from ..config.errors import ConfigError
from ..config.shipped import Source, check_overrides
from ..engine.engine import Engine
from ..engine.planning.pool import LanePool
from ..results.records import PlanReport
from .devices import settle
from .driver import Driver
from .executor import PlanOnly
from .prepare import Prepared, prepare_run
from .probe import wave_widths
from .resolve import load_config
from .simulate import precision
from .sizing import PoolNeeds


def plan(*sources: Source, overrides: Iterable[str] = (), **settings: Any) -> PlanReport:
    """Plan a whole run without training: targets are never met, so it is the longest possible.

    Args:
        sources: what runs together, each as for ``simulate``.
        overrides: a list of ``key=value``, for each of them.
        settings: more of them by key, for each: ``time_limit=300``.
    Raises:
        ConfigError, DataError: as ``simulate_together``.
    """
    overrides = check_overrides(overrides)
    configs = [load_config(source, overrides, **settings) for source in sources]
    if not configs:
        raise ConfigError("nothing to plan: give at least one configuration")
    configs = settle(configs)
    with precision(configs):
        prepared = prepare_run(configs)
        driver, start = prepared.driver(PlanOnly()), time.perf_counter()
        driver.run(prepared.sizing.num_resident, prepared.sizing.window)
        return report(driver, prepared, time.perf_counter() - start)


def report(driver: Driver, prepared: Prepared, seconds: float) -> PlanReport:
    """What a driver that has planned everything says of the run."""
    sizing, counts = prepared.sizing, driver.counts
    events = sum(record.num_arrivals for record in driver.done)
    return PlanReport(
        events=events,
        seconds=seconds,
        events_per_second=events / seconds,
        batches=counts.batches,
        batch_width=driver.pools[0].spec.width,
        fill=counts.fill,
        mean_wave_width=statistics.mean(wave_widths(driver)),
        segments=counts.segments,
        resident_replicates=sizing.num_resident,
        rows=[
            _pool_row(driver, number, pool, needs, sizing.num_resident)
            for number, (pool, needs) in enumerate(zip(driver.pools, sizing.needs, strict=True))
        ],
        memory_bytes=sizing.bytes,
        simulated_time=max(record.time for record in driver.done),
    )


def _pool_row(
    driver: Driver, number: int, pool: LanePool, needs: PoolNeeds, num_resident: int
) -> dict[str, Any]:
    return {
        "kind": pool.spec.kind.name,
        "version_rows": pool.capacity[0],
        "update_rows": pool.capacity[1],
        "previous_rows": needs.previous_rows(num_resident),
        "most_version_rows_used": pool.peak[0],
        "most_update_rows_used": pool.peak[1],
        "parameters": Engine(pool.spec).num_params,
        "bytes": needs.bytes(num_resident),
        "arrivals": _arrivals(driver, number),
        "examples_per_update": pool.spec.work.num_steps * pool.spec.work.batch_size,
    }


def _arrivals(driver: Driver, pool: int) -> int:
    """Of all lanes of a pool."""
    return sum(
        lane.num_arrived
        for record in driver.done
        for lane, pool_of_lane in zip(
            record.lanes, driver.arms[record.setting].pool_of, strict=True
        )
        if pool_of_lane == pool
    )
