"""One run's table for people."""

from __future__ import annotations

from typing import Any

from ..config.sheet import Row, Sheet

NOTHING = "\N{EN DASH}"


def result_sheet(summary: dict[str, Any]) -> Sheet:
    """A row per task."""
    seeds = f"mean ± std of {summary['num_seeds']} seeds" if summary["num_seeds"] > 1 else "1 seed"
    ending = "" if summary["status"] == "finished" else f" ({summary['status']})"
    return Sheet(
        f"{summary['name']}: {summary['algorithm']}, {seeds}{ending}",
        ["task"],
        ["rounds", "accuracy", "time to target", "staleness"],
        [Row(_task_cells(name, task)) for name, task in summary["tasks"].items()],
    )


def _task_cells(name: str, task: dict[str, Any]) -> list[str]:
    return [
        name,
        mean_std(task["rounds"], "{:.0f}"),
        mean_std(task["accuracy"], "{:.1%}"),
        _time_to_target(task),
        NOTHING if task["mean_staleness"] is None else f"{task['mean_staleness']:.1f}",
    ]


def _time_to_target(task: dict[str, Any]) -> str:
    if task["target_accuracy"] is None:
        return "no target"
    reached, target = task["time_to_target"]["num_reached"], f"{task['target_accuracy']:.0%}"
    if reached < task["num_seeds"]:
        target += f", {reached} of {task['num_seeds']}"
    times = mean_std(task["time_to_target"], "{:.1f}")
    return f"{times} ({target})"


def mean_std(spread: dict[str, float | None], form: str) -> str:
    """``mean ± std`` in the format given, as far as there is a number."""
    if spread["mean"] is None:
        return NOTHING
    text = form.format(spread["mean"])
    return text if spread["std"] is None else f"{text} ± {form.format(spread['std'])}"
