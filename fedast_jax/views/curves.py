"""What a run has measured over simulated time, as plain values that a page can hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ..results.figures import LEAST_SEEDS, held_mean
from ..results.summary import diverged_replicates
from ..study.recorded import Recorded
from .shown import Shown
from .thin import Table, plain_numbers, thinned

MOST_POINTS = 120_000  # of all single seeds' curves together
MOST_MEAN_POINTS = 60_000  # of all means together
MOST_STEPS = 60_000  # of all allocations together
LEAST_POINTS = 24  # of a curve: with fewer, seeds are left out instead


class Room(NamedTuple):
    """How much of it a page can hold."""

    num_points: int  # of a seed's curve
    num_seeds: int  # of each result that have curves of their own
    num_mean_points: int
    num_steps: int  # of an allocation

    @classmethod
    def of(cls, shown: Shown) -> Room:
        """What there is to share."""
        pairs = len(shown.results) * len(shown.tasks)
        num_seeds = min(shown.study.num_seeds, max(1, MOST_POINTS // (LEAST_POINTS * pairs)))
        return cls(
            max(LEAST_POINTS, MOST_POINTS // (pairs * num_seeds)),
            num_seeds,
            min(400, max(LEAST_POINTS, MOST_MEAN_POINTS // pairs)),
            max(LEAST_POINTS, MOST_STEPS // (pairs * num_seeds)),
        )


Rows = list[dict[str, Any]]


def all_curves(shown: Shown, room: Room) -> dict[str, Rows]:
    """Every curve by what it shows; ``v`` is the result, ``m`` the task, ``s`` the replicate."""
    curves: dict[str, Rows] = {
        "seeds": [], "means": [], "passages": [], "rounds": [], "arrivals": [], "allocations": [],
    }  # fmt: skip
    for number, result in enumerate(shown.results):
        for name, rows in _curves(result, shown.tasks, room).items():
            curves[name] += [{"v": number} | row for row in rows]
    return curves


def _curves(result: Recorded, tasks: list[str], room: Room) -> dict[str, Rows]:
    by_task = {name: table for name, table in result.evaluations.groupby("task", sort=False)}
    changes = {name: table for name, table in result.allocations().groupby("task", sort=False)}
    found: dict[str, Rows] = {"seeds": [], "means": [], "rounds": [], "allocations": []}
    for task in result.config.named_tasks:
        place = {"m": tasks.index(task.name)}
        tests = by_task.get(task.name, result.evaluations.iloc[:0])
        found["seeds"] += [place | row for row in _seed_curves(tests, task.settings.target, room)]
        found["means"] += [place | row for row in _means(result, task.name, tests, room)]
        found["rounds"] += [place | row for row in _progress(tests, "round", room)]
        steps = changes.get(task.name, result.allocations().iloc[:0])
        found["allocations"] += [place | row for row in _steps(result, steps, room)]
    passages = list(_passages(result, tasks))
    arrivals = list(_progress(result.evaluations, "arrivals", room))
    return found | {"passages": passages, "arrivals": arrivals}


def _seed_curves(tests: Table, target: float | None, room: Room) -> Iterator[dict[str, Any]]:
    """Accuracy (%) and loss of each seed, thinned; the first test at the target is kept."""
    for replicate, table in tests[tests.replicate < room.num_seeds].groupby("replicate"):
        accuracy, loss = table.accuracy.to_numpy(float), _losses(table)
        passed = np.flatnonzero(accuracy >= target)[:1] if target is not None else []
        kept = thinned(accuracy, room.num_points, [int(place) for place in passed])
        yield {
            "s": int(replicate),  # type: ignore[arg-type]
            "t": plain_numbers(table.time.to_numpy()[kept]),
            "a": plain_numbers(100 * accuracy[kept]),
            "l": plain_numbers(loss[kept]),
            "n": len(table),
        }


def _losses(tests: Table) -> np.ndarray:
    return tests.loss.to_numpy(float) if "loss" in tests else np.full(len(tests), np.nan)


def _means(result: Recorded, task: str, tests: Table, room: Room) -> Iterator[dict[str, Any]]:
    """Mean and standard deviation over the seeds that did not diverge, as in the figures."""
    met = result.lanes[(result.lanes.task == task) & result.lanes.target_time.notna()]
    sound = tests[~tests.replicate.isin(diverged_replicates(result))]
    row: dict[str, Any] = {}
    for measure, scale, key in (("accuracy", 100, "a"), ("loss", 1, "l")):
        if measure not in sound:
            continue
        curve = held_mean(sound, measure, set(met.replicate))
        kept = thinned(curve.mean, room.num_mean_points)
        if not len(kept):
            continue
        band = np.where(curve.num_left >= LEAST_SEEDS, scale * curve.spread, np.nan)[kept]
        row |= {"t" + key: plain_numbers(curve.times[kept])}
        row |= {key: plain_numbers(scale * curve.mean[kept]), key + "s": plain_numbers(band)}
    if row:
        yield row


def _passages(result: Recorded, tasks: list[str]) -> Iterator[dict[str, Any]]:
    """Where each seed met its target, exactly."""
    met = result.lanes[result.lanes.target_time.notna()]
    for task, table in met.groupby("task", sort=False):
        yield {
            "m": tasks.index(str(task)),
            "s": table.replicate.tolist(),
            "t": table.target_time.tolist(),
            "a": plain_numbers(100 * table.accuracy),
            "l": plain_numbers(_losses(table)),
        }


def _progress(tests: Table, count: str, room: Room) -> Iterator[dict[str, Any]]:
    """A count over time: the mean over the seeds, as far as every seed goes."""
    if count not in tests or tests.empty:
        return
    curve = held_mean(tests.sort_values(["replicate", "time"], kind="stable"), count)
    kept = np.unique(np.linspace(0, len(curve.mean) - 1, min(60, room.num_mean_points)).astype(int))
    if len(curve.mean):
        yield {"t": plain_numbers(curve.times[kept]), "y": plain_numbers(curve.mean[kept])}


def _steps(result: Recorded, changes: Table, room: Room) -> Iterator[dict[str, Any]]:
    """R_m and b_m of each seed from change to change, and to its end."""
    ends = result.lanes.drop_duplicates("replicate").set_index("replicate").end_time
    for replicate, table in changes[changes.replicate < room.num_seeds].groupby("replicate"):
        active = table.num_active.to_numpy(float)
        buffers = table.buffer_size.to_numpy(float) if "buffer_size" in table else active * np.nan
        kept = thinned(active, room.num_steps)
        end = float(_number(ends.get(replicate), table.time.max()))
        yield {
            "s": int(replicate),  # type: ignore[arg-type]
            "t": plain_numbers([*table.time.to_numpy()[kept], end]),
            "R": plain_numbers([*active[kept], active[-1]]),
            "b": plain_numbers([*buffers[kept], buffers[-1]]),
        }


def _number(value: Any, otherwise: float) -> float:
    return otherwise if value is None or not np.isfinite(value) else value


def notes(shown: Shown, room: Room, curves: Mapping[str, Rows]) -> list[str]:
    """What the page leaves out, one sentence each."""
    found = []
    if shown.num_left_out:
        found.append(
            f"The curves are those of the first {len(shown.results):,} of "
            f"{len(shown.study.results):,} configurations; the summary has them all."
        )
    if room.num_seeds < shown.study.num_seeds:
        found.append(
            f"Single seeds are the first {room.num_seeds:,} of {shown.study.num_seeds:,}; means, "
            f"bands and dots are of all."
        )
    most = max((row["n"] for row in curves["seeds"]), default=0)
    if most > room.num_points:
        found.append(
            f"Of a seed with more than {room.num_points:,} tests (the longest has {most:,}) the "
            f"lowest and the highest of every stretch are drawn, with its first, its last and the "
            f"first that meets the target; the target times are exact."
        )
    return found
