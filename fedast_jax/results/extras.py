"""Names of the tables that ``--save`` adds to a run folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

EXTRAS = ("requests", "models", "partition")


def check_extras(result: Any, extras: Iterable[str]) -> list[str]:
    """As a list.

    Raises:
        ValueError: there is no such table, or the run has not kept it.
    """
    wanted = list(extras)
    for name in wanted:
        if name not in EXTRAS:
            raise ValueError(f"extras are {', '.join(EXTRAS)}, got {name!r}")
        if name != "partition":
            getattr(result, name)()
    return wanted
