"""Pictures of a sweep: how the results depend on the settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..config.goal import Goal
from ..config.grid import Point, points, short_name, value_name
from ..results.figures import add_legend
from ..results.palette import LineStyle, in_words, method_styles, plain
from ..results.style import for_screen
from .gains import LEAST_SEEDS, mean_interval
from .outcomes import overall, shared_goal
from .tables import StudyTables


class Measure(NamedTuple):
    """What is shown of each setting."""

    column: str  # of ``outcomes.overall``
    label: str
    scale: float
    form: str
    better: str  # said on the bar of a heat map, whose bright end is the better one
    colours: str
    missing: str  # where no seed has the number

    @property
    def is_less_better(self) -> bool:
        """Then the bar stands upside down: better is up, too."""
        return self.colours.endswith("_r")


TIME = Measure(
    "time", "simulated time until all targets", 1.0, "{:.1f}", "sooner", "viridis_r", "not met"
)
ACCURACY = Measure(
    "metric", "accuracy at the end (%)", 100.0, "{:.1f}", "higher", "viridis", "diverged"
)
LOG_RATIO = 10.0  # of the largest and the smallest value, from which their axis is logarithmic


class Spread(NamedTuple):
    """One setting's mean with the 95% interval, over the seeds that have the number.

    Of fewer than ``gains.LEAST_SEEDS`` there is no interval: its ends are no numbers.
    """

    mean: float
    low: float
    high: float
    num_seeds: int


@for_screen
def sweep_figure(study: StudyTables) -> Figure:
    """Results over the settings.

    One axis: a line per algorithm, with the 95% interval of the mean. Two: a heat map per
    algorithm. More: a row per setting.
    """
    draw = {1: _lines, 2: _heat_maps}.get(len(study.axes), _rows)
    figure = draw(study, _measures(study))
    figure.suptitle(f"{plain(study.name)}: each setting {study.seeds_in_words}")
    return figure


def _measures(study: StudyTables) -> list[Measure]:
    """Time where any target was met, and accuracy, or another metric that all tasks share."""
    has_times = any(overall(result).time.notna().any() for result in study.results)
    goal = shared_goal(study.results[0].config)
    at_end = [] if goal is None else [_metric_measure(goal)]
    return [TIME, *at_end] if has_times or not at_end else at_end


def _metric_measure(goal: Goal) -> Measure:
    if goal.is_accuracy:
        return ACCURACY
    better, colours = ("lower", "viridis_r") if goal.is_less_better else ("higher", "viridis")
    label = f"{plain(goal.metric)} at the end"
    return Measure("metric", label, 1.0, "{:.4g}", better, colours, "diverged")


def _spread(study: StudyTables, method: str, point: Point, measure: Measure) -> Spread:
    column = overall(study.result(method, point))[measure.column]
    values = measure.scale * np.asarray(column.dropna(), np.float64)
    if not len(values):
        return Spread(np.nan, np.nan, np.nan, 0)
    mean, (low, high) = float(values.mean()), mean_interval(values)
    low, high = (np.nan, np.nan) if low is None or high is None else (low, high)
    return Spread(mean, low, high, len(values))


def _lines(study: StudyTables, measures: list[Measure]) -> Figure:
    ((axis, values),) = study.axes.items()
    places = values if _are_numbers(values) else list(range(len(values)))
    figure = Figure(figsize=(1.2 + 4.8 * len(measures), 4.8), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False).ravel()
    for panel, measure in zip(panels, measures, strict=True):
        for method, style in method_styles(study.methods).items():
            spreads = [_spread(study, method, point, measure) for point in study.points]
            _draw_line(panel, np.asarray(places, np.float64), spreads, style, method)
            _ring(
                panel, places, [spread.mean for spread in spreads], _partial(study, spreads), style
            )
        if _are_numbers(values) and min(values) > 0 and max(values) >= LOG_RATIO * min(values):
            panel.set_xscale("log")
        panel.set_xticks(places, [plain(value_name(axis, value)) for value in values])
        panel.minorticks_off()
        panel.set(xlabel=plain(short_name(axis)), ylabel=measure.label)
    _add_legend(figure, panels, "band: 95% interval")
    return figure


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _draw_line(
    panel: Axes, places: np.ndarray, spreads: list[Spread], style: LineStyle, method: str
) -> None:
    order = np.argsort(places)
    means, lows, highs, _ = (np.array(row)[order] for row in zip(*spreads, strict=True))
    panel.plot(places[order], means, marker="o", ms=7, lw=2, label=in_words(method), **style)
    panel.fill_between(places[order], lows, highs, color=style["color"], alpha=0.2, lw=0)


def _partial(study: StudyTables, spreads: list[Spread]) -> np.ndarray:
    """Whether a mean rests on some of the seeds only."""
    return np.array([0 < spread.num_seeds < study.num_seeds for spread in spreads])


def _ring(
    panel: Axes, x: Sequence[float], y: Sequence[float], chosen: np.ndarray, style: LineStyle
) -> None:
    """Hollow out the dots of the means that rest on some of the seeds only."""
    if chosen.any():
        at = np.asarray(x)[chosen], np.asarray(y)[chosen]
        panel.plot(*at, "o", ms=7, mfc="white", mec=style["color"], zorder=3)


def _heat_maps(study: StudyTables, measures: list[Measure]) -> Figure:
    (rows, row_values), (columns, column_values) = study.axes.items()
    shape = len(row_values), len(column_values)
    size = (
        1.8 + max(3.2, 1.1 * shape[1]) * len(study.methods),
        1.2 + max(2.6, 0.8 + 0.6 * shape[0]) * len(measures),
    )
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(
        len(measures), len(study.methods), squeeze=False, sharex=True, sharey=True
    )
    for line, measure in zip(panels, measures, strict=True):
        by_method = _spreads(study, measure)
        known = [spread.mean for spreads in by_method for spread in spreads if spread.num_seeds]
        limits = (min(known), max(known)) if known else (0.0, 1.0)
        images = []
        for panel, method, spreads in zip(line, study.methods, by_method, strict=True):
            means = np.array([spread.mean for spread in spreads]).reshape(shape)
            images.append(_draw_heat(panel, means, limits, measure))
            words = [_cell(spread, measure, study.num_seeds) for spread in spreads]
            _write(panel, images[-1], means, words)
            panel.set_xticks(range(shape[1]), _value_names(columns, column_values))
            panel.set_yticks(range(shape[0]), _value_names(rows, row_values))
            panel.set_title(in_words(method))
        _add_bar(figure, images[0], list(line), measure)
    for panel in panels[-1]:
        panel.set_xlabel(plain(short_name(columns)))
    for panel in panels[:, 0]:
        panel.set_ylabel(plain(short_name(rows)))
    return figure


def _spreads(study: StudyTables, measure: Measure) -> list[list[Spread]]:
    """Of each method, at each setting."""
    return [
        [_spread(study, method, point, measure) for point in study.points]
        for method in study.methods
    ]


def _value_names(axis: str, values: Sequence[Any]) -> list[str]:
    return [plain(value_name(axis, value)) for value in values]


def _draw_heat(
    panel: Axes, means: np.ndarray, limits: tuple[float, float], measure: Measure
) -> AxesImage:
    panel.set_facecolor("lightgrey")
    panel.grid(visible=False)
    low, high = limits
    return panel.imshow(means, cmap=measure.colours, vmin=low, vmax=high, aspect="auto")


def _add_bar(figure: Figure, image: AxesImage, panels: list[Axes], measure: Measure) -> None:
    """The scale of the colours, better upwards; the arrow stands in the label's own direction."""
    label = f"{measure.label}\n{measure.better} is better, and brighter \N{RIGHTWARDS ARROW}"
    bar = figure.colorbar(image, ax=panels, label=label)
    if measure.is_less_better:
        bar.ax.invert_yaxis()


