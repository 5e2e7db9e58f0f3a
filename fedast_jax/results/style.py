"""How pictures look: one style for all; in print readable at a column's width.

Colours are in ``palette``: a method has one colour everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl

COLUMN = 3.3  # inches: of a page with two columns
PAGE = 6.9
DPI = 300  # of a PNG
BAND = 0.2  # how strong an interval's colour is

SCREEN: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "pdf.fonttype": 42,  # letters stay letters
}
PRINT = SCREEN | {
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.titlesize": 7,
    "errorbar.capsize": 1.5,
    "font.size": 7,
    "grid.linewidth": 0.4,
    "legend.fontsize": 6.5,
    "legend.handlelength": 1.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
}

Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


def for_print(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """A function that draws or writes, in the style for print."""
    return _styled(draw, PRINT)


def for_screen(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """A function that draws or writes, in the style for a screen."""
    return _styled(draw, SCREEN)


def _styled(draw: Callable[Arguments, Drawn], style: dict[Any, Any]) -> Callable[Arguments, Drawn]:
    @wraps(draw)
    def styled(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        with mpl.rc_context(style):
            return draw(*args, **kwargs)

    return styled
