"""Panels, legends and labels that the paper's pictures share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...results.figures import Curve
from ...results.palette import LineStyle, in_words, method_styles
from ...results.style import BAND, COLUMN, PAGE
from ..gains import LEAST_SEEDS, mean_interval
from ..tables import StudyTables

PANEL_HEIGHT = 1.55  # inches
LEGEND_ROW = 0.14
TIME = "simulated time"


def canvas(
    rows: int, columns: int, num_rows_of_legend: int = 1, *, sharex: bool = False
) -> tuple[Figure, np.ndarray]:
    """An empty figure of a column's width, or of a page's for three panels a row and more."""
    width = COLUMN if columns <= 2 else PAGE
    height = 0.25 + PANEL_HEIGHT * rows + LEGEND_ROW * num_rows_of_legend
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=sharex)


def finish(figure: Figure, study: StudyTables, handles: Sequence[Artist], columns: int = 2) -> None:
    """The legend beneath, and how many seeds the means rest on."""
    place: dict[str, Any] = {
        "loc": "outside lower center",
        "columnspacing": 1.0,
        "handletextpad": 0.5,
    }
    figure.legend(handles=list(handles), ncols=columns, **place)
    figure.suptitle(f"{study.name}: {study.seeds_in_words}", fontsize="medium", x=0.01, ha="left")


def method_handles(methods: Iterable[str]) -> list[Artist]:
    """A line for each method."""
    styles = method_styles(methods)
    return [Line2D([], [], label=in_words(method), **style) for method, style in styles.items()]


def draw_curve(panel: Axes, curve: Curve, style: LineStyle, scale: float = 1.0) -> None:
    """The mean, and a standard deviation on either side of it where there are enough seeds."""
    panel.plot(curve.times, scale * curve.mean, **style)
    if len(curve.num_left) and curve.num_left.min() >= LEAST_SEEDS:
        low, high = curve.mean - curve.spread, curve.mean + curve.spread
        look: dict[str, Any] = {"color": style["color"], "alpha": BAND, "lw": 0}
        panel.fill_between(curve.times, scale * low, scale * high, **look)


def draw_means(
    panel: Axes, places: Sequence[float], columns: Sequence[np.ndarray], style: LineStyle
) -> None:
    """The means of seeds at some places, with the 95% interval where there are enough of them."""
    means = [values.mean() if len(values) else np.nan for values in columns]
    panel.plot(places, means, marker="o", **style)
    reach = reaches(columns)
    panel.errorbar(places, means, yerr=reach, fmt="none", ecolor=style["color"], lw=0.8)


def reaches(columns: Sequence[np.ndarray]) -> np.ndarray:
    """``float[2, columns]``: how far the 95% interval reaches below and above each mean."""
    found = [_reach(np.asarray(values)) for values in columns]
    return np.array(found).T.reshape(2, -1)


def _reach(values: np.ndarray) -> tuple[float, float]:
    low, high = mean_interval(values)
    if low is None or high is None:
        return 0.0, 0.0
    return max(values.mean() - low, 0.0), max(high - values.mean(), 0.0)
