"""A study's table for people, on a terminal or in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..config.goal import Goal
from ..config.grid import Point, axis_keys, short_name, value_name
from ..config.sheet import Row, Sheet
from ..results.result_sheet import NOTHING, mean_std
from ..results.summary import Measured, goal_of, spread, task_metric
from .outcomes import overall, shared_goal
from .tables import StudyTables


def study_sheet(study: StudyTables) -> Sheet:
    """Of a comparison a row per algorithm and task; of a sweep one per setting and algorithm."""
    words = [short_name(axis).replace("_", "\n") for axis in study.axes]  # narrow
    if not study.axes:
        words = ["algorithm\n  task"]
    elif len(study.methods) > 1:
        words.append("algorithm")
    numbers = [_metric_header(study), "time to\ntarget", "\nmedian", "seeds\nmet"]
    if len(study.methods) > 1:
        numbers.append("gain (%),\n95% interval")
    rows = _setting_rows(study) if study.axes else _method_rows(study)
    return Sheet(_title(study), words, numbers, list(rows), _caption(study))


def _method_rows(study: StudyTables) -> Iterator[Row]:
    """A row per algorithm, all of its tasks together, and under it one per task."""
    compared = study.compared()
    for method, summary in compared["algorithms"].items():
        whole, gains = summary["overall"], compared["gain_per_task"].get(method, {})
        numbers = [_overall_metric(study.result(method)), *_times(whole, whole["num_seeds"])]
        more = [_gain(compared["gain"].get(method))] if len(study.methods) > 1 else []
        yield Row([method, *numbers, *more], is_bold=True)
        for place, (name, task) in enumerate(summary["tasks"].items(), 1):
            numbers = [_metric(task_metric(task), goal_of(task))]
            numbers += _times(task["time_to_target"], task["num_seeds"])
            more = [_gain(gains.get(name))] if len(study.methods) > 1 else []
            yield Row([f"  {name}", *numbers, *more], ends_section=place == len(summary["tasks"]))


def _setting_rows(study: StudyTables) -> Iterator[Row]:
    """A row per setting and algorithm, all of its tasks together; the best ones are bold."""
    best = {method: study.best(method) for method in study.methods}
    for point in study.points:
        compared = study.compared(point)
        for method, summary in compared["algorithms"].items():
            whole, chosen = summary["overall"], best[method]
            cells = [
                *_leading(study, point, method),
                _overall_metric(study.result(method, point)),
                *_times(whole, whole["num_seeds"]),
                *([_gain(compared["gain"].get(method))] if len(study.methods) > 1 else []),
            ]
            yield Row(cells, is_bold=bool(chosen and chosen["setting"] == point))


def _leading(study: StudyTables, point: Point, method: str) -> list[str]:
    lead = [value_name(axis, _value(axis, point)) for axis in study.axes]
    return [*lead, method] if len(study.methods) > 1 else lead


def _value(axis: str, point: Point) -> Any:
    values = [point[key] for key in axis_keys(axis)]
    return values if len(values) > 1 else values[0]


def _title(study: StudyTables) -> str:
    counts = sorted({result.config.num_seeds for result in study.results})
    seeds = "1 seed" if counts == [1] else f"mean ± std of {' or '.join(map(str, counts))} seeds"
    ending = "" if study.status == "finished" else f" ({study.status})"
    return f"{study.name}: {' against '.join(study.methods)}, {seeds}{ending}"


def _times(times: dict[str, Any], num_seeds: int) -> tuple[str, str, str]:
    median = NOTHING if times["median"] is None else f"{times['median']:.1f}"
    return mean_std(times, "{:.1f}"), median, f"{times['num_reached']}/{num_seeds}"


def _gain(gain: dict[str, Any] | None) -> str:
    if gain is None:
        return ""
    if gain["mean"] is None:
        return NOTHING
    mean = f"{100 * gain['mean']:.1f}"
    return (
        mean
        if gain["low"] is None
        else f"{mean} ({100 * gain['low']:.0f} to {100 * gain['high']:.0f})"
    )


def _metric_header(study: StudyTables) -> str:
    """Its name where all tasks are judged by the same."""
    goals = {shared_goal(result.config) for result in study.results}
    goal = goals.pop() if len(goals) == 1 else None
    if goal is None:
        return "metric"
    return "accuracy\n(%)" if goal.is_accuracy else goal.metric


def _overall_metric(result: Measured) -> str:
    goal = shared_goal(result.config)
    return _metric(spread(overall(result).metric), goal) if goal else NOTHING


def _metric(values: Mapping[str, float | None], goal: Goal) -> str:
    scaled = {
        name: None if value is None else goal.scale * value
        for name, value in ((name, values[name]) for name in ("mean", "std"))
    }
    return mean_std(scaled, "{:.1f}" if goal.is_accuracy else "{:.4g}")


def _caption(study: StudyTables) -> str:
    """Of a sweep: what settings have in common, and what ``study.paired_seeds`` would change."""
    if not study.axes:
        return ""
    if study.table.get("study", {}).get("paired_seeds", True):
        return (
            "Every setting has the same seeds: the same clients, data and first models, so that "
            "what differs comes from the setting. With study.paired_seeds = false each has its own."
        )
    return (
        "Each setting has seeds of its own: settings are independent, and what differs holds the "
        "luck of the draw as well. With study.paired_seeds = true all have the same."
    )
