"""Pictures of a sweep: how the results depend on the settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ..config.grid import Point, points, short_name, value_name
from ..results.figures import line_style, no_math
from .gains import mean_interval
from .outcomes import overall

if TYPE_CHECKING:
    from .study import Study


class Measure(NamedTuple):
    """What is shown of each setting."""

    column: str  # of ``outcomes.overall``
    label: str
    scale: float
    form: str


TIME = Measure("time", "simulated time until all targets", 1.0, "{:.1f}")
ACCURACY = Measure("accuracy", "mean accuracy at the end (%)", 100.0, "{:.1f}")


class Spread(NamedTuple):
    """One setting's mean with the 95% interval, over the seeds that have the number."""

    mean: float
    low: float
    high: float
    num_seeds: int


def sweep_figure(study: Study) -> Figure:
    """Results over the settings.

    One axis: a line per algorithm, with the 95% interval of the mean. Two: a heat map per
    algorithm. More: a row per setting.
    """
    draw = {1: _lines, 2: _heat_maps}.get(len(study.axes), _rows)
    figure = draw(study, _measures(study))
    figure.suptitle(no_math(f"{study.name}: each setting {study.seeds_in_words}"))
    return figure


def _measures(study: Study) -> list[Measure]:
    """Time where any target was met, and accuracy."""
    has_times = any(overall(result).time.notna().any() for result in study.results)
    return [TIME, ACCURACY] if has_times else [ACCURACY]


def _spread(study: Study, method: str, point: Point, measure: Measure) -> Spread:
    column = overall(study.result(method, point))[measure.column]
    values = measure.scale * np.asarray(column.dropna(), np.float64)
    if not len(values):
        return Spread(np.nan, np.nan, np.nan, 0)
    mean, (low, high) = float(values.mean()), mean_interval(values)
    low, high = (mean, mean) if low is None or high is None else (low, high)
    return Spread(mean, low, high, len(values))


def _lines(study: Study, measures: list[Measure]) -> Figure:
    ((axis, values),) = study.axes.items()
    is_number = all(isinstance(value, int | float) for value in values)
    places = values if is_number else list(range(len(values)))
    figure = Figure(figsize=(1.2 + 4.8 * len(measures), 4.6), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False).ravel()
    for panel, measure in zip(panels, measures, strict=True):
        for number, method in enumerate(study.methods):
            spreads = [_spread(study, method, point, measure) for point in study.points]
            _draw_line(panel, np.asarray(places, np.float64), spreads, number, method)
            _ring(panel, places, [one.mean for one in spreads], _partial(study, spreads), number)
        panel.set_xticks(places, [_value_name(axis, value) for value in values])
        panel.set(xlabel=short_name(axis), ylabel=measure.label)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.3)
    _add_legend(figure, panels)
    return figure


def _draw_line(
    panel: Axes, places: np.ndarray, spreads: list[Spread], number: int, method: str
) -> None:
    order = np.argsort(places)
    means, lows, highs, _ = (np.array(one)[order] for one in zip(*spreads, strict=True))
    style, label = line_style(number), f"{method} (band: 95% interval)"
    panel.plot(places[order], means, marker="o", ms=7, lw=2, label=label, **style)
    panel.fill_between(places[order], lows, highs, color=style["color"], alpha=0.2, lw=0)


def _partial(study: Study, spreads: list[Spread]) -> np.ndarray:
    """Whether a mean rests on some of the seeds only."""
    return np.array([0 < one.num_seeds < study.num_seeds for one in spreads])


def _ring(
    panel: Axes, x: Sequence[float], y: Sequence[float], chosen: np.ndarray, number: int
) -> None:
    """Hollow out the dots of the means that rest on some of the seeds only."""
    if chosen.any():
        at, colour = (np.asarray(x)[chosen], np.asarray(y)[chosen]), line_style(number)["color"]
        panel.plot(*at, "o", ms=7, mfc="white", mec=colour, zorder=3, label="hollow: some seeds")


