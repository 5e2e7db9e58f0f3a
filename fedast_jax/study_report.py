"""What a person sees of a study: its table."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from .report import NOTHING, mean_std, show_costs
from .study import Study

ALL_TASKS = "all tasks"


def show_study(study: Study, console: Console) -> None:
    """Print a row per algorithm and task, then one for all of its tasks."""
    found, table = study.compared(), _table(study)
    for method, summary in found["algorithms"].items():
        gains = found["gain_per_task"].get(method, {})
        shown = method  # once
        for name, task in summary["tasks"].items():
            times = _times(task["time_to_target"], task["num_seeds"])
            table.add_row(shown, name, _percent(task["accuracy"]), *times, _gain(gains.get(name)))
            shown = ""
        whole = summary["overall"]
        times, gain = _times(whole, whole["num_seeds"]), found["gain"].get(method)
        table.add_row("", ALL_TASKS, "", *times, _gain(gain), style="bold")
        table.add_section()
    console.print(table)
    for method, gain in found["gain"].items():
        if gain["reason"]:
            console.print(f"gain over {method}: {gain['reason']}", soft_wrap=True)
    show_costs(study.results[0], console)


def _table(study: Study) -> Table:
    table = Table(title=_title(study), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("algorithm", overflow="fold", min_width=9)
    table.add_column("task", overflow="fold", min_width=9)
    numbers = ["accuracy\n(%)", "time to\ntarget", "\nmedian", "seeds\nmet"]
    if len(study.methods) > 1:
        numbers.append("gain (%),\n95% interval")
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    return table


def _title(study: Study) -> str:
    seeds = f"mean ± std of {study.num_seeds} seeds" if study.num_seeds > 1 else "1 seed"
    return f"{study.name}: {' against '.join(study.methods)}, {seeds}"


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
