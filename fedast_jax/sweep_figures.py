"""Pictures of a sweep: how the results depend on the settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .figures import line_style
from .gains import mean_interval
from .grid import Point, points, short_name, value_name
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
    """One setting's mean over its seeds with the 95% interval, and whether every seed counts."""

    mean: float
    low: float
    high: float
    is_whole: bool


def sweep_figure(study: Study) -> Figure:
    """Results over the settings.

    One axis: a line per algorithm, with the 95% interval of the mean. Two: a heat map per
    algorithm. More: a row per setting.
    """
    draw = {1: _lines, 2: _heat_maps}.get(len(study.axes), _rows)
    figure = draw(study, _measures(study))
    seeds = f"{study.num_seeds} seeds" if study.num_seeds > 1 else "1 seed"
    figure.suptitle(f"{study.name}: mean of {seeds} a setting")
    return figure


def _measures(study: Study) -> list[Measure]:
    """Time where any target was met, and accuracy."""
    has_times = any(overall(result).time.notna().any() for result in study.results)
    return [TIME, ACCURACY] if has_times else [ACCURACY]


def _spread(study: Study, method: str, point: Point, measure: Measure) -> Spread:
    column = overall(study.result(method, point))[measure.column]
    values = measure.scale * np.asarray(column.dropna(), np.float64)
    if not len(values):
        return Spread(np.nan, np.nan, np.nan, False)
    mean, (low, high) = float(values.mean()), mean_interval(values)
    is_whole = len(values) == study.num_seeds
    return Spread(mean, mean if low is None else low, mean if high is None else high, is_whole)


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
        panel.set_xticks(places, [value_name(axis, value) for value in values])
        panel.set(xlabel=short_name(axis), ylabel=measure.label)
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.3)
    _add_legend(figure, panels)
    return figure


def _draw_line(
    panel: Axes, places: np.ndarray, spreads: list[Spread], number: int, method: str
) -> None:
    """Mean with its interval; a ring where only some seeds met their targets."""
    order = np.argsort(places)
    means, lows, highs, whole = (np.array(one)[order] for one in zip(*spreads, strict=True))
    style, colour = line_style(number), line_style(number)["color"]
    panel.plot(places[order], means, lw=2, label=f"{method} (band: 95% interval)", **style)
    panel.fill_between(places[order], lows, highs, color=colour, alpha=0.2, lw=0)
    for is_whole, face, label in ((True, colour, None), (False, "white", "ring: not every seed")):
        chosen = (whole == is_whole) & np.isfinite(means)
        if chosen.any():
            at = places[order][chosen], means[chosen]
            panel.plot(*at, "o", ms=7, mfc=face, mec=colour, label=label)


def _heat_maps(study: Study, measures: list[Measure]) -> Figure:
    (rows, row_values), (columns, column_values) = study.axes.items()
    shape = len(row_values), len(column_values)
    size = (1.5 + max(3.6, 1.1 * shape[1]) * len(study.methods), 1.2 + 3.2 * len(measures))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(measures), len(study.methods), squeeze=False)
    for line, measure in zip(panels, measures, strict=True):
        found = [
            np.array([_spread(study, method, point, measure).mean for point in study.points])
            for method in study.methods
        ]
        known = np.concatenate(found)[np.isfinite(np.concatenate(found))]
        limits = (known.min(), known.max()) if len(known) else (0.0, 1.0)
        images = []
        for panel, method, means in zip(line, study.methods, found, strict=True):
            images.append(_draw_heat(panel, means.reshape(shape), limits, measure))
            panel.set_xticks(range(shape[1]), [value_name(columns, one) for one in column_values])
            panel.set_yticks(range(shape[0]), [value_name(rows, one) for one in row_values])
            panel.set(xlabel=short_name(columns), ylabel=short_name(rows), title=method)
        figure.colorbar(images[0], ax=list(line), label=measure.label)
    return figure


def _draw_heat(
    panel: Axes, means: np.ndarray, limits: tuple[float, float], measure: Measure
) -> Any:
    image = panel.imshow(means, cmap="viridis", vmin=limits[0], vmax=limits[1], aspect="auto")
    panel.set_facecolor("lightgrey")
    middle = sum(limits) / 2
    for (row, column), mean in np.ndenumerate(means):
        text = measure.form.format(mean) if np.isfinite(mean) else "not met"
        dark = np.isfinite(mean) and mean < middle
        panel.text(column, row, text, ha="center", va="center", color="white" if dark else "black")
    return image


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
            panel.errorbar(means, places, xerr=reach, fmt="o", color=colour, label=method)
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


def _point_name(study: Study, number: int) -> str:
    """The axes' values at one point, as the figure's rows name it."""
    places = points({str(i): range(len(values)) for i, values in enumerate(study.axes.values())})
    return "; ".join(
        value_name(axis, values[place])
        for (axis, values), place in zip(study.axes.items(), places[number].values(), strict=True)
    )
