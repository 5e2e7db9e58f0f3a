"""Pictures of times and of final levels: Figures 3, 5, 7 to 13, 16, 18, 20, 22, 24 and 26."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...results.palette import in_words, method_styles, plain, task_style
from ...results.style import for_print
from ...results.summary import Measured
from ..gains import gain
from ..tables import StudyTables
from .canvas import canvas, draw_means, finish, method_handles, reaches
from .curves import LABELS, SCALES
from .measures import end_level, key_of, last_time, mean_time, met, points_by, task_time
from .time_claims import as_run

BAR = 0.38  # of the space of a group
TO_TARGET = "time to target"
CHOSEN: dict[str, Any] = {
    "marker": "*",
    "ms": 9,
    "mfc": "red",
    "mec": "black",
    "mew": 0.4,
    "ls": "",
}


def against_ratio(value: str) -> Callable[[StudyTables], Figure]:
    """Figures 3 and 13: the end of the run against the share of active clients."""

    @for_print
    def draw(study: StudyTables) -> Figure:
        by_kind = points_by(study, key_of(study, "kind"))
        figure, panels = canvas(1, len(by_kind), num_rows_of_legend=2)
        for panel, (kind, points) in zip(panels.flat, by_kind.items(), strict=True):
            clients = study.results[0].config.table["num_clients"]  # type: ignore[attr-defined]
            ratios = [100 * point["max_active_clients"] / clients for point in points]
            for method, style in method_styles(study.methods).items():
                ends = [end_level(study.result(method, point), value) for point in points]
                columns = [SCALES[value] * end.dropna().to_numpy() for end in ends]
                draw_means(panel, ratios, columns, style)
            panel.set(xlabel="active clients (%)", title=plain(kind), xscale="log")
            panel.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios], minor=False)
            panel.minorticks_off()
        panels[0, 0].set_ylabel(f"final {LABELS[value]}")
        finish(figure, study, method_handles(study.methods))
        return figure

    return draw


@for_print
def times_by_copies(study: StudyTables) -> Figure:
    """Figures 5 and 16b: bars for each M, with the gains over them."""
    keys = {key.rpartition(".")[2]: key for key in study.points[0]}
    by_kind = points_by(study, keys["kind"]) if "kind" in keys else {"": study.points}
    columns = min(2, len(by_kind))
    figure, panels = canvas(-(-len(by_kind) // columns), columns)
    for panel, (kind, points) in zip(panels.flat, by_kind.items(), strict=False):
        groups = {
            f"M = {point[keys['copies']]}": [
                _reached(study.result(method, point), mean_time) for method in study.methods
            ]
            for point in points
        }
        _draw_groups(panel, study, groups)
        panel.set_title(plain(str(kind)))
    for panel in panels.flat[len(by_kind) :]:
        panel.remove()
    for row in panels:
        row[0].set_ylabel(f"mean {TO_TARGET}")
    finish(figure, study, _bar_handles(study))
    return figure


def times_by_task(published: Mapping[str, Mapping[str, float]] = {}) -> Callable:
    """Figures 7, 18, 20, 22, 24 and 26: bars for each task, with the gains over them.

    Args:
        published: by method and task: times that were read off elsewhere, shown as diamonds.
    """

    @for_print
    def draw(study: StudyTables) -> Figure:
        figure, panels = canvas(1, 1, num_rows_of_legend=2)
        panel = panels[0, 0]
        results = [study.result(method) for method in study.methods]
        groups = {
            plain(task): [task_time(result, task).dropna() for result in results]
            for task in study.tasks
        }
        groups["all tasks"] = [_reached(result, last_time) for result in results]
        _draw_groups(panel, study, groups)
        panel.set_ylabel(TO_TARGET)
        shown = _draw_published(panel, study, published)
        finish(figure, study, [*_bar_handles(study), *shown])
        if len(groups) > 3:
            panel.set_xticks(panel.get_xticks(), list(groups), rotation=20, ha="right")
        return figure

    return draw


def against_setting(ending: str, label: str, chosen: int) -> Callable[[StudyTables], Figure]:
    """Figures 8 to 12: time to target, and final accuracy or rounds, against one setting.

    Args:
        ending: of the swept setting's name.
        label: how the setting is called.
        chosen: the paper's choice, marked by a star as there.
    """

    @for_print
    def draw(study: StudyTables) -> Figure:
        figure, panels = canvas(1, 2)
        key, method = key_of(study, ending), study.methods[0]
        sizes = [point[key] for point in study.points]
        marked = as_run(chosen, sizes)
        results = [study.result(method, point) for point in study.points]
        is_k = ending == "keep_first"
        for number, task in enumerate(study.tasks):
            times = [task_time(result, task).dropna().to_numpy() for result in results]
            others = [_other(result, task, is_k) for result in results]
            for panel, columns in zip(panels.flat, (times, others), strict=True):
                draw_means(panel, sizes, columns, task_style(number))
                _mark(panel, sizes, columns, marked)
        panels[0, 0].set_ylabel(TO_TARGET)
        panels[0, 1].set_ylabel("rounds to target" if is_k else "accuracy at the end (%)")
        for panel in panels.flat:
            panel.set(xlabel=label)
        styles = {task: task_style(number) for number, task in enumerate(study.tasks)}
        lines = [Line2D([], [], label=plain(task), **style) for task, style in styles.items()]
        words = "the paper's choice," if marked == chosen else "stands for the paper's"
        star = Line2D([], [], label=f"{words} {chosen}", **CHOSEN)
        finish(figure, study, [*lines, star], columns=3)
        return figure

    return draw


def _other(result: Measured, task: str, is_k: bool) -> np.ndarray:
    """Rounds of the seeds that met the target, or the accuracy of the last test."""
    lanes = result.lanes[(result.lanes.task == task) & ~result.lanes.diverged.astype(bool)]
    if is_k:
        return lanes[lanes.target_time.notna()].rounds.to_numpy(np.float64)
    return 100 * lanes.accuracy.dropna().to_numpy(np.float64)


def _mark(panel: Axes, sizes: Sequence[int], columns: Sequence[np.ndarray], chosen: int) -> None:
    if chosen in sizes and len(values := columns[sizes.index(chosen)]):
        panel.plot(chosen, values.mean(), zorder=3, **CHOSEN)


def _reached(result: Measured, time_of: Callable[[Measured], pd.Series]) -> pd.Series:
    """Times of the seeds that met every target."""
    return time_of(result).where(met(result).astype(bool)).dropna()


def _draw_groups(
    panel: Axes, study: StudyTables, groups: Mapping[str, Sequence[pd.Series]]
) -> None:
    """A bar for each method in each group, its 95% interval, and the first one's gain."""
    styles = list(method_styles(study.methods).values())
    for number, style in enumerate(styles):
        places = np.arange(len(groups)) + BAR * (number - (len(styles) - 1) / 2)
        columns = [times[number].to_numpy(np.float64) for times in groups.values()]
        heights = [values.mean() if len(values) else 0.0 for values in columns]
        panel.bar(places, heights, BAR, color=style["color"], yerr=reaches(columns),
                  error_kw={"lw": 0.8})  # fmt: skip
        for place, values in zip(places, columns, strict=True):
            if len(values) < study.num_seeds:
                words = f"{len(values)}/{study.num_seeds}"
                panel.annotate(words, (place, 0), xytext=(0, 2), ha="center",
                               textcoords="offset points", fontsize=5, color="white"
                               if len(values) else "black")  # fmt: skip
    for place, times in enumerate(groups.values()):
        _write_gain(panel, place, times)
    panel.set_xticks(range(len(groups)), list(groups))
    panel.grid(visible=False, axis="x")
    panel.margins(y=0.16)


