"""A replicate as a record: what it has measured, without what it was measured with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..algorithms.log import Allocation, EventLog
from ..results.records import STATUSES, Columns, LaneRecord, ReplicateRecord
from .replicate import Evaluation, Replicate

_EVALUATIONS = {
    "task": np.int64,
    "round": np.int64,
    "time": np.float64,
    "arrivals": np.int64,
    "metric": np.float64,
    "loss": np.float64,
}


def record_of(replicate: Replicate, *, has_ended: bool, keep_requests: bool) -> ReplicateRecord:
    """What a replicate has measured so far.

    Args:
        replicate: between two segments.
        has_ended: whether it is over; its timeline may end before that has been carried out.
        keep_requests: whether the record holds its requests.
    """
    timeline = replicate.timeline
    return ReplicateRecord(
        setting=replicate.setting,
        index=replicate.index,
        seed=replicate.seed,
        end_reason=timeline.end_reason if has_ended and timeline.end_reason else "interrupted",
        time=timeline.time,
        num_arrivals=timeline.num_arrivals,
        diverged=replicate.diverged,
        diverged_at=replicate.diverged_at,
        lanes=tuple(_lane(replicate, number, keep_requests) for number in _tasks(replicate)),
        evaluations=evaluation_columns(replicate.evaluations),
        allocations=_allocation_columns(timeline.allocations, len(replicate.lanes)),
        requests=_request_columns(timeline) if keep_requests else None,
    )


def evaluation_columns(evaluations: Sequence[Evaluation]) -> Columns:
    """A table of tests by its columns."""
    rows = zip(*evaluations, strict=True) if evaluations else [()] * len(_EVALUATIONS)
    return {
        name: np.array(column, kind)
        for (name, kind), column in zip(_EVALUATIONS.items(), rows, strict=True)
    }


def evaluation_rows(columns: Mapping[str, np.ndarray]) -> list[Evaluation]:
    """The inverse of ``evaluation_columns``."""
    table = (columns[name].tolist() for name in _EVALUATIONS)
    return [Evaluation(*row) for row in zip(*table, strict=True)]


def _tasks(replicate: Replicate) -> range:
    return range(len(replicate.lanes))


def _lane(replicate: Replicate, task: int, keep_requests: bool) -> LaneRecord:
    timeline, name = replicate.timeline, replicate.lanes[task].name
    rounds = timeline.rounds[task]
    return LaneRecord(
        task=name,
        metric=replicate.lanes[task].settings.metric,
        num_arrived=len(rounds.arrived),
        arrived=np.array(rounds.arrived if keep_requests else [], np.int64),
        round_end=np.array(rounds.end, np.int64),
        round_time=np.array(rounds.time, np.float64),
        round_event=np.array(rounds.event, np.int64),
        num_active=timeline.num_active[task],
        buffer_size=timeline.buffer_size[task],
        mean_staleness=timeline.mean_staleness(task),
        target_time=replicate.target_times.get(name),
        initial_model=replicate.initial_models.get(name),
        final_model=replicate.final_models.get(name),
    )


def _allocation_columns(changes: Sequence[Allocation], num_tasks: int) -> Columns:
    def by_task(rows: list[Any], kind: type) -> np.ndarray:
        return np.array(rows, kind).reshape(len(changes), num_tasks)

    unknown = (np.nan,) * num_tasks
    return {
        "time": np.array([change.time for change in changes], np.float64),
        "arrivals": np.array([change.arrivals for change in changes], np.int64),
        "num_active": by_task([change.num_active for change in changes], np.int64),
        "buffer_size": by_task([change.buffer_size for change in changes], np.int64),
        "sigma_hat": by_task([change.sigma_hat or unknown for change in changes], np.float64),
    }


def _request_columns(timeline: EventLog) -> Columns:
    columns, tasks = timeline.requests, range(len(timeline.rounds))
    used_round = np.full(len(columns), -1)
    status = np.full(len(columns), STATUSES.index("in_flight"), np.int8)
    for task in tasks:
        status[timeline.is_cancelled(task)] = STATUSES.index("cancelled")
        status[np.asarray(timeline.rounds[task].arrived, np.int64)] = STATUSES.index("buffered")
        status[np.asarray(timeline.rounds[task].dropped, np.int64)] = STATUSES.index("dropped")
        used, round_of = _used_rounds(timeline, task)
        status[used], used_round[used] = STATUSES.index("used"), round_of
    status[np.asarray(timeline.lost, np.int64)] = STATUSES.index("lost")
    return {
        "task": np.array(columns.task, np.int64),
        "client": np.array(columns.client, np.int64),
        "dispatched_at": np.array(columns.dispatched_at, np.float64),
        "started_at": np.array(columns.started_at, np.float64),
        "arrived_at": np.array(columns.arrives_at, np.float64),
        "base_round": np.array(columns.base_round, np.int64),
        "used_round": used_round,
        "status": status,
    }


def _used_rounds(timeline: EventLog, task: int) -> tuple[np.ndarray, np.ndarray]:
    """Requests that were used, in order of arrival, and the aggregation that used each."""
    rounds = timeline.rounds[task]
    sizes = np.diff(np.asarray(rounds.end, np.int64), prepend=0)
    used = np.asarray(rounds.arrived[: rounds.num_used], np.int64)
    return used, np.repeat(np.arange(len(rounds)), sizes)
