"""What a person sees of a study: its table."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..config.grid import Point, axis_keys, short_name, value_name
from ..results.console import NOTHING, mean_std, show_costs
from ..results.result import spread
from .outcomes import overall
from .study import Study


def show_study(study: Study, console: Console) -> None:
    """Print the table of a comparison or of a sweep, and what it cost."""
    (_show_sweep if study.axes else _show_comparison)(study, console)
    for variant, result in zip(study.variants, study.results, strict=True):
        if result.diverged:
            where = ", ".join([variant.method, *(f"{k} = {v}" for k, v in variant.point.items())])
            number = f"{len(result.diverged)} of {study.num_seeds}"
            line = f"{where}: {number} seeds diverged, left out of the means"
            console.print(Text(line), soft_wrap=True)
    show_costs(study.results[0], console)


def _show_comparison(study: Study, console: Console) -> None:
    """A row per algorithm, all of its tasks together, and under it one per task."""
    found, table = study.compared(), _table(study)
    for method, summary in found["algorithms"].items():
        whole, gains = summary["overall"], found["gain_per_task"].get(method, {})
        times = _times(whole, whole["num_seeds"])
        accuracy = _percent(spread(overall(study.result(method)).accuracy))
        table.add_row(
            Text(method), accuracy, *times, _gain(found["gain"].get(method)), style="bold"
        )
        for name, task in summary["tasks"].items():
            times, gain = _times(task["time_to_target"], task["num_seeds"]), gains.get(name)
            table.add_row(Text(f"  {name}"), _percent(task["accuracy"]), *times, _gain(gain))
        table.add_section()
    console.print(table)
    _explain(found["gain"], console)


def _explain(gains: dict[str, Any], console: Console) -> None:
    """Why a gain or its interval is missing, each reason once."""
    reasons: dict[str, list[str]] = {}
    for method, gain in gains.items():
        if gain["reason"]:
            reasons.setdefault(gain["reason"], []).append(method)
    for reason, methods in reasons.items():
        console.print(Text(f"gain over {', '.join(methods)}: {reason}"), soft_wrap=True)


def _show_sweep(study: Study, console: Console) -> None:
    """A row per setting and algorithm, all of its tasks together."""
    table = _table(study)
    best = {method: study.best(method) for method in study.methods}
    for point in study.points:
        found = study.compared(point)
        for method, summary in found["algorithms"].items():
            accuracy = spread(overall(study.result(method, point)).accuracy)
            whole, gain = summary["overall"], found["gain"].get(method)
            chosen = best[method]
            table.add_row(
                *map(Text, _leading(study, point, method)),
                _percent(accuracy),
                *_times(whole, whole["num_seeds"]),
                *([_gain(gain)] if len(study.methods) > 1 else []),
                style="bold" if chosen and chosen["setting"] == point else None,
            )
    console.print(table)
    for method, found in best.items():
        if found is not None:
            console.print(Text(_best_line(method, found)), soft_wrap=True)


def _leading(study: Study, point: Point, method: str) -> list[str]:
    lead = [value_name(axis, _value(axis, point)) for axis in study.axes]
    return [*lead, method] if len(study.methods) > 1 else lead


def _value(axis: str, point: Point) -> Any:
    values = [point[key] for key in axis_keys(axis)]
    return values if len(values) > 1 else values[0]


def _best_line(method: str, found: dict[str, Any]) -> str:
    setting = ", ".join(f"{key} = {value}" for key, value in found["setting"].items())
    scale, what = (1, "time to all targets") if found["criterion"] == "time" else (100, "accuracy")
    if found["low"] is None:
        reason = found["reason"]
    else:
        reason = f"95% interval {scale * found['low']:.1f} to {scale * found['high']:.1f}"
    return f"best of {method}: {setting}: {what} {scale * found['mean']:.1f} ({reason})"


def _table(study: Study) -> Table:
    table = Table(
        title=Text(_title(study), "table.title"),
        title_justify="left",
        caption=_caption(study),
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    words = [short_name(axis).replace("_", "\n") for axis in study.axes]  # narrow
    if not study.axes:
        words = ["algorithm\n  task"]
    elif len(study.methods) > 1:
        words.append("algorithm")
    for header in words:
        table.add_column(Text(header), overflow="fold", min_width=min(9, len(header)))
    numbers = ["accuracy\n(%)", "time to\ntarget", "\nmedian", "seeds\nmet"]
    if len(study.methods) > 1:
        numbers.append("gain (%),\n95% interval")
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    return table


def _title(study: Study) -> str:
    seeds = f"mean ± std of {study.num_seeds} seeds" if study.num_seeds > 1 else "1 seed"
    return f"{study.name}: {' against '.join(study.methods)}, {seeds}"


def _caption(study: Study) -> str | None:
    """Of a sweep: what settings have in common, and what ``paired_seeds`` would change."""
    if not study.axes:
        return None
    if study.results[0].config.paired_seeds:
        return (
            "Every setting has the same seeds: the same clients, data and first models, so that "
            "what differs comes from the setting. With paired_seeds = false each has its own."
        )
    return (
        "Each setting has seeds of its own: settings are independent, and what differs holds the "
        "luck of the draw as well. With paired_seeds = true all have the same."
    )


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


def _percent(spread: dict[str, float | None]) -> str:
    shares = {name: None if value is None else 100 * value for name, value in spread.items()}
    return mean_std(shares, "{:.1f}")
