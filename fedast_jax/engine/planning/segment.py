"""One segment of a pool planned by list scheduling, plain or compiled: the very same steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, chain
from types import ModuleType

import numpy as np

from ...config.compiled import SWITCH
from .schedule import FreeRows, LaneRows, LaneWork, OutOfRows, Schedule, mark_rounds, schedule


def scheduler() -> Callable[..., tuple[Schedule, list[LaneRows]]]:
    """``schedule``, or what plans the very same by compiled loops, once these are worth it."""
    kernels = SWITCH.load(_kernels) if SWITCH.is_on(0) else None
    return schedule if kernels is None else partial(_schedule, kernels)


def _kernels() -> ModuleType:
    from . import compiled_schedule

    return compiled_schedule


def _schedule(
    kernels: ModuleType,
    works: Sequence[LaneWork],
    lanes: Sequence[LaneRows],
    free: FreeRows,
    width: int,
    most_updates: int,
) -> tuple[Schedule, list[LaneRows]]:
    table, requests, ends = _tables(works, lanes)
    num_requests, num_rounds = requests.shape[1], len(ends)
    versions, updates = (
        _next_rows(free.versions, num_rounds),
        _next_rows(free.updates, num_requests),
    )
    at, stops = np.zeros(6, np.int64), np.empty((2, num_requests + num_rounds + 1), np.int64)
    slots, rounds = np.empty((4, num_requests), np.int64), np.empty((4, num_rounds), np.int64)
    used = np.empty(num_requests, np.int64)
    why = kernels.plan_steps(
        *(at, width, most_updates, table, requests, ends, versions, updates),
        *(slots, rounds, stops, used),
    )
    if why == kernels.OUT_OF_ROWS:
        raise OutOfRows
    if why == kernels.TOO_LARGE:
        raise ValueError(f"a round of more updates than {most_updates}, which a step takes")
    num_slots, num_rounds, num_steps, num_used, *_ = at.tolist()
    del (
        free.updates[len(free.updates) - num_slots :],
        free.versions[len(free.versions) - num_rounds :],
    )
    slot_stop, round_stop = stops[:, :num_steps].tolist()
    lane, request, base_row, update_row = slots[:, :num_slots].tolist()
    round_lane, source, target, update_stop = rounds[:, :num_rounds].tolist()
    plan = Schedule(
        *(lane, request, base_row, update_row, slot_stop),
        *(round_lane, source, target, update_stop, round_stop),
        used[:num_used].tolist(),
    )
    ended = _lanes_after(plan, lanes)
    return mark_rounds(plan, works, ended), ended


def _tables(
    works: Sequence[LaneWork], lanes: Sequence[LaneRows]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``lanes``, ``requests`` and ``ends`` as ``plan_steps`` takes them."""
    counts = [[len(work.requests) for work in works], [len(work.round_ends) for work in works]]
    due = [max(work.num_needed, work.round_ends[-1] if work.round_ends else 0) for work in works]
    rows = [lane.versions[lane.version] for lane in lanes]
    first, first_end = ([0, *accumulate(column)] for column in counts)
    base_rows, waits, updates = [], [], []
    for work, (version, versions, known) in zip(works, lanes, strict=True):
        base_rows += [versions.get(base, -1) for base in work.bases]
        waits += [base - version - 1 for base in work.bases]
        updates += [known.get(request, -1) for request in work.requests]
    requests = list(chain.from_iterable(work.requests for work in works))
    return (
        np.array([first, first_end, [*due, 0], [*rows, 0]], np.int64),
        np.array([requests, base_rows, waits, updates], np.int64),
        np.array([*chain.from_iterable(work.round_ends for work in works)], np.int64),
    )


def _next_rows(free: list[int], most: int) -> np.ndarray:
    """The next rows to hand out, at most so many, in order."""
    return np.array(free[: -1 - most : -1], np.int64)


def _lanes_after(plan: Schedule, lanes: Sequence[LaneRows]) -> list[LaneRows]:
    """The lanes' rows after a plan."""
    after = [[lane.version, dict(lane.versions), dict(lane.updates)] for lane in lanes]
    for lane, request, row in zip(
        plan.slot_lane, plan.slot_request, plan.slot_update_row, strict=True
    ):
        after[lane][2][request] = row
    for lane, row in zip(plan.round_lane, plan.round_target_row, strict=True):
        after[lane][0] += 1
        after[lane][1][after[lane][0]] = row
    return [LaneRows(*lane) for lane in after]
