"""Pictures of a study; those of a comparison show algorithms over simulated time."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..results.figures import (
    accuracy_marks,
    add_legend,
    allocation_figure,
    draw_method,
    draw_target,
    finish_panel,
    fit_metric,
    goal_in,
    metric_label,
    panel_figure,
)
from ..results.palette import in_words, method_styles, plain
from ..results.style import for_screen
from .sweep_figures import sweep_figure
from .tables import StudyTables


def study_figures(study: StudyTables) -> dict[str, Figure]:
    """Of a comparison ``accuracy`` and, where R changes, ``allocations``; else ``sweep``."""
    if study.axes:
        return {"sweep": sweep_figure(study)}
    allocations = allocation_figure(*study.results, labels=study.methods)
    figures = {"accuracy": comparison_figure(study)}
    return figures if allocations is None else figures | {"allocations": allocations}


CROWD = 5  # methods: from here on their seeds' lines would hide one another


@for_screen
def comparison_figure(study: StudyTables) -> Figure:
    """Test accuracy, or another metric, over simulated time: a panel per task, a colour per method.

    Thin lines are single seeds, a dot where one meets its target; the thick line is their mean
    with one standard deviation around it. A seed that has met its target holds its accuracy, one
    that diverged has its thin line alone. From ``CROWD`` methods on there are no thin lines.
    """
    tasks = study.tasks
    figure, panels = panel_figure(len(tasks), metric_label(study.results))
    styles, is_crowded = method_styles(study.methods), len(study.methods) >= CROWD
    for panel, (task, targets) in zip(panels, tasks.items(), strict=True):
        there = [
            (result, styles[method])
            for method, result in zip(study.methods, study.results, strict=True)
            if any(shown.name == task for shown in result.config.named_tasks)
        ]
        curves = [
            draw_method(panel, result, task, style, is_crowded=is_crowded)
            for result, style in there
        ]
        draw_target(panel, targets, goal_in(there[0][0], task))
        fit_metric(panel, curves, [result for result, _ in there], task)
        finish_panel(panel, task)
    panels[0].set_xlim(left=0)  # of all: they share it
    lines = [
        Line2D([], [], lw=2, label=in_words(method), **style) for method, style in styles.items()
    ]
    add_legend(figure, [*lines, *accuracy_marks(study.results, is_crowded=is_crowded)])
    figure.suptitle(f"{plain(study.name)}: {study.seeds_in_words}")
    return figure
