"""A timeline as Chrome trace events, which Perfetto reads: one text a moment, and when it is.

Tracks: of the server one a task with aggregations, tests and the target as instants, and one with
the allocations; counters of R_m, b_m, buffers and requests in flight; and one a client with its
trainings. What waits for a client is asynchronous, since it overlaps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from .thin import Table
from .timeline import Timeline, allocated, buffered, in_flight
from .window import Window

MOST_NS = 4e15  # what a trace's numbers hold exactly
UNITS = {10**9: "1 s", 10**6: "1 ms", 10**3: "1 us", 1: "1 ns"}
"""Nanoseconds of a trace for one unit of simulated time, and in words."""

Entry = tuple[int, str]
"""Nanoseconds, and one or several events as JSON with commas between them."""


class Clock(NamedTuple):
    """Simulated time as a trace's nanoseconds: whole, so that no sum is rounded into an overlap."""

    unit: int

    @classmethod
    def of(cls, last: float) -> Clock:
        """The finest that can hold a time."""
        return cls(next((unit for unit in UNITS if last * unit <= MOST_NS), 1))

    def ns(self, times: Any) -> np.ndarray:
        """Whole nanoseconds: ``int64`` of the same shape."""
        return np.rint(np.asarray(times, np.float64) * self.unit).astype(np.int64)


def micro(ns: int) -> str:
    """Nanoseconds as a trace writes them: in microseconds, exactly."""
    whole, rest = divmod(ns, 1000)
    return f"{whole}.{rest:03d}" if rest else str(whole)


class Tracks:
    """Numbers of processes and tracks, none used twice in a file: equal ones would be merged."""

    def __init__(self) -> None:
        self._numbers, self._waits = count(1), count(1)
        self.names: list[str] = []

    def process(self, name: str) -> int:
        """A new group of tracks."""
        number = next(self._numbers)
        self._name("process_name", name, number, 0)
        return number

    def track(self, name: str, process: int, place: int) -> int:
        """A new track at a place in its group."""
        number = next(self._numbers)
        self._name("thread_name", name, process, number)
        order = {"ph": "M", "name": "thread_sort_index", "pid": process, "tid": number}
        self.names.append(as_json(order | {"args": {"sort_index": place}}))
        return number

    def wait(self) -> int:
        """A new stretch of waiting."""
        return next(self._waits)

    def _name(self, kind: str, name: str, process: int, track: int) -> None:
        event = {"ph": "M", "name": kind, "pid": process, "tid": track, "args": {"name": name}}
        self.names.append(as_json(event))


def as_json(content: Any) -> str:
    """Compact JSON."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def events_of(timeline: Timeline, window: Window, clock: Clock, tracks: Tracks) -> Iterator[Entry]:
    """Every event of a timeline that a window shows, in no order."""
    server = tracks.process(f"{timeline.name}: server")
    for place, task in enumerate(timeline.tasks):
        track = tracks.track(task, server, place)
        yield from _rounds(timeline, task, window, clock, f'"pid":{server},"tid":{track}')
        for name, times, values in _counters(timeline, task):
            yield from _counter(name, times, values, window, clock, server)
    track = tracks.track("allocation", server, len(timeline.tasks))
    yield from _allocations(timeline, window, clock, f'"pid":{server},"tid":{track}')
    yield from _requests(timeline, window, clock, tracks)


def _instant(ns: int, name: str, place: str, told: dict[str, Any]) -> Entry:
    head = f'{{"ph":"i","s":"t","ts":{micro(ns)},"name":{as_json(name)},{place}'
    return ns, f'{head},"args":{as_json(told)}}}'


def _rounds(
    timeline: Timeline, task: str, window: Window, clock: Clock, place: str
) -> Iterator[Entry]:
    """Aggregations, tests, and where the target was met."""
    rounds = timeline.rounds[timeline.rounds.task == task]
    rounds = rounds[window.holds(rounds.time.to_numpy())]
    for row, ns in zip(rounds.to_dict("records"), clock.ns(rounds.time).tolist(), strict=True):
        told = {"updates": row["updates"], "version": row["round"] + 1}
        told |= {"mean_staleness": _known(row["mean"]), "most_staleness": _known(row["most"])}
        yield _instant(ns, f"round {row['round'] + 1}", place, told)
    tests = timeline.tests[timeline.tests.task == task]
    tests = tests[window.holds(tests.time.to_numpy())]
    for row, ns in zip(tests.to_dict("records"), clock.ns(tests.time).tolist(), strict=True):
        told = {"accuracy": _known(row["accuracy"]), "loss": _known(row.get("loss"))}
        name = f"test {100 * row['accuracy']:.1f}%"
        yield _instant(ns, name, place, told | {"version": int(row["round"])})
    met = timeline.lanes[timeline.lanes.task == task].target_time.dropna().to_numpy(float)
    met = met[window.holds(met)]
    yield from (_instant(ns, "target met", place, {}) for ns in clock.ns(met).tolist())


def _known(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _counters(timeline: Timeline, task: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for name, times, values in allocated(timeline, task):
        yield f"{name} {task}", times, values
    yield (f"buffer {task}", *buffered(timeline, task))
    yield (f"in flight {task}", *in_flight(timeline, task))


def _counter(
    name: str, times: np.ndarray, values: np.ndarray, window: Window, clock: Clock, process: int
) -> Iterator[Entry]:
    """Each change, and at the window's start what held before."""
    before = np.flatnonzero(times < window.start)[-1:]
    kept = np.append(before, np.flatnonzero(window.holds(times)))
    moments = clock.ns(np.maximum(times[kept], window.start)).tolist()
    head = f'{{"ph":"C","name":{as_json(name)},"pid":{process}'
    for ns, value in zip(moments, values[kept].tolist(), strict=True):
        yield ns, f'{head},"ts":{micro(ns)},"args":{{"value":{value}}}}}'


