"""Pictures of a study; those of a comparison show algorithms over simulated time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..results.figures import (
    LineStyle,
    allocation_figure,
    finish_panel,
    held_mean,
    line_style,
    no_math,
    panel_grid,
)
from ..results.result import Result
from .sweep_figures import sweep_figure

if TYPE_CHECKING:
    from .study import Study

TARGET: LineStyle = {"color": "black", "ls": "--"}


def study_figures(study: Study) -> dict[str, Figure]:
    """Of a comparison ``accuracy`` and, where R changes, ``allocations``; else ``sweep``."""
    if study.axes:
        return {"sweep": sweep_figure(study)}
    allocations = allocation_figure(*study.results, labels=study.methods)
    figures = {"accuracy": comparison_figure(study)}
    return figures if allocations is None else figures | {"allocations": allocations}


def comparison_figure(study: Study) -> Figure:
    """Test accuracy over simulated time: a panel per task, a colour per algorithm.

    Thin lines are single seeds, a dot where one meets its target; the thick line is their mean
    with one standard deviation around it. A seed that has met its target holds its accuracy, one
    that diverged has its thin line alone.
    """
    tasks = study.results[0].config.named_tasks
    rows, columns = panel_grid(len(tasks))
    figure = Figure(figsize=(1.2 + 4.2 * columns, 1.4 + 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, task in zip(panels, tasks, strict=False):
        for number, result in enumerate(study.results):
            _draw_method(panel, result, task.name, number)
        if task.settings.target is not None:
            panel.axhline(100 * task.settings.target, lw=1, **TARGET)
        finish_panel(panel, task.name)
    for panel in panels[::columns]:
        panel.set_ylabel("test accuracy (%)")
    for panel in panels[len(tasks) :]:
        panel.remove()
    figure.legend(handles=_legend(study), loc="outside lower center", ncols=4, frameon=False)
    mean = "mean ± std of " if study.num_seeds > 1 else ""
    figure.suptitle(no_math(f"{study.name}: {mean}{study.seeds_in_words}"))
    return figure


def _draw_method(panel: Axes, result: Result, task: str, number: int) -> None:
    style, colour = line_style(number), line_style(number)["color"]
    tests = result.evaluations.query("task == @task")
    for _, one in tests.groupby("replicate"):
        panel.step(one.time, 100 * one.accuracy, where="post", alpha=0.25, lw=0.8, **style)
    met = result.lanes.query("task == @task and target_time.notna()")
    panel.plot(met.target_time, 100 * met.accuracy, "o", ms=4, color=colour)
    sound = tests.loc[~tests.replicate.isin({one.replicate for one in result.diverged})]
    times, mean, spread = held_mean(_held(sound, set(met.replicate)), "accuracy")
    panel.plot(times, 100 * mean, lw=2, **style)
    band = 100 * (mean - spread), 100 * (mean + spread)
    panel.fill_between(times, *band, color=colour, alpha=0.15, lw=0)


def _held(tests: pd.DataFrame, met: set[int]) -> pd.DataFrame:
    """The tests, with the last of each replicate that met the target once more at the end.

    Its model stays as it is, so a mean over the seeds goes on beyond the first that is there.
    """
    last = tests.groupby("replicate").tail(1)
    is_met = last.replicate.isin(met)
    end = last.time[~is_met].min() if not is_met.all() else last.time.max()
    return pd.concat([tests, last[is_met & (last.time < end)].assign(time=end)])


def _legend(study: Study) -> list[Line2D]:
    lines = [
        Line2D([], [], lw=2, label=method, **line_style(number))
        for number, method in enumerate(study.methods)
    ]
    if any(task.settings.target for task in study.results[0].config.named_tasks):
        lines.append(Line2D([], [], label="target (a dot: met)", lw=1, **TARGET))
    return lines
