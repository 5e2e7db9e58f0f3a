"""``fedast figure thm1``: the measured mean of ||grad f||^2 beside Theorem 1, and its claims."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...results.palette import LineStyle
from ...results.style import for_print
from ..tables import StudyTables
from .canvas import canvas, draw_means, finish
from .judge import Claim, largest, log_slope, ratio
from .quadratic import quadratic
from .theorem_runs import (
    Line,
    columns,
    lines_of,
    measured,
    minor_until,
    staleness,
)
from .theory import theorem1_bound

LABELS = {
    "T": "rounds, $T$",
    "b": "buffer size, $b$",
    "tau": r"local steps, $\tau$",
    "R": "active requests, $R$",
}
RATE = -0.5  # of (T b tau)^(-1/2), Corollary 1.1
SLACK = 0.1  # of a slope
HARDLY = 0.25  # what R may change while asynchrony is minor
MEASURED: LineStyle = {"color": "#0072B2", "ls": "-"}
BOUND: LineStyle = {"color": "#D55E00", "ls": "--"}
ORDER: LineStyle = {"color": "grey", "ls": ":"}


@for_print
def picture(study: StudyTables) -> Figure:
    """Along T, b, tau and R: measured, the proof's bound, the rate."""
    figure, panels = canvas(2, 2, num_rows_of_legend=2)
    norms = measured(study)
    for panel, line in zip(panels.flat, lines_of(study), strict=True):
        _draw(panel, line, columns(norms, line.settings))
    for row in panels:
        row[0].set_ylabel(r"mean of $\|\nabla f\|^2$")
    lines = [
        Line2D([], [], label="measured, 95% interval", marker="o", **MEASURED),
        Line2D([], [], label="bound of Theorem 1's proof", **BOUND),
        Line2D([], [], label=r"rate $1/\sqrt{T b \tau}$", **ORDER),
        Line2D([], [], label=r"$L \eta_s \eta_c R^2 \tau = b$", color="black", lw=0.8),
    ]
    finish(figure, study, lines)
    return figure


def _draw(panel: Axes, line: Line, values: np.ndarray) -> None:
    places = line.places
    draw_means(panel, places, list(values.T), MEASURED)
    problem = quadratic().problem
    panel.plot(places, [theorem1_bound(problem, setting) for setting in line.settings], **BOUND)
    if line.symbol == "R":
        panel.axvline(minor_until(line), color="black", lw=0.8)
    else:
        rate = (np.array(places) / places[0]) ** RATE
        panel.plot(places, values.mean(axis=0)[0] * rate, **ORDER)
    panel.set(xscale="log", yscale="log", xlabel=LABELS[line.symbol])
    panel.set_xticks(places, [_power_of_two(place) for place in places])
    panel.minorticks_off()


def _power_of_two(number: int) -> str:
    """Short enough to stand beside others."""
    power = number.bit_length() - 1
    return f"$2^{{{power}}}$" if number == 1 << power and number >= 1000 else str(number)


def claims(study: StudyTables) -> list[Claim]:
    """The bound, the rate, and what the bound says of R."""
    norms = measured(study)
    along = {line.symbol: line for line in lines_of(study)}
    return [
        _below_bound(norms),
        *(_rate(along[symbol], norms) for symbol in ("T", "b", "tau")),
        _hardly_r(along["R"], norms),
        *_stale(study),
    ]


def _below_bound(norms: dict) -> Claim:
    problem, settings = quadratic().problem, list(norms)
    bounds = np.array([theorem1_bound(problem, setting) for setting in settings])
    return Claim(
        "the measured mean of ||grad f||^2 lies below the bound of Theorem 1's proof everywhere "
        "(largest share of it)",
        "Theorem 1",
        columns(norms, settings) / bounds,
        largest,
        high=1,
    )


def _rate(line: Line, norms: dict) -> Claim:
    return Claim(
        f"along {line.symbol} it falls at least as fast as the rate (slope of the logarithms, "
        f"{RATE} within {SLACK})",
        "Corollary 1.1: 1/sqrt(T b tau)",
        columns(norms, line.settings),
        log_slope(np.array(line.places)),
        high=RATE + SLACK,
    )


def _hardly_r(line: Line, norms: dict) -> Claim:
    minor = [setting for setting in line.settings if minor_until(line) >= setting.R]
    return Claim(
        f"while L eta_s eta_c R^2 tau <= b, R hardly matters (R = {minor[-1].R} to {minor[0].R}, "
        f"within {HARDLY:.0%})",
        "asynchrony is not the dominant source of error",
        columns(norms, [minor[-1], minor[0]]),
        ratio,
        1 - HARDLY,
        1 + HARDLY,
    )


def _stale(study: StudyTables) -> list[Claim]:
    requests: pd.DataFrame = study.requests  # type: ignore[attr-defined]
    return [
        Claim(
            "no update is staler than gamma_max, by which the rates were chosen (largest share)",
            "Assumption 4",
            staleness(study, requests),
            largest,
            high=1 + 1e-9,
        )
    ]
