"""Pictures of a result. Every plot says how many seeds it rests on."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..config.goal import Goal
from .palette import TARGET, LineStyle, in_words, method_styles, plain, task_style
from .style import for_screen
from .summary import Measured, diverged_replicates

GRID_POINTS = 400
LEGEND_INCHES = 3.2  # a column of a legend
LEAST_SEEDS = 3  # that still train, for a band: the spread of fewer says next to nothing
EARLY_SHARE = 0.2  # of the time shown: what is reached by then may lie below the accuracy axis


class Curve(NamedTuple):
    """A measure over simulated time, of several seeds; all ``float[points]``."""

    times: np.ndarray
    mean: np.ndarray
    spread: np.ndarray  # standard deviation over the seeds, 0 of one
    num_left: np.ndarray  # seeds that still train


@for_screen
def accuracy_figure(result: Measured) -> Figure:
    """Test accuracy (or another metric) over simulated time, one panel per task.

    Thin lines are single seeds, with a dot where one meets its target; the thick line is their
    mean. A seed that diverged has its thin line alone.
    """
    tasks = result.config.named_tasks
    method = result.config.algorithm
    figure, panels = panel_figure(len(tasks), metric_label([result]))
    style = method_styles([method])[method]
    for panel, task in zip(panels, tasks, strict=True):
        curve = draw_method(panel, result, task.name, style)
        draw_target(panel, [task.settings.target], task.settings.goal)
        fit_metric(panel, [curve], [result], task.name)
        finish_panel(panel, task.name)
    panels[0].set_xlim(left=0)  # of all: they share it
    add_legend(figure, accuracy_marks([result]))
    name = f"{plain(result.config.name)}: {in_words(method)}"
    figure.suptitle(f"{name}, {_seeds(result)}")
    return figure


@for_screen
def allocation_figure(*results: Measured, labels: Sequence[str] = ("",)) -> Figure | None:
    """Requests in flight over simulated time, a line per task; None where they never change.

    Args:
        results: each gets a panel, if its allocation changes.
        labels: the method of each panel.
    """
    pairs = zip(labels, results, strict=True)
    changing = [(label, result) for label, result in pairs if _changes(result)]
    if not changing:
        return None
    figure, panels = panel_figure(len(changing), "requests in flight, $R_m$", sharey=True)
    names = list(dict.fromkeys(t.name for _, result in changing for t in result.config.named_tasks))
    styles = {name: task_style(number) for number, name in enumerate(names)}
    for panel, (label, result) in zip(panels, changing, strict=True):
        _draw_allocations(panel, result, styles)
        finish_panel(panel, in_words(label) if label else "")
    top = max(int(result.allocations().num_active.max()) for _, result in changing)
    panels[0].set_ylim(0, 1.05 * max(1, top))
    panels[0].set_xlim(left=0)
    lines = [Line2D([], [], lw=2, label=plain(name), **style) for name, style in styles.items()]
    add_legend(figure, lines)
    config = changing[0][1].config
    words = f"{config.num_seeds} seeds, thick lines seed {config.seed}, thin lines the others"
    figure.suptitle(f"{plain(config.name)}: {words if config.num_seeds > 1 else '1 seed'}")
    return figure


def panel_figure(num_panels: int, label: str, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of panels over one and the same simulated time, empty ones removed."""
    rows, columns = panel_grid(num_panels)
    size = (max(6.4, 1.2 + 4.6 * columns), 1.6 + 3.2 * rows)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=sharey).ravel()
    for panel in panels[::columns]:
        panel.set_ylabel(label)
    for panel in panels[num_panels:]:
        panel.remove()
    for panel in panels[:num_panels]:
        panel.tick_params(labelbottom=True)
    return figure, list(panels[:num_panels])


def panel_grid(num_panels: int) -> tuple[int, int]:
    """Rows and columns."""
    columns = 2 if num_panels == 4 else min(num_panels, 3)
    return math.ceil(num_panels / columns), columns


def finish_panel(panel: Axes, title: str) -> None:
    """What every panel over simulated time has."""
    panel.set(title=plain(title), xlabel="simulated time")


