"""One run's table for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..config.sheet import Row, Sheet
from .summary import goal_of, task_metric

NOTHING = "\N{EN DASH}"


def result_sheet(summary: dict[str, Any]) -> Sheet:
    """A row per task."""
    seeds = f"mean ± std of {summary['num_seeds']} seeds" if summary["num_seeds"] > 1 else "1 seed"
    ending = "" if summary["status"] == "finished" else f" ({summary['status']})"
    return Sheet(
        f"{summary['name']}: {summary['algorithm']}, {seeds}{ending}",
        ["task"],
        ["rounds", metric_header(summary["tasks"].values()), "time to target", "staleness"],
        [Row(_task_cells(name, task)) for name, task in summary["tasks"].items()],
    )


def _task_cells(name: str, task: dict[str, Any]) -> list[str]:
    return [
        name,
        mean_std(task["rounds"], "{:.0f}"),
        _metric(task),
        _time_to_target(task),
        NOTHING if task["mean_staleness"] is None else f"{task['mean_staleness']:.1f}",
    ]


def metric_header(tasks: Iterable[Mapping[str, Any]]) -> str:
    """Of the column of what tasks are judged by: its name where all share it."""
    names = {goal_of(task).metric for task in tasks}
    return names.pop() if len(names) == 1 else "metric"


def _metric(task: dict[str, Any]) -> str:
    return mean_std(task_metric(task), "{:.1%}" if goal_of(task).is_accuracy else "{:.4g}")


def _time_to_target(task: dict[str, Any]) -> str:
    goal = goal_of(task)
    value = task["target_accuracy"] if goal.is_accuracy else task["target_metric"]
    if value is None:
        return "no target"
    reached, target = task["time_to_target"]["num_reached"], goal.show(value, ".0%")
    if not goal.is_accuracy:
        target = f"{goal.word} {target}"
    if reached < task["num_seeds"]:
        target += f", {reached} of {task['num_seeds']}"
    times = mean_std(task["time_to_target"], "{:.1f}")
    return f"{times} ({target})"


def mean_std(spread: Mapping[str, float | None], form: str) -> str:
    """``mean ± std`` in the format given, as far as there is a number."""
    if spread["mean"] is None:
        return NOTHING
    text = form.format(spread["mean"])
    return text if spread["std"] is None else f"{text} ± {form.format(spread['std'])}"
