"""The one table of colours: each method keeps its own in every figure, tasks have another set.

Methods have Okabe and Ito's colours and tasks Tol's "muted" ones, two sets that colour-blind
readers tell apart too. Dashes tell apart what shares a colour.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypedDict


class LineStyle(TypedDict):
    """What matplotlib takes."""

    color: str
    ls: str


class Look(NamedTuple):
    """How a method is shown: the paper's name for it, colour and dashes."""

    words: str
    colour: str
    dash: str = "-"


METHODS = {
    "fedast": Look("FedAST", "#0072B2"),
    "fedast:static": Look("FedAST, fixed R (option S)", "#0072B2"),
    "fedast:dynamic": Look("FedAST, R reallocated (option D)", "#56B4E9"),
    "fedast_nobuffer": Look("FedAST-NoBuffer", "#CC79A7"),
    "async_fl": Look("AsyncFL", "#CC79A7", "--"),
    "fedbuff": Look("FedBuff", "#56B4E9", "--"),
    "sync_st": Look("Sync-ST", "#D55E00"),
    "sync_st_no_mitigation": Look("Sync-ST, waiting for all", "#D55E00", "--"),
    "sync_bayes_st": Look("Sync-Bayes-ST", "#009E73"),
    "sync_ucb_st": Look("Sync-UCB-ST", "#E69F00"),
    "fedasync": Look("FedAsync", "#D55E00"),
    "delay_adaptive": Look("delay-adaptive", "#CC79A7"),
    "fadas": Look("FADAS", "#E69F00"),
    "ringmaster": Look("Ringmaster ASGD", "#009E73"),
    "rennala": Look("Rennala SGD", "#56B4E9"),
    "ca2fl": Look("CA²FL", "#000000"),
    "ace": Look("ACE", "#000000", "--"),
    "sequential": Look("one task after the other", "#000000"),
    "centralized": Look("centralized", "#000000", "--"),
}
OTHERS = ("#999999", "#CC79A7", "#E69F00", "#009E73", "#56B4E9", "#D55E00")  # not in the table
TASKS = ("#332288", "#CC6677", "#117733", "#DDCC77", "#88CCEE", "#882255", "#44AA99", "#AA4499")
DASHES = ("-", "--", ":", "-.")
TARGET: LineStyle = {"color": "black", "ls": "--"}


def method_styles(labels: Iterable[str]) -> dict[str, LineStyle]:
    """The line of each method, by its label; that of one from a named folder is ``"A: fedast"``.

    A method has its colour whatever it is shown with; where it is there several times, its other
    lines have other dashes.
    """
    styles: dict[str, LineStyle] = {}
    for label in labels:
        taken = [(style["color"], style["ls"]) for style in styles.values()]
        colour, dash = _colour(label, len(styles))
        dashes = [dash, *(style for style in DASHES if style != dash)]
        free = [style for style in dashes if (colour, style) not in taken]
        styles[label] = {"color": colour, "ls": free[0] if free else dash}
    return styles


def task_style(number: int) -> LineStyle:
    """The line of the task of this number; neighbours differ in their dashes too."""
    return {"color": TASKS[number % len(TASKS)], "ls": DASHES[number % len(DASHES)]}


def in_words(label: str) -> str:
    """A method as the paper calls it; where it was named with its folder, with that before it."""
    folder, colon, method = label.rpartition(": ")
    look = METHODS.get(method)
    return plain(f"{folder}{colon}{look.words if look else method}")


def plain(text: str) -> str:
    """A text that matplotlib shows as it is: no formula, and not left out of the legend."""
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def _colour(label: str, number: int) -> tuple[str, str]:
    look = METHODS.get(label.rpartition(": ")[2])
    return (look.colour, look.dash) if look else (OTHERS[number % len(OTHERS)], "-")
