"""Pictures of a result. Every plot says how many seeds it rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from .result import Result

GRID_POINTS = 400
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's, without yellow: told apart by colour-blind readers too."""
DASHES = ("-", "--", ":", "-.")  # once the colours are used up


def accuracy_figure(result: Result) -> Figure:
    """Test accuracy over simulated time, one panel per task.

    Thin lines are single seeds, the thick line is their mean with one standard deviation around
    it, drawn as far as every seed goes. A seed that diverged has its thin line alone.
    """
    names = [task.name for task in result.config.named_tasks]
    rows, columns = panel_grid(len(names))
    figure = Figure(figsize=(1.2 + 4.2 * columns, 0.8 + 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, name in zip(panels, names, strict=False):
        tests = result.evaluations.query("task == @name")
        diverged = {one.replicate for one in result.diverged}
        _draw_task(panel, tests, name, result.config_of(name).target, diverged)
    for panel in panels[::columns]:
        panel.set_ylabel("test accuracy (%)")
    for panel in panels[len(names) :]:
        panel.remove()
    title = f"{result.config.name}: {result.config.algorithm}, {_seeds(result)}"
    figure.suptitle(no_math(title))
    return figure


def allocation_figure(*results: Result, labels: Sequence[str] = ("",)) -> Figure | None:
    """Requests in flight over simulated time, a line per task; None where they never change.

    Args:
        results: each gets a panel, if its allocation changes.
        labels: a title for each panel.
    """
    changing = [
        (label, result)
        for label, result in zip(labels, results, strict=True)
        if result.allocations().groupby("replicate").time.nunique().gt(1).any()
    ]
    if not changing:
        return None
    rows, columns = panel_grid(len(changing))
    figure = Figure(figsize=(1.2 + 4.8 * columns, 1.0 + 3.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for panel, (label, result) in zip(panels, changing, strict=False):
        _draw_allocations(panel, result)
        finish_panel(panel, label)
    for panel in panels[::columns]:
        panel.set_ylabel("requests in flight, $R_m$")
    for panel in panels[len(changing) :]:
        panel.remove()
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
    )
    config = changing[0][1].config
    others = f", thin the other {config.num_seeds - 1}" if config.num_seeds > 1 else ""
    figure.suptitle(
        no_math(f"{config.name}: requests in flight, thick lines are seed {config.seed}{others}")
    )
    return figure


def panel_grid(num_panels: int) -> tuple[int, int]:
    """Rows and columns."""
    columns = 2 if num_panels == 4 else min(num_panels, 3)
    return math.ceil(num_panels / columns), columns


def no_math(text: str) -> str:
    """A text that matplotlib shows as it is: no formula between dollars, no hidden ``_label``."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def finish_panel(panel: Axes, title: str) -> None:
    """What every panel over simulated time has."""
    panel.set(title=no_math(title), xlabel="simulated time")
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(alpha=0.3)


class LineStyle(TypedDict):
    """What matplotlib takes."""

    color: str
    ls: str


def line_style(number: int) -> LineStyle:
    """Colour and dashes of the line of this number."""
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    return {"color": COLOURS[number % len(COLOURS)], "ls": dash}


def _seeds(result: Result) -> str:
    seeds, diverged = result.config.num_seeds, len(result.diverged)
    words = f"mean ± std of {seeds - diverged} seeds" if seeds > 1 else "1 seed"
    return f"{words}, {diverged} diverged" if diverged else words


def held_mean(tests: pd.DataFrame, value: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation over seeds of a curve that holds its last value between tests.

    Returns:
        Times, means and standard deviations on a grid from the latest first test to the earliest
        last test of the seeds; all empty where these do not overlap.
    """
    curves = [(one.time.to_numpy(), one[value].to_numpy()) for _, one in tests.groupby("replicate")]
    start = max((times[0] for times, _ in curves), default=0.0)
    end = min((times[-1] for times, _ in curves), default=-1.0)
    if start > end:
        return np.empty(0), np.empty(0), np.empty(0)
    grid = np.linspace(start, end, GRID_POINTS)
    held = np.stack([held_at(times, values, grid) for times, values in curves])
    spread = held.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(len(grid))
    return grid, held.mean(axis=0), spread


def held_at(times: np.ndarray, values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The latest value at or before each point of the grid (none earlier: the first value)."""
    return values[np.clip(np.searchsorted(times, grid, side="right") - 1, 0, None)]


def _draw_allocations(panel: Axes, result: Result) -> None:
    """The first seed thick, the others thin: a mean of steps would show values that R never had."""
    changes = _held_to_the_end(result)
    for number, task in enumerate(result.config.named_tasks):
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        seeds = [one for _, one in changes[changes.task == task.name].groupby("replicate")]
        for one in seeds[1:]:
            panel.step(one.time, one.num_active, where="post", color=colour, alpha=0.3, lw=0.8)
        first = seeds[0]
        panel.step(
            first.time,
            first.num_active,
            dash,
            where="post",
            color=colour,
            lw=2,
            label=no_math(task.name),
        )
    panel.set_ylim(0, 1.05 * max(1, changes.num_active.max()))


def _held_to_the_end(result: Result) -> pd.DataFrame:
    """The allocations, with the last of each replicate once more at its end."""
    changes = result.allocations()
    last = changes.groupby(["replicate", "task"]).tail(1)
    ends = dict(zip(result.lanes.replicate, result.lanes.end_time, strict=True))
    return pd.concat([changes, last.assign(time=last.replicate.map(ends))])


def _draw_task(
    panel: Axes, tests: pd.DataFrame, name: str, target: float | None, diverged: set[int]
) -> None:
    for _, one in tests.groupby("replicate"):
        panel.step(one.time, 100 * one.accuracy, where="post", color="tab:blue", alpha=0.25, lw=0.8)
    times, mean, spread = held_mean(tests.loc[~tests.replicate.isin(diverged)], "accuracy")
    panel.plot(times, 100 * mean, color="tab:blue", lw=2, label="mean")
    panel.fill_between(
        times, 100 * (mean - spread), 100 * (mean + spread), color="tab:blue", alpha=0.2, lw=0
    )
    if target is not None:
        panel.axhline(100 * target, color="tab:red", ls="--", lw=1, label=f"target {target:.0%}")
        panel.legend(loc="lower right", frameon=False)
    if tests.empty:
        panel.text(0.5, 0.5, "no test was due", ha="center", transform=panel.transAxes)
    finish_panel(panel, name)
