"""What a folder's tables should hold, from the oracle's replicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...config.settings import Config
from ...oracle import OneReplicate
from ...oracle.state import TaskState
from ...results.records import NOTHING, STATUSES, Columns, LaneRecord, ReplicateRecord
from ...results.result import Result


def expected_result(config: Config, told: Sequence[OneReplicate]) -> Result:
    """As a run of these events would hand it out; it has trained nothing."""
    records = tuple(_record(config, index, one) for index, one in enumerate(told))
    run = replace(NOTHING, replicates=records, status="finished", keeps_requests=True)
    return Result.collect(config, 0, run)


def _record(config: Config, index: int, told: OneReplicate) -> ReplicateRecord:
    has_diverged = told.end_reason == "diverged"
    return ReplicateRecord(
        setting=0,
        index=index,
        seed=told.seed,
        end_reason=told.end_reason or "interrupted",
        time=told.now,
        num_arrivals=told.num_arrivals,
        diverged=told.evaluations[-1][0] if has_diverged else None,
        diverged_at=told.now if has_diverged else None,
        lanes=tuple(_lane(told, task) for task in told.tasks),
        evaluations=_evaluations(told),
        allocations=_allocations(told),
        requests=_requests(told),
    )


def _lane(told: OneReplicate, task: TaskState) -> LaneRecord:
    nothing = np.zeros(task.round)
    ages = [
        one.used_round - one.base_round
        for one in told.requests
        if one.task == task.index and one.used_round is not None
    ]
    return LaneRecord(
        task=task.name,
        metric=task.settings.metric,
        num_arrived=len(task.losses),
        arrived=np.zeros(0, np.int64),
        round_end=nothing,
        round_time=nothing,
        round_event=nothing,
        num_active=task.num_active,
        buffer_size=task.buffer_size,
        mean_staleness=float(np.mean(ages)) if ages else float("nan"),
        target_time=told.target_times.get(task.name),
    )


def _evaluations(told: OneReplicate) -> Columns:
    numbers = {task.name: task.index for task in told.tasks}
    rows = [(numbers[name], *rest) for name, *rest in told.evaluations]
    columns = zip(*rows, strict=True) if rows else [()] * 6
    names = ["task", "round", "time", "arrivals", "metric", "loss"]
    types = [np.int64, np.int64, np.float64, np.int64, np.float64, np.float64]
    return {
        name: np.array(column, kind)
        for name, column, kind in zip(names, columns, types, strict=True)
    }


def _allocations(told: OneReplicate) -> Columns:
    changes, shape = told.allocations, (len(told.allocations), len(told.tasks))
    unknown = (np.nan,) * len(told.tasks)
    sigmas = [unknown if one.sigma_hat is None else one.sigma_hat for one in changes]
    return {
        "time": np.array([one.time for one in changes], np.float64),
        "arrivals": np.array([one.arrivals for one in changes], np.int64),
        "num_active": np.array([one.num_active for one in changes], np.int64).reshape(shape),
        "buffer_size": np.array([one.buffer_size for one in changes], np.int64).reshape(shape),
        "sigma_hat": np.array(sigmas, np.float64).reshape(shape),
    }


def _requests(told: OneReplicate) -> Columns:
    requests = told.requests
    used = [-1 if one.used_round is None else one.used_round for one in requests]
    return {
        **{
            name: np.array([getattr(one, name) for one in requests], kind)
            for name, kind in [
                ("task", np.int64),
                ("client", np.int64),
                ("dispatched_at", np.float64),
                ("started_at", np.float64),
                ("arrived_at", np.float64),
                ("base_round", np.int64),
            ]
        },
        "used_round": np.array(used, np.int64),
        "status": np.array([STATUSES.index(one.status) for one in requests], np.int8),
    }