def draw_method(
    panel: Axes, result: Measured, task: str, style: LineStyle, *, is_crowded: bool = False
) -> Curve:
    """One method's seeds, their mean, its band where enough of them still train, and dots.

    In a crowd of methods single seeds have no lines, and bands are paler.
    """
    tests, goal = result.evaluations[result.evaluations.task == task], goal_in(result, task)
    value, scale = goal.column, goal.scale
    for _, of_seed in () if is_crowded else tests.groupby("replicate"):
        panel.step(of_seed.time, scale * of_seed[value], where="post", alpha=0.25, lw=0.8, **style)
    met = result.lanes[(result.lanes.task == task) & result.lanes.target_time.notna()]
    sound = tests[~tests.replicate.isin(diverged_replicates(result))]
    curve = held_mean(sound, value, set(met.replicate))
    panel.plot(curve.times, scale * curve.mean, lw=2, **style)
    low, high = scale * (curve.mean - curve.spread), scale * (curve.mean + curve.spread)
    is_shown = curve.num_left >= LEAST_SEEDS
    paleness = {"alpha": 0.08 if is_crowded else 0.18, "lw": 0}
    panel.fill_between(curve.times, low, high, where=is_shown, color=style["color"], **paleness)
    panel.plot(met.target_time, scale * met[value], "o", ms=4, color=style["color"])
    if tests.empty:
        panel.text(0.5, 0.5, "no test was due", ha="center", transform=panel.transAxes)
    return curve


def goal_in(result: Measured, name: str) -> Goal:
    """What a task of a result is judged by."""
    return next(task.settings.goal for task in result.config.named_tasks if task.name == name)


def metric_label(results: Iterable[Measured]) -> str:
    """Of the axes of a figure's panels; none where these show different things."""
    labels = {task.settings.goal.label for one in results for task in one.config.named_tasks}
    return plain(labels.pop()) if len(labels) == 1 else ""


def draw_target(panel: Axes, targets: Iterable[float | None], goal: Goal) -> None:
    """A line, with its number, at each of the values that end the task."""
    for target in sorted({target for target in targets if target is not None}):
        panel.axhline(goal.scale * target, lw=1, **TARGET)
        at_most = "at most " if goal.is_less_better else ""
        panel.annotate(
            f"target {at_most}{goal.scale * target:g}{'%' if goal.is_accuracy else ''}",
            (0, goal.scale * target),
            xycoords=("axes fraction", "data"),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize="small",
        )


def accuracy_marks(results: Iterable[Measured], *, is_crowded: bool = False) -> list[Artist]:
    """What the marks mean that are the same for every method, as far as they are there."""
    results = list(results)
    most = max(result.config.num_seeds - len(diverged_replicates(result)) for result in results)
    marks: list[Artist] = []
    if max(result.config.num_seeds for result in results) > 1:
        if not is_crowded:
            marks.append(Line2D([], [], lw=0.8, label="one seed", color="grey"))
        marks.append(Line2D([], [], lw=2, label="mean over the seeds", color="grey"))
    if most >= LEAST_SEEDS:
        band = f"± standard deviation ({LEAST_SEEDS} or more seeds train)"
        marks.append(Patch(alpha=0.25, lw=0, label=band, color="grey"))
    if any(
        task.settings.target is not None for result in results for task in result.config.named_tasks
    ):
        marks.append(Line2D([], [], lw=1, label=_target_label(results), **TARGET))
        marks.append(
            Line2D([], [], ls="", marker="o", ms=4, label="a seed meets its target", color="grey")
        )
    return marks


def _target_label(results: Iterable[Measured]) -> str:
    goals = {task.settings.goal.metric for one in results for task in one.config.named_tasks}
    return f"target {plain(goals.pop())}" if len(goals) == 1 else "target"


def add_legend(figure: Figure, handles: Sequence[Artist]) -> None:
    """Beneath the panels, in as many columns as there is room for."""
    columns = max(1, int(figure.get_figwidth() / LEGEND_INCHES))
    place: dict[str, Any] = {"loc": "outside lower center", "fontsize": "small"}
    figure.legend(handles=list(handles), ncols=min(columns, len(handles)), **place)


def fit_metric(
    panel: Axes, curves: Sequence[Curve], results: Sequence[Measured], task: str
) -> None:
    """Let the axis of the metric show what matters: the target's neighbourhood, not the start.

    From what every method has left behind after ``EARLY_SHARE`` of the time shown and what its
    seeds end at, to the best that is shown. It has a label where the figure's panels differ.
    """
    goal = goal_in(results[0], task)
    early, best = _ends(curves, results, task, goal)
    if not panel.get_ylabel() and not metric_label(results):
        panel.set_ylabel(plain(goal.label))
    if early and best:
        low, high = goal.scale * min(early + best), goal.scale * max(early + best)
        room = max(0.5, 0.05 * (high - low)) if goal.is_accuracy else 0.05 * (high - low) or 0.5
        least, most = (0.0, 100.0) if goal.is_accuracy else (-math.inf, math.inf)
        panel.set_ylim(max(least, low - room), min(most, high + room) + 0.02 * room)


