"""What saved requests say: staleness, durations, waiting, and how the work lies on the clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..study.recorded import Folder, Recorded
from ..study.recorded_requests import has_requests, num_requests, read_requests
from .shown import Shown
from .thin import Table, plain_numbers

MOST_ROWS = 10_000_000  # requests read: of more, only the first replicates are
MOST_VALUES = 150  # of a distribution
ARRIVED = ("used", "buffered", "dropped")
LORENZ_POINTS = 100


class Load(NamedTuple):
    """How one result's work lies on its clients, of all replicates that were read together."""

    clients: int  # N times the replicates
    idle: int  # of them never asked
    fewest: int  # requests of a client
    median: float
    most: int
    gini: float  # of the time that clients worked: 0 is even, 1 is all by one
    busy: float  # share of the simulated time that a client works, the mean
    curve: np.ndarray  # shares of the work of the least loaded clients, float64[points]


class Work(NamedTuple):
    """What a page says of requests."""

    distributions: dict[str, list[dict[str, Any]]]
    loads: dict[int, Load]  # by result
    missing: list[str]  # folders without saved requests
    note: str


def work_of(shown: Shown) -> Work:
    """Of every result whose folder has its requests."""
    distributions: dict[str, list[dict[str, Any]]] = {"staleness": [], "duration": [], "wait": []}
    loads, tables, words = {}, {}, []
    for folder in shown.folders:
        if has_requests(folder):
            last = _last_replicate(folder)
            if last + 1 < folder.study.num_seeds:
                words.append(f"Of {folder.path.name} the first {last + 1} seeds are counted.")
            tables[id(folder)] = read_requests(folder, 0, last)
    for number, result in enumerate(shown.results):
        folder, place = shown.sources[number]
        if id(folder) in tables:
            table = tables[id(folder)][place]
            for name, rows in _distributions(table, shown.tasks).items():
                distributions[name] += [{"v": number} | row for row in rows]
            if len(table):
                loads[number] = load_of(table, result)
    missing = [str(folder.path) for folder in shown.folders if id(folder) not in tables]
    return Work(distributions, loads, missing, " ".join(words))


def _last_replicate(folder: Folder) -> int:
    num_seeds = folder.study.num_seeds
    each = max(1, num_requests(folder) // max(1, num_seeds))
    return min(num_seeds, max(1, MOST_ROWS // each)) - 1


def _distributions(table: Table, tasks: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Of each task: staleness of the updates used, duration and waiting of what has arrived."""
    found: dict[str, list[dict[str, Any]]] = {"staleness": [], "duration": [], "wait": []}
    for task, mine in table.groupby("task", sort=False):
        place = {"m": tasks.index(str(task))}
        used = mine[mine.used_round.notna()]
        came = mine[mine.status.isin(ARRIVED)]
        times = {
            "staleness": used.used_round.astype(float) - used.base_round,
            "duration": came.arrived_at - came.started_at,
            "wait": came.started_at - came.dispatched_at,
        }
        for name, values in times.items():
            found[name] += [place | row for row in _spread_out(values.to_numpy(float))]
    return found


def _spread_out(values: np.ndarray) -> list[dict[str, Any]]:
    """Which share (%) of some values is at most x, at every value or, of many, at even shares."""
    values = np.sort(values[np.isfinite(values)])
    if not len(values):
        return []
    last = np.flatnonzero(np.diff(values, append=np.inf))  # of each value
    if len(last) > MOST_VALUES:
        last = last[np.linspace(0, len(last) - 1, MOST_VALUES).astype(np.int64)]
    row = {"x": plain_numbers(values[last]), "y": plain_numbers(100 * (last + 1) / len(values))}
    median, most = np.quantile(values, [0.5, 0.95])
    stats = plain_numbers([values.mean(), median, most, values[-1]])
    return [row | {"n": len(values), "stats": stats}]


def load_of(table: Table, result: Recorded) -> Load:
    """How the work of one result lies on its clients.

    Args:
        table: its requests.
        result: says how many clients there are and when each replicate ended.
    """
    num_clients = int(result.config.table["num_clients"])
    ends = result.lanes.drop_duplicates("replicate").set_index("replicate").end_time
    end = table.replicate.map(ends).to_numpy(float)
    begun = np.minimum(table.started_at.to_numpy(float), end)
    busy = np.nan_to_num(np.fmin(table.arrived_at.to_numpy(float), end) - begun)
    by_client = table.assign(busy=busy, count=1).groupby(["replicate", "client"])
    sums = by_client[["busy", "count"]].sum()
    clients = num_clients * table.replicate.nunique()
    idle = max(0, clients - len(sums))
    worked, counts = np.sort(sums.busy.to_numpy(float)), np.sort(sums["count"].to_numpy())
    whole = float(ends[ends.index.isin(table.replicate)].sum()) * num_clients
    return Load(
        clients,
        idle,
        0 if idle else int(counts[0]),
        _median(counts, idle),
        int(counts[-1]),
        gini(worked, idle),
        float(worked.sum()) / whole if whole > 0 else 0.0,
        lorenz(worked, idle),
    )


def _median(counts: np.ndarray, idle: int) -> float:
    """Of sorted counts and as many zeros as clients are idle."""
    count = len(counts) + idle
    middle = [(count - 1) // 2, count // 2]
    return float(np.mean([0 if place < idle else counts[place - idle] for place in middle]))


def gini(worked: np.ndarray, idle: int) -> float:
    """Gini's coefficient of sorted amounts and as many zeros as clients are idle."""
    count, total = len(worked) + idle, float(worked.sum())
    if not total:
        return 0.0
    ranks = np.arange(idle + 1, count + 1)
    return float((2 * ranks - count - 1) @ worked / (count * total))


def lorenz(worked: np.ndarray, idle: int) -> np.ndarray:
    """The share of all work that the least loaded share of the clients does, at even shares."""
    count = len(worked) + idle
    places = np.linspace(0, count, LORENZ_POINTS + 1)
    done = np.concatenate([[0.0], np.cumsum(worked)])
    total = done[-1] or 1.0
    return np.interp(places, np.arange(idle, count + 1), done, left=0.0) / total
