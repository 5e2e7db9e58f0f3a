"""What a run needs, measured by planning the first part of one replicate of each arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..data.task_data import TaskData
from ..engine.engine import Engine
from ..engine.planning.pool import LanePool
from ..engine.planning.schedule import mean_wave_width
from ..engine.workspace import COMPILER_BYTES, program_bytes, workspace_bytes
from ..results.records import LaneRecord
from .driver import Driver
from .executor import PlanOnly
from .footprint import largest_in_flight
from .groups import Group, groups_of
from .replicate import Arm, Job
from .sizing import (
    LEAST_WINDOW,
    MOST_LANES,
    PoolNeeds,
    Sizing,
    enough_resident,
    fewest_events,
    window,
)

PROBE_TURNS = 6
MANY_ACTIVE = 20_000  # requests in flight: from here on fewer turns, so that a probe ends
FEW_TURNS = 2


def sizings(
    arms: Sequence[Arm], pools: list[LanePool], jobs: Sequence[Job], budget: int
) -> Iterator[Sizing]:
    """Ways to run, the largest first: all replicates at once, half of them, ..., small windows.

    A way whose rows go beyond the budget is probed only until they do.
    """
    width, total = pools[0].spec.width, len(jobs)
    groups = groups_of(arms, jobs)
    empty = _without_rows(arms, pools, groups)
    in_flight = largest_in_flight([arm.config for arm in arms])
    fewest = fewest_events(in_flight, _turns(in_flight))
    least = max(LEAST_WINDOW, fewest)
    most_lanes = max(len(arm.pool_of) for arm in arms)
    room = budget - sum(needs.fixed_bytes for needs in empty)
    limit = _Limit([(needs.version_bytes, needs.update_bytes) for needs in empty], room)
    drivers = [_probe(arm, pools, least, width, limit) for arm in arms]
    narrowest = min(width for driver in drivers for width in wave_widths(driver))
    turns = max(1, total // enough_resident(width, narrowest))  # of about equal numbers
    num_resident = min(-(-total // turns), MOST_LANES // most_lanes)
    while True:
        events = max(least, *(_window(width, group, num_resident) for group in groups))
        needs = _needs(arms, pools, empty, events, num_resident, limit)
        yield Sizing(num_resident, events, needs, _fill(groups, drivers, width, num_resident))
        if num_resident == 1:
            break
        num_resident = (num_resident + 1) // 2
    fill = _fill(groups, drivers, width, 1)
    while events > fewest:
        events = max(events // 2, fewest)
        yield Sizing(1, events, _needs(arms, pools, empty, events, 1, limit), fill)


def _window(width: int, group: Group, num_resident: int) -> int:
    return window(width, len(group.pools), min(num_resident, group.num_jobs))


def _fill(
    groups: Sequence[Group], drivers: Sequence[Driver], width: int, num_resident: int
) -> float:
    """Share of a batch that is filled, in the pool for which it is least."""
    fills = [
        min(num_resident, group.num_jobs) * _least_fill(drivers[arm], width)
        for group in groups
        for arm in group.arms
    ]
    return min(1.0, *fills)


def _least_fill(driver: Driver, width: int) -> float:
    """Share of a batch that one replicate can fill, of the least filled pool that it trains in."""
    return min(sum(widths) / width for widths in _widths_by_pool(driver).values())


def _widths_by_pool(driver: Driver) -> dict[int, list[float]]:
    """Requests that can be trained at once, by pool, one number for each lane."""
    by_pool: dict[int, list[float]] = {}
    for pool, width in zip(driver.arms[0].pool_of, wave_widths(driver), strict=True):
        by_pool.setdefault(pool, []).append(width)
    return by_pool


def _needs(
    arms: Sequence[Arm],
    pools: list[LanePool],
    empty: list[PoolNeeds],
    events: int,
    num_resident: int,
    limit: _Limit,
) -> tuple[PoolNeeds, ...]:
    """What one of the resident replicates needs at most, whichever arm it is of."""
    drivers = [_probe(arm, pools, events, _share(arm, empty, num_resident), limit) for arm in arms]
    probed = zip(*(driver.pools for driver in drivers), strict=True)
    return tuple(_with_rows(needs, copies) for needs, copies in zip(empty, probed, strict=True))


def _share(arm: Arm, empty: Sequence[PoolNeeds], num_resident: int) -> int:
    """Of a batch, for one replicate: a wider one would train further ahead."""
    needs = [empty[pool] for pool in arm.pool_of]
    return max(-(-need.width // min(num_resident, need.most)) for need in needs)


def _with_rows(needs: PoolNeeds, probed: Sequence[LanePool]) -> PoolNeeds:
    """With the most rows that a probe of any arm used of a pool."""
    versions, updates = (max(pool.peak[part] for pool in probed) for part in range(2))
    held = [max(pool.most_held[part] for pool in probed) for part in range(2)]
    spec = probed[0].spec
    is_cpu = spec.backend == "cpu"  # elsewhere the host holds what is to be saved
    most_updates = held[1] + needs.previous
    all_copies = held[0] * needs.version_bytes + most_updates * needs.update_bytes
    saved = is_cpu * all_copies // spec.num_devices
    return needs._replace(versions=versions, updates=updates, saved_bytes=saved)


class _TooMany(Exception):
    """The rows that a probe uses are more than the memory can hold."""


class _Limit(NamedTuple):
    """How far a probe goes."""

    row_bytes: Sequence[tuple[int, int]]  # of a version and an update of each pool
    room: int  # bytes for them

    def check(self, driver: Driver) -> None:
        """Raise _TooMany where the rows in use are more than there is room for."""
        pairs = zip(driver.pools, self.row_bytes, strict=True)
        used = sum(pool.peak[part] * each[part] for pool, each in pairs for part in range(2))
        if used > self.room:
            raise _TooMany


def _probe(arm: Arm, pools: list[LanePool], events: int, width: int, limit: _Limit) -> Driver:
    """Plan the first part of one replicate alone, in batches of a given width."""
    config = arm.config
    tasks = config.named_tasks
    largest = arm.algorithm.largest_round(config)
    active = max(sum(task.settings.num_active for task in tasks), len(tasks) * largest)
    most = _turns(active) * active + 2 * events
    if config.max_updates is not None:
        most = min(most, config.max_updates)
    probe = config.model_copy(update={"num_seeds": 1, "max_updates": most})
    copies = [LanePool(replace(pool.spec, width=width), pool.data) for pool in pools]
    for pool in copies:
        bound = 2 * active + events + width
        pool.grow(bound, bound)
    driver = Driver([arm._replace(config=probe)], copies, PlanOnly(), on_segment=limit.check)
    with suppress(_TooMany):
        driver.run(1, events)
    return driver


def _turns(in_flight: int) -> int:
    """Times that all active requests turn over while a probe runs."""
    return PROBE_TURNS if in_flight < MANY_ACTIVE else FEW_TURNS


def _without_rows(
    arms: Sequence[Arm], pools: list[LanePool], groups: Sequence[Group]
) -> list[PoolNeeds]:
    """What each pool needs beside its rows. Data that pools share counts for the first of them."""
    first = {id(pool.data): pool for pool in reversed(pools)}
    is_cpu = pools[0].spec.backend == "cpu"  # the process holds all, its own copy of the data too
    needs = []
    for number, pool in enumerate(pools):
        copies = pool.spec.num_devices if is_cpu else 1  # its parts all live in one memory
        fixed = copies * workspace_bytes(pool.spec, pool.data)
        fixed += program_bytes(pool.spec, pool.data)
        fixed += (copies + is_cpu) * pool.shapes.bytes
        fixed += COMPILER_BYTES if is_cpu and number == 0 else 0
        if first[id(pool.data)] is pool:
            fixed += pool.data.num_bytes * (copies + is_cpu)
        clients = is_cpu * max(_clients_bytes(arm, number, pool.data) for arm in arms)
        version, update = Engine(pool.spec).row_bytes
        width = pool.spec.width
        row_bytes = copies * version, copies * update
        previous = max(_num_previous(arm, number, pool) for arm in arms)
        most = next(group.num_jobs for group in groups if number in group.pools)
        needs.append(
            PoolNeeds(0, 0, width, *row_bytes, fixed, clients, previous=previous, most=most)
        )
    return needs


def _clients_bytes(arm: Arm, pool: int, data: TaskData) -> int:
    lanes = list(arm.pool_of).count(pool)
    return lanes * data.partition_bytes(arm.config.num_clients)


def _num_previous(arm: Arm, number: int, pool: LanePool) -> int:
    """Update rows of a replicate that come to hold each client's last update."""
    is_needed = "previous" in pool.spec.rule.needs
    return is_needed * list(arm.pool_of).count(number) * arm.config.num_clients


def wave_widths(driver: Driver) -> list[float]:
    """Of every lane of the first replicate: how many of its requests can be trained at once."""
    record = driver.records()[0]
    assert record.requests is not None
    base = record.requests["base_round"]
    return [_wave_width(base, lane) for lane in record.lanes]


def _wave_width(base_round: np.ndarray, lane: LaneRecord) -> float:
    ends = lane.round_end.tolist()
    used = lane.arrived[: ends[-1] if ends else 0]
    return mean_wave_width(base_round[used].tolist(), ends)