def _allocations(timeline: Timeline, window: Window, clock: Clock, place: str) -> Iterator[Entry]:
    for number, (time, rows) in enumerate(timeline.changes.groupby("time")):
        if not window.start <= float(time) < window.stop:  # type: ignore[arg-type]
            continue
        told = {"R": dict(zip(rows.task, rows.num_active.tolist(), strict=True))}
        if "buffer_size" in rows:
            told["b"] = dict(zip(rows.task, rows.buffer_size.tolist(), strict=True))
        name = "reallocation" if number else "first allocation"
        yield _instant(int(clock.ns(time)), name, place, told)


def _requests(timeline: Timeline, window: Window, clock: Clock, tracks: Tracks) -> Iterator[Entry]:
    """Each request as a training on its client's track, and before it its waiting."""
    all_of_it = timeline.requests
    last = all_of_it.end.fillna(all_of_it.dispatched_at).to_numpy(float)
    is_shown = window.overlaps(all_of_it.dispatched_at.to_numpy(float), last)
    table = all_of_it[is_shown & window.has_client(all_of_it.client.to_numpy())]
    clients = tracks.process(f"{timeline.name}: clients")
    places = {
        client: f'"pid":{clients},"tid":{tracks.track(f"client {client}", clients, client)}'
        for client in np.unique(table.client).tolist()
    }
    for row, moments in zip(table.to_dict("records"), _moments(table, clock), strict=True):
        yield from _request(row, moments, places[row["client"]], clients, tracks)


def _moments(table: Table, clock: Clock) -> list[list[int]]:
    """Dispatch, begin and end of each request, in nanoseconds; -1 where it has none."""
    columns = [table.dispatched_at, table.begin.fillna(-1 / clock.unit)]
    columns.append(table.end.fillna(-1 / clock.unit))
    return np.stack([clock.ns(column) for column in columns], axis=1).tolist()


def _request(
    row: dict[str, Any], moments: list[int], place: str, process: int, tracks: Tracks
) -> Iterator[Entry]:
    dispatched, begin, end = moments
    name, told = as_json(row["task"]), as_json(_told(row))
    if begin < 0:
        head = f'"ph":"i","s":"t","cat":"unstarted","name":{name}'
        yield dispatched, f'{{{head},"ts":{micro(dispatched)},{place},"args":{told}}}'
        return
    lasts = f'"ts":{micro(begin)},"dur":{micro(end - begin)}'
    yield begin, f'{{"ph":"X","cat":"training","name":{name},{lasts},{place},"args":{told}}}'
    if begin > dispatched:
        yield _waiting(row["client"], dispatched, begin, process, tracks, told)


def _waiting(client: int, since: int, until: int, process: int, tracks: Tracks, told: str) -> Entry:
    """From when to when a request waits for its client to be free."""
    name = f'"name":"waits for client {client}"'
    head = f'"cat":"waiting","id":{tracks.wait()},"pid":{process},{name}'
    opened = f'{{"ph":"b",{head},"ts":{micro(since)},"args":{told}}}'
    return since, f'{opened},\n{{"ph":"e",{head},"ts":{micro(until)}}}'


def _told(row: dict[str, Any]) -> dict[str, Any]:
    used = row["used_round"]
    staleness = None if pd.isna(used) else int(used) - int(row["base_round"])
    return {
        "request": int(row["request"]),
        "task": row["task"],
        "version": int(row["base_round"]),
        "staleness": staleness,
        "status": str(row["status"]),
    }
