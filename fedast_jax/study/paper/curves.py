"""Pictures over simulated time: Figures 2, 4, 6, 14, 15, 17, 19, 21, 23 and 25."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...config.grid import Point
from ...results.palette import TARGET, in_words, method_styles, plain, task_style
from ...results.style import for_print
from ...results.summary import Measured
from ..tables import StudyTables
from .canvas import TIME, canvas, draw_curve, finish, method_handles
from .measures import key_of, mean_curve, points_by

LABELS = {"accuracy": "test accuracy (%)", "loss": "test loss"}
SCALES = {"accuracy": 100.0, "loss": 1.0}
TARGET_LINE = Line2D([], [], lw=0.8, label="target accuracy", **TARGET)
MET_LINE = Line2D([], [], lw=0.8, ls=":", color="grey", label="target met")


@for_print
def mean_over_tasks(study: StudyTables) -> Figure:
    """Figure 2: each method's mean accuracy over its tasks."""
    figure, panels = canvas(1, 1, num_rows_of_legend=3)
    _draw_methods(panels[0, 0], study, {})
    panels[0, 0].set(xlabel=TIME, ylabel=LABELS["accuracy"])
    finish(figure, study, method_handles(study.methods))
    return figure


def by_task(value: str) -> Callable[[StudyTables], Figure]:
    """Figures 4 and 14: a panel for each task."""

    @for_print
    def draw(study: StudyTables) -> Figure:
        figure, panels = canvas(1, len(study.tasks))
        styles = method_styles(study.methods)
        for panel, task in zip(panels.flat, study.tasks, strict=True):
            for method, style in styles.items():
                curve = mean_curve(study.result(method), value, task)
                draw_curve(panel, curve, style, SCALES[value])
            panel.set(xlabel=TIME, title=plain(task))
            panel.set_xlim(left=0)
        panels[0, 0].set_ylabel(LABELS[value])
        finish(figure, study, method_handles(study.methods))
        return figure

    return draw


@for_print
def equal_tasks(study: StudyTables) -> Figure:
    """Figures 15 and 16a: a row of panels for each data set, a panel for each M."""
    by_kind = _by_kind(study)
    columns = max(len(points) for points in by_kind.values())
    figure, panels = canvas(len(by_kind), columns)
    for row, (kind, points) in zip(panels, by_kind.items(), strict=True):
        for panel, point in zip(row, points, strict=True):
            _draw_methods(panel, study, point)
            _draw_targets(panel, study.result(study.methods[0], point))
            panel.set(xlabel=TIME, title=f"{plain(kind)}M = {point[key_of(study, 'copies')]}")
        row[0].set_ylabel(LABELS["accuracy"])
    finish(figure, study, [*method_handles(study.methods), TARGET_LINE], columns=3)
    return figure


@for_print
def one_seed(study: StudyTables) -> Figure:
    """Figures 6, 17, 19, 21, 23 and 25: a panel for each method, the first seed's curves.

    A dotted line stands where a task meets its target.
    """
    figure, panels = canvas(len(study.methods), 1, num_rows_of_legend=3, sharex=True)
    styles = {task: task_style(number) for number, task in enumerate(study.tasks)}
    for panel, method in zip(panels.flat, study.methods, strict=True):
        result = study.result(method)
        lanes = result.lanes[result.lanes.replicate == 0].set_index("task")
        for task, style in styles.items():
            tests = result.evaluations
            tests = tests[(tests.replicate == 0) & (tests.task == task)]
            panel.step(tests.time, 100 * tests.accuracy, where="post", **style)
            panel.axvline(lanes.target_time[task], ls=":", lw=0.8, color=style["color"])
        panel.set(title=in_words(method), ylabel=LABELS["accuracy"])
        panel.set_xlim(left=0)
    panels[-1, 0].set_xlabel(TIME)
    lines = [Line2D([], [], label=plain(task), **style) for task, style in styles.items()]
    finish(figure, study, [*lines, MET_LINE])
    seed = study.results[0].config.seed
    figure.suptitle(f"{study.name}: seed {seed}", fontsize="medium", x=0.01, ha="left")
    return figure


def _by_kind(study: StudyTables) -> dict[str, list[Point]]:
    """The settings by data set, each with its name as titles begin with it."""
    keys = {key.rpartition(".")[2]: key for key in study.points[0]}
    if "kind" not in keys:
        return {"": list(study.points)}
    return {f"{kind}, ": points for kind, points in points_by(study, keys["kind"]).items()}


def _draw_methods(panel: Axes, study: StudyTables, point: Point) -> None:
    for method, style in method_styles(study.methods).items():
        draw_curve(panel, mean_curve(study.result(method, point)), style, SCALES["accuracy"])
    panel.set_xlim(left=0)


def _draw_targets(panel: Axes, result: Measured) -> None:
    for target in {task.settings.target for task in result.config.named_tasks} - {None}:
        assert target is not None
        panel.axhline(100 * target, lw=0.8, **TARGET)
