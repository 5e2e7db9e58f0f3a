"""One replicate's requests as a timeline: who trains when, when rounds close, what is in flight."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..study.recorded import Recorded
from .thin import Table

BUFFERED = ("used", "buffered")  # statuses of updates that went into a buffer


class Timeline(NamedTuple):
    """What a trace and a picture show of one replicate."""

    name: str  # of the result
    tasks: list[str]
    requests: Table
    """In order of dispatch, with ``begin`` and ``end`` of each training (no number: it has none)
    and ``left_at``, when it was in flight no more (infinite: never)."""
    rounds: Table
    """``task``, ``round`` (from 0), ``time``, ``updates``; ``mean`` and ``most`` staleness."""
    tests: Table
    changes: Table  # R_m and b_m whenever they changed
    lanes: Table
    end_time: float


def make_timeline(name: str, result: Recorded, requests: Table, replicate: int) -> Timeline:
    """From the tables of a run.

    Args:
        name: of the result.
        result: its tables.
        requests: of the replicate.
        replicate: its number.
    """
    tests, changes, lanes = (
        table[table.replicate == replicate].reset_index(drop=True)
        for table in (result.evaluations, result.allocations(), result.lanes)
    )
    end_time = float(lanes.end_time.max()) if len(lanes) else 0.0
    rounds = _rounds(requests, tests)
    whole = _trainings(requests, end_time).assign(left_at=_left_at(requests, rounds))
    tasks = [task.name for task in result.config.named_tasks]
    return Timeline(name, tasks, whole, rounds, tests, changes, lanes, end_time)


def in_rounds(requests: Table) -> bool:
    """Whether all requests of a version are dispatched at once and none is used late.

    So it is where rounds are synchronous: all tasks' rounds end at the next dispatch. It is too
    where each task has a single request in flight, and then that holds as well.
    """
    used = requests[requests.used_round.notna()]
    is_fresh = (used.used_round.astype(float) == used.base_round).all()
    starts = requests.groupby(["task", "base_round"]).dispatched_at.nunique()
    return bool(is_fresh and (starts <= 1).all())


def _rounds(requests: Table, tests: Table) -> Table:
    """When each aggregation was made: with its last update, or when all tasks' rounds ended."""
    used = requests[requests.used_round.notna()]
    used = used.assign(
        round=used.used_round.astype("int64"),
        staleness=(used.used_round.astype(float) - used.base_round),
    )
    by_round = used.groupby(["task", "round"], sort=False)
    table = by_round.agg(
        time=("arrived_at", "max"),
        updates=("request", "size"),
        mean=("staleness", "mean"),
        most=("staleness", "max"),
        dispatched_at=("dispatched_at", "max"),
    ).reset_index()
    if in_rounds(requests):
        table["time"] = _ends_together(requests, used, table)
    tested = tests.assign(round=tests["round"] - 1)[["task", "round", "time"]]
    known = table.merge(tested.rename(columns={"time": "tested"}), "left", ["task", "round"])
    table["time"] = known.tested.fillna(known.time).to_numpy(float)
    order = ["time", "task", "round"]
    return table.drop(columns="dispatched_at").sort_values(order, ignore_index=True)


def _ends_together(requests: Table, used: Table, table: Table) -> np.ndarray:
    """The next dispatch after each round's last update; of the last round its last update."""
    starts = np.append(np.unique(requests.dispatched_at), np.nan)
    following = starts[np.searchsorted(starts[:-1], table.time)]
    last = table.dispatched_at.map(used.groupby("dispatched_at").arrived_at.max())
    return np.where(np.isnan(following), last, following)


def _trainings(requests: Table, end_time: float) -> Table:
    """Each request with ``begin`` and ``end``: a client does one at a time, whatever became of it.

    What has no end of its own (lost, for one) ends with the run; all end where the client's next
    begins.
    """
    begin = requests.started_at.to_numpy(float)
    end = requests.arrived_at.to_numpy(float)
    end = np.where(np.isfinite(end), end, np.fmax(begin, end_time))
    order = np.lexsort((requests.request, begin, requests.client))
    client, begins = requests.client.to_numpy()[order], begin[order]
    following = np.append(np.where(client[1:] == client[:-1], begins[1:], np.inf), np.inf)
    ends = np.empty_like(end)
    ends[order] = np.fmin(end[order], np.fmax(following, begins))
    return requests.assign(begin=begin, end=np.where(np.isfinite(begin), ends, np.nan))


def _left_at(requests: Table, rounds: Table) -> np.ndarray:
    """When each request was in flight no more.

    What is cancelled leaves with its task's last round; in synchronous rounds with its own.
    """
    left = requests.arrived_at.to_numpy(float).copy()
    left[(requests.status == "in_flight").to_numpy()] = np.inf
    cancelled = (requests.status == "cancelled").to_numpy()
    if in_rounds(requests):
        closed = rounds.set_index(["task", "round"]).time
        keys = pd.MultiIndex.from_arrays([requests.task, requests.base_round])
        ends = closed.reindex(keys).to_numpy(float)
    else:
        ends = requests.task.map(rounds.groupby("task").time.max()).to_numpy(float)
    left[cancelled] = np.where(np.isfinite(ends), ends, left)[cancelled]
    return np.where(np.isfinite(left), left, np.inf)


def in_flight(timeline: Timeline, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Requests of a task in flight from each time on: ``float64[n]``, ``int64[n]``."""
    mine = timeline.requests[timeline.requests.task == task]
    times = np.concatenate([mine.dispatched_at, mine.left_at])
    return _counted(times, np.repeat([1, -1], len(mine)))


def buffered(timeline: Timeline, task: str) -> tuple[np.ndarray, np.ndarray]:
    """Updates in a task's buffer from each time on, as ``in_flight``."""
    mine = timeline.requests[timeline.requests.task == task]
    came = mine[mine.status.isin(BUFFERED)].arrived_at
    rounds = timeline.rounds[timeline.rounds.task == task]
    times = np.concatenate([came, rounds.time])
    return _counted(times, np.concatenate([np.ones(len(came)), -rounds.updates]))


def _counted(times: np.ndarray, steps: Any) -> tuple[np.ndarray, np.ndarray]:
    """A sum of steps at finite times, once a time."""
    finite = np.isfinite(times)
    found, place = np.unique(times[finite], return_inverse=True)
    sums = np.bincount(place, np.asarray(steps)[finite], len(found))
    return found, np.cumsum(sums).astype(np.int64)


def allocated(timeline: Timeline, task: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """``("R", times, values)`` and ``("b", ...)`` of a task."""
    mine = timeline.changes[timeline.changes.task == task]
    times = mine.time.to_numpy(float)
    yield "R", times, mine.num_active.to_numpy()
    if "buffer_size" in mine:
        yield "b", times, mine.buffer_size.to_numpy()