def _write_gain(panel: Axes, place: int, times: Sequence[pd.Series]) -> None:
    first, other = (values.to_numpy() for values in times[0].align(times[1], join="outer"))
    found = gain(first.astype(np.float64), other.astype(np.float64))
    if found["mean"] is not None:
        top = max(values.mean() + reaches([values.to_numpy()])[1, 0] for values in times)
        words = f"{100 * found['mean']:.1f}%"
        panel.annotate(words, (place, top), xytext=(0, 2), ha="center",
                       textcoords="offset points", fontsize="small")  # fmt: skip


def _draw_published(
    panel: Axes, study: StudyTables, published: Mapping[str, Mapping[str, float]]
) -> list[Line2D]:
    look: dict[str, Any] = {
        "marker": "D",
        "ms": 3.5,
        "mfc": "white",
        "mec": "black",
        "mew": 0.7,
        "ls": "",
    }
    tasks, count = list(study.tasks), 0
    for number, method in enumerate(study.methods):
        for task, time in published.get(method, {}).items():
            if task in tasks:
                place = tasks.index(task) + BAR * (number - (len(study.methods) - 1) / 2)
                panel.plot(place, time, **look)
                count += 1
    return [Line2D([], [], label="published by the authors", **look)] if count else []


def _bar_handles(study: StudyTables) -> list[Patch]:
    styles = method_styles(study.methods)
    return [Patch(color=style["color"], label=in_words(method)) for method, style in styles.items()]
