"""What claims and pictures are made of: numbers of each seed, read from a study's tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...config.grid import Point
from ...results.figures import GRID_POINTS, Curve, held_at
from ...results.summary import Measured, diverged_replicates
from ..outcomes import targets
from ..tables import StudyTables

LATE_SHARE = 0.1  # of the time shown: its tests are the end of a run


def points_by(study: StudyTables, key: str) -> dict[Any, list[Point]]:
    """The settings of the sweep by one of their values, in the sweep's order."""
    found: dict[Any, list[Point]] = {}
    for point in study.points:
        found.setdefault(point.get(key), []).append(point)
    return found


def key_of(study: StudyTables, ending: str) -> str:
    """The swept setting whose name ends so."""
    return next(key for key in study.points[0] if key.rpartition(".")[2] == ending)


def paired(*columns: pd.Series | pd.DataFrame) -> np.ndarray:
    """``float[seeds, columns]`` of the seeds that all have."""
    return pd.concat(columns, axis=1, join="inner").dropna().to_numpy(np.float64)


def last_time(result: Measured) -> pd.Series:
    """By seed: when the last target was met; where one was not, the end of the run."""
    return _times(result, "max")


def mean_time(result: Measured) -> pd.Series:
    """By seed: the mean over the tasks of when each met its target, or of the run's end."""
    return _times(result, "mean")


def task_time(result: Measured, task: str) -> pd.Series:
    """By seed: when a task met its target; no number where it did not."""
    lanes = _sound(result)
    return lanes[lanes.task == task].set_index("seed").target_time


def met(result: Measured) -> pd.Series:
    """By seed: whether every target was met."""
    lanes = _sound(result)
    return (
        lanes[lanes.task.isin(targets(result.config))]
        .groupby("seed")
        .target_time.agg(lambda times: times.notna().all())
    )


def paired_times(
    first: Measured, other: Measured, time_of: Callable[[Measured], pd.Series] = last_time
) -> pd.DataFrame:
    """By seed, two columns: times of the seeds in which at least one of two results got there.

    One that ended before its targets counts with its end, which is sooner than its targets.
    """
    columns = [time_of(first), time_of(other), met(first), met(other)]
    table = pd.concat(columns, axis=1, join="inner")
    there = table.iloc[:, 2:].astype(bool).any(axis=1)
    return table[there].iloc[:, :2].dropna()


def level(
    result: Measured,
    value: str = "accuracy",
    until: float | None = None,
    task: str | None = None,
) -> pd.Series:
    """By seed: the mean over the time shown, up to ``until``, and over the tasks (or of one)."""
    return _over_tests(result, value, lambda times: (0.0, until or times.max()), task)


def end_level(result: Measured, value: str = "accuracy") -> pd.Series:
    """By seed: the mean over the tasks and the tests of the last tenth of the time shown."""
    return _over_tests(result, value, lambda times: ((1 - LATE_SHARE) * times.max(), times.max()))


def unsteadiness(result: Measured, task: str, value: str = "accuracy") -> pd.Series:
    """By seed: how far a task's tests lie from a straight line in the second half of the time
    (root mean square): how often a method tests does not matter."""
    tests = _sound_tests(result, task)
    tests = tests[tests.time > tests.time.max() / 2]
    each = {
        seed: _off_line(np.asarray(one.time), np.asarray(one[value]))
        for seed, one in tests.groupby("seed")
    }
    return pd.Series(each, dtype=np.float64)


def shown_until(results: Sequence[Measured]) -> float:
    """The earliest end of several results: up to there all can be compared."""
    return min(float(result.evaluations.time.max()) for result in results)


def mean_curve(result: Measured, value: str = "accuracy", task: str | None = None) -> Curve:
    """Over simulated time: a seed's mean over its tasks (or one task), then over the seeds."""
    tests = _sound_tests(result, task)
    if tests.empty:
        return Curve(np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    grid = np.linspace(tests.groupby("seed").time.min().max(), tests.time.max(), GRID_POINTS)
    seeds = [_mean_over_tasks(of_seed, value, grid) for _, of_seed in tests.groupby("seed")]
    spread = np.std(seeds, axis=0, ddof=1) if len(seeds) > 1 else np.zeros(len(grid))
    return Curve(grid, np.mean(seeds, axis=0), spread, np.full(len(grid), len(seeds)))


def _mean_over_tasks(tests: pd.DataFrame, value: str, grid: np.ndarray) -> np.ndarray:
    curves = [
        held_at(of_task.time.to_numpy(), of_task[value].to_numpy(), grid)
        for _, of_task in tests.groupby("task")
    ]
    return np.mean(curves, axis=0)


def _off_line(times: np.ndarray, values: np.ndarray) -> float:
    if len(times) < 3:
        return np.nan
    line = np.polynomial.Polynomial.fit(times, values, 1)
    return float(np.sqrt(np.mean((values - line(times)) ** 2)))


def _over_tests(
    result: Measured,
    value: str,
    span: Callable[[pd.Series], tuple[float, float]],
    task: str | None = None,
) -> pd.Series:
    tests = _sound_tests(result, task)
    means = {}
    for seed, of_seed in tests.groupby("seed"):
        grid = np.linspace(*span(tests.time), GRID_POINTS)
        means[seed] = _mean_over_tasks(of_seed, value, grid).mean()
    return pd.Series(means, dtype=np.float64)


def _times(result: Measured, how: str) -> pd.Series:
    lanes = _sound(result)
    lanes = lanes[lanes.task.isin(targets(result.config))]
    filled = lanes.assign(target_time=lanes.target_time.fillna(lanes.end_time))
    return filled.groupby("seed").target_time.agg(how)


def _sound(result: Measured) -> pd.DataFrame:
    """The lanes of seeds that have ended, and not by diverging."""
    lanes = result.lanes
    return lanes[(lanes.end_reason != "interrupted") & ~lanes.diverged.astype(bool)]


def _sound_tests(result: Measured, task: str | None = None) -> pd.DataFrame:
    """The tests of seeds that did not diverge, of all tasks or one."""
    tests = result.evaluations[~result.evaluations.replicate.isin(diverged_replicates(result))]
    return tests if task is None else tests[tests.task == task]