def _ends(
    curves: Sequence[Curve], results: Sequence[Measured], task: str, goal: Goal
) -> tuple[list[float], list[float]]:
    """Values that the axis must show: from after the early time on and at the end; the best."""
    lows, highs, better = [], [], min if goal.is_less_better else max
    until = max((curve.times[-1] for curve in curves if len(curve.times)), default=0.0)
    for curve, result in zip(curves, results, strict=True):
        lanes = result.lanes[(result.lanes.task == task) & ~result.lanes.diverged.astype(bool)]
        lows += [*lanes[goal.column].dropna(), *curve.mean[curve.times >= EARLY_SHARE * until]]
        tests = result.evaluations[result.evaluations.task == task][goal.column].dropna()
        highs += [better(tests)] if len(tests) else []
        targets = [
            shown.settings.target for shown in result.config.named_tasks if shown.name == task
        ]
        both = [target for target in targets if target is not None]
        lows, highs = lows + both, highs + both
    return lows, highs


def _seeds(result: Measured) -> str:
    num_diverged = len(diverged_replicates(result))
    num_left = result.config.num_seeds - num_diverged
    words = f"{num_left} seeds" if num_left != 1 else "1 seed"
    return f"{words}, {num_diverged} diverged" if num_diverged else words


def held_mean(tests: pd.DataFrame, value: str, held: Collection[int] = ()) -> Curve:
    """Mean and standard deviation over seeds of a curve that holds its last value between tests.

    Args:
        tests: of one task.
        value: the column.
        held: replicates that have met their target: each holds its last value to the end.
    Returns:
        The curve on a grid from the latest first test to the earliest last test of the seeds that
        are not held (of all held ones: to the last of all); empty where there is none.
    """
    by_seed = list(tests.groupby("replicate"))
    curves = [(of_seed.time.to_numpy(), of_seed[value].to_numpy()) for _, of_seed in by_seed]
    ends = np.array([times[-1] for times, _ in curves])
    is_held = np.array([replicate in held for replicate, _ in by_seed], bool)
    start = max((times[0] for times, _ in curves), default=0.0)
    end = -1.0 if not len(ends) else ends.max() if is_held.all() else ends[~is_held].min()
    if start > end:
        return Curve(np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    grid = np.linspace(start, end, GRID_POINTS)
    values = np.stack([held_at(times, values, grid) for times, values in curves])
    spread = values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(len(grid))
    num_left = (ends[:, None] >= grid).sum(axis=0)
    return Curve(grid, values.mean(axis=0), spread, num_left)


def held_at(times: np.ndarray, values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The latest value at or before each point of the grid (none earlier: the first value)."""
    return values[np.clip(np.searchsorted(times, grid, side="right") - 1, 0, None)]


def _changes(result: Measured) -> bool:
    """Whether any replicate's allocation is another than the one it began with."""
    rows = result.allocations().groupby(["replicate", "task"]).size()
    return bool((rows > 1).any())


def _draw_allocations(panel: Axes, result: Measured, styles: dict[str, LineStyle]) -> None:
    """The first seed thick, the others thin: a mean of steps would show values that R never had."""
    changes = _held_to_the_end(result)
    for task in result.config.named_tasks:
        style = styles[task.name]
        seeds = [of_seed for _, of_seed in changes[changes.task == task.name].groupby("replicate")]
        for number, of_seed in enumerate(seeds[::-1], 1):
            width, alpha = (2.0, 1.0) if number == len(seeds) else (0.8, 0.3)
            panel.step(
                of_seed.time, of_seed.num_active, where="post", lw=width, alpha=alpha, **style
            )


def _held_to_the_end(result: Measured) -> pd.DataFrame:
    """The allocations, with the last of each replicate once more at its end."""
    changes = result.allocations()
    last = changes.groupby(["replicate", "task"]).tail(1)
    ends = result.lanes.drop_duplicates("replicate").set_index("replicate").end_time
    return pd.concat([changes, last.assign(time=last.replicate.map(ends))])
