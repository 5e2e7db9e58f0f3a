"""Algorithms by name: each lays out a replicate's events; the engine never knows which it runs."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..events import EventLog
from . import fedast

if TYPE_CHECKING:
    from ..config import Config

MakeTimeline = Callable[["Config", int], EventLog]

ALGORITHMS: dict[str, MakeTimeline] = {"fedast": fedast.make_timeline}
"""``(config, seed) -> timeline`` of one replicate at time 0, by the name in the configuration."""


def get_algorithm(name: str) -> MakeTimeline:
    """The algorithm of this name.

    Raises:
        ValueError: if there is none; the message names the nearest one.
    """
    if name not in ALGORITHMS:
        near = difflib.get_close_matches(name, ALGORITHMS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {sorted(ALGORITHMS)}"
        raise ValueError(f"unknown algorithm {name!r}; {hint}")
    return ALGORITHMS[name]