def _cell(spread: Spread, measure: Measure, num_seeds: int) -> str:
    if not spread.num_seeds:
        return measure.missing
    mean = measure.form.format(spread.mean)
    some = f"{mean}\n{spread.num_seeds} of {num_seeds} seeds"
    return mean if spread.num_seeds == num_seeds else some


def _write(panel: Axes, image: AxesImage, means: np.ndarray, words: list[str]) -> None:
    """The numbers, light on the dark half of the colours."""
    for (row, column), word in zip(np.ndindex(means.shape), words, strict=True):
        value = means[row, column]
        colours = image.cmap(image.norm(value))[:3] if np.isfinite(value) else (1.0, 1.0, 1.0)
        is_dark = np.dot(colours, (0.299, 0.587, 0.114)) < 0.5  # their luminance
        colour = "white" if is_dark else "black"
        panel.text(column, row, word, ha="center", va="center", color=colour)


def _rows(study: StudyTables, measures: list[Measure]) -> Figure:
    labels = [_point_name(study, number) for number in range(len(study.points))]
    height = 1.6 + 0.28 * len(labels) * max(1, len(study.methods) / 2)
    figure = Figure(figsize=(3.5 + 4.2 * len(measures), height), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True).ravel()
    for panel, measure in zip(panels, measures, strict=True):
        for number, (method, style) in enumerate(method_styles(study.methods).items()):
            spreads = [_spread(study, method, point, measure) for point in study.points]
            means, lows, highs, _ = (np.array(row) for row in zip(*spreads, strict=True))
            places = np.arange(len(labels)) + 0.6 * (number + 0.5) / len(study.methods) - 0.3
            reach = np.stack([means - lows, highs - means])
            look = {"fmt": "o", "ms": 7, "color": style["color"], "label": in_words(method)}
            panel.errorbar(means, places, xerr=reach, **look)
            _ring(panel, list(means), list(places), _partial(study, spreads), style)
        panel.set_yticks(range(len(labels)), labels)
        panel.set_xlabel(measure.label)
    panels[0].set_ylabel(plain("; ".join(short_name(axis) for axis in study.axes)))
    panels[0].invert_yaxis()
    _add_legend(figure, panels, "bar: 95% interval")
    return figure


def _add_legend(figure: Figure, panels: Iterable[Axes], interval: str) -> None:
    """The methods, and in grey what the marks mean."""
    legends = [panel.get_legend_handles_labels() for panel in panels]
    methods = {label: handle for pair in legends for handle, label in zip(*pair, strict=True)}
    band = Patch(color="grey", alpha=0.25, lw=0, label=f"{interval} ({LEAST_SEEDS} seeds or more)")
    ring = {"ls": "", "marker": "o", "ms": 7, "mfc": "white", "mec": "grey"}
    some = Line2D([], [], label="open: not all seeds get there", **ring)
    add_legend(figure, [*methods.values(), band, some])


def _point_name(study: StudyTables, number: int) -> str:
    """The axes' values at one point, as the figure's rows name it."""
    places = points({str(i): range(len(values)) for i, values in enumerate(study.axes.values())})
    return plain(
        "; ".join(
            value_name(axis, values[place])
            for (axis, values), place in zip(
                study.axes.items(), places[number].values(), strict=True
            )
        )
    )
