"""What the configurations of a study are judged by: overall times, gains, the best setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..config.goal import Goal
from ..config.grid import Point
from ..results.summary import Measured, Settings, spread
from .gains import few_seeds, gain, mean_interval, no_gain


def overall(result: Measured) -> pd.DataFrame:
    """Per seed that has ended: ``time`` and ``metric`` of all tasks together.

    ``time`` is when the last of the tasks with a target met it, no number where one of them did
    not or none has a target; ``metric`` is the mean accuracy over the tasks at the last tests, or
    that of another metric, no number where tasks are judged by different ones. A seed that diverged
    has neither.
    """
    names, goal, rows = targets(result.config), shared_goal(result.config), {}
    for seed, lanes in _ended(result).groupby("seed"):
        times, is_sound = lanes[lanes.task.isin(names)].target_time, not lanes.diverged.any()
        is_met = len(times) > 0 and times.notna().all() and is_sound
        metric = lanes[goal.column].mean() if is_sound and goal else np.nan
        rows[seed] = times.max() if is_met else np.nan, metric
    return pd.DataFrame.from_dict(rows, orient="index", columns=["time", "metric"], dtype=float)


def shared_goal(config: Settings) -> Goal | None:
    """What all tasks are judged by; None where they are judged by different metrics."""
    goals = {task.settings.goal for task in config.named_tasks}
    return goals.pop() if len(goals) == 1 else None


def overall_summary(result: Measured) -> dict[str, Any]:
    """Mean, spread and median of the overall time over the seeds that met every target."""
    times = overall(result).time
    return spread(times) | {
        "median": float(times.median()) if times.notna().any() else None,
        "num_reached": int(times.notna().sum()),
        "num_seeds": len(times),
    }


def overall_gain(first: Measured, baseline: Measured) -> dict[str, Any]:
    """The gain of ``first`` in overall time."""
    if not targets(first.config):
        return no_gain("no task has a target")
    return _paired_gain(overall(first).time, overall(baseline).time)


def task_gains(first: Measured, baseline: Measured) -> dict[str, dict[str, Any]]:
    """The gain of ``first`` for each task that has a target."""
    return {
        task: _paired_gain(_task_times(first, task), _task_times(baseline, task))
        for task in targets(first.config)
    }


def best_setting(points: Sequence[Point], results: Sequence[Measured]) -> dict[str, Any] | None:
    """The setting that meets its targets in most seeds, and of these the soonest on average.

    Where nothing has a target, or none was met, the one with the fewest seeds that diverged, and of
    these the best mean accuracy (or other metric) at its end.

    Returns:
        ``setting``, ``criterion`` ("time", "accuracy" or another metric's name), ``mean`` with
        ``low`` and ``high`` of its 95% interval over the seeds, ``num_seeds``, and ``reason`` where
        there is no interval; None where nothing has ended, or no target was met and tasks are
        judged by different metrics.
    """
    tables = [overall(result) for result in results]
    goal = shared_goal(results[0].config)
    is_less_better = goal is not None and goal.is_less_better
    ranks = sorted(
        (_rank(result, table, is_less_better), number)
        for number, (result, table) in enumerate(zip(results, tables, strict=True))
        if len(table)
    )
    if not ranks:
        return None
    table = tables[ranks[0][1]]
    column = "time" if table.time.notna().any() else "metric"
    if column == "metric" and goal is None:
        return None
    values = np.asarray(table[column].dropna(), np.float64)
    low, high = mean_interval(values)
    which = "that meet the targets" if column == "time" else "that did not diverge"
    return {
        "setting": points[ranks[0][1]],
        "criterion": "time" if goal is None or column == "time" else goal.metric,
        "mean": float(values.mean()) if len(values) else None,
        "low": low,
        "high": high,
        "num_seeds": len(values),
        "reason": None if low is not None else few_seeds(len(values), which),
    }


def targets(config: Settings) -> list[str]:
    """The tasks that have a target."""
    return [task.name for task in config.named_tasks if task.settings.target is not None]


def _rank(
    result: Measured, table: pd.DataFrame, is_less_better: bool
) -> tuple[float, float, float]:
    """The less, the better: seeds that fell short, seeds that diverged, then the mean time or what
    the metric lacks."""
    reached, metric = float(table.time.notna().mean()), table.metric.mean()
    sound = float((~_ended(result).groupby("seed").diverged.any()).mean())
    measure = table.time.mean() if reached else metric if is_less_better else -metric
    return -reached, -sound, float(np.nan_to_num(measure, nan=np.inf))


def _ended(result: Measured) -> pd.DataFrame:
    return result.lanes.query("end_reason != 'interrupted'")


def _task_times(result: Measured, task: str) -> pd.Series:
    lanes = _ended(result)
    lanes = lanes[lanes.task == task].set_index("seed")
    return lanes.target_time.mask(lanes.diverged.astype(bool))


def _paired_gain(first: pd.Series, baseline: pd.Series) -> dict[str, Any]:
    seeds = first.index.intersection(baseline.index)
    if not len(seeds):
        return no_gain("no seed of both has ended")
    times = [np.asarray(by_seed.loc[seeds], np.float64) for by_seed in (first, baseline)]
    return gain(times[0], times[1])