def _heat_maps(study: Study, measures: list[Measure]) -> Figure:
    (rows, row_values), (columns, column_values) = study.axes.items()
    shape = len(row_values), len(column_values)
    size = (1.5 + max(3.6, 1.1 * shape[1]) * len(study.methods), 1.2 + 3.2 * len(measures))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(measures), len(study.methods), squeeze=False)
    for line, measure in zip(panels, measures, strict=True):
        found = [
            [_spread(study, method, point, measure) for point in study.points]
            for method in study.methods
        ]
        known = [one.mean for spreads in found for one in spreads if one.num_seeds]
        limits = (min(known), max(known)) if known else (0.0, 1.0)
        images = []
        for panel, method, spreads in zip(line, study.methods, found, strict=True):
            means = np.array([one.mean for one in spreads]).reshape(shape)
            images.append(_draw_heat(panel, means, limits))
            words = [_cell(one, measure, study.num_seeds) for one in spreads]
            _write(panel, means, words, sum(limits) / 2)
            panel.set_xticks(range(shape[1]), [_value_name(columns, one) for one in column_values])
            panel.set_yticks(range(shape[0]), [_value_name(rows, one) for one in row_values])
            panel.set(xlabel=short_name(columns), ylabel=short_name(rows), title=method)
        figure.colorbar(images[0], ax=list(line), label=measure.label)
    return figure


def _draw_heat(panel: Axes, means: np.ndarray, limits: tuple[float, float]) -> AxesImage:
    panel.set_facecolor("lightgrey")
    return panel.imshow(means, cmap="viridis", vmin=limits[0], vmax=limits[1], aspect="auto")


def _cell(spread: Spread, measure: Measure, num_seeds: int) -> str:
    if not spread.num_seeds:
        return "not met" if measure is TIME else "diverged"
    mean = measure.form.format(spread.mean)
    return (
        mean if spread.num_seeds == num_seeds else f"{mean}\n{spread.num_seeds}/{num_seeds} seeds"
    )


def _write(panel: Axes, means: np.ndarray, words: list[str], middle: float) -> None:
    """The numbers, light on the dark half of the colours."""
    for (row, column), word in zip(np.ndindex(means.shape), words, strict=True):
        colour = "white" if means[row, column] < middle else "black"
        panel.text(column, row, word, ha="center", va="center", color=colour)


def _rows(study: Study, measures: list[Measure]) -> Figure:
    labels = [_point_name(study, number) for number in range(len(study.points))]
    height = 1.6 + 0.28 * len(labels) * max(1, len(study.methods) / 2)
    figure = Figure(figsize=(3.5 + 4.2 * len(measures), height), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False, sharey=True).ravel()
    for panel, measure in zip(panels, measures, strict=True):
        for number, method in enumerate(study.methods):
            spreads = [_spread(study, method, point, measure) for point in study.points]
            means, lows, highs, _ = (np.array(one) for one in zip(*spreads, strict=True))
            places = np.arange(len(labels)) + 0.6 * (number + 0.5) / len(study.methods) - 0.3
            reach = np.stack([means - lows, highs - means])
            colour = line_style(number)["color"]
            panel.errorbar(means, places, xerr=reach, fmt="o", ms=7, color=colour, label=method)
            _ring(panel, list(means), list(places), _partial(study, spreads), number)
        panel.set_yticks(range(len(labels)), labels)
        panel.set_xlabel(f"{measure.label}, 95% interval")
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("; ".join(short_name(axis) for axis in study.axes))
    panels[0].invert_yaxis()
    _add_legend(figure, panels)
    return figure


def _add_legend(figure: Figure, panels: Iterable[Axes]) -> None:
    found = [panel.get_legend_handles_labels() for panel in panels]
    handles = {label: handle for pair in found for handle, label in zip(*pair, strict=True)}
    place = {"loc": "outside lower center", "ncols": 4, "frameon": False}
    figure.legend(list(handles.values()), list(handles), **place)


def _value_name(axis: str, value: Any) -> str:
    return no_math(value_name(axis, value))


def _point_name(study: Study, number: int) -> str:
    """The axes' values at one point, as the figure's rows name it."""
    places = points({str(i): range(len(values)) for i, values in enumerate(study.axes.values())})
    return "; ".join(
        _value_name(axis, values[place])
        for (axis, values), place in zip(study.axes.items(), places[number].values(), strict=True)
    )
