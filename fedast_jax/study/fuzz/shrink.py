"""A case that fails made small: what it fails without is left out, and numbers are lowered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ...config.errors import ConfigError
from .cases import Case
from .knobs import Knobs, changed, knobs_of

SECONDS = 120.0
KEPT = ("num_clients", "max_updates", "kind")  # without them a case would be larger, or none
Table = dict[str, Any]


def shrink(case: Case, fails: Callable[[Case], bool], seconds: float = SECONDS) -> Case:
    """A smaller case that fails as well; the first step down that does is taken, again and again.

    Args:
        case: fails.
        fails: whether another one does.
        seconds: after which the smallest so far is good enough.
    """
    end, place = time.monotonic() + seconds, 0
    while True:
        steps = list(smaller_cases(case))
        for offset in range(len(steps)):  # go on where the last step down was
            now = (place + offset) % len(steps)
            if time.monotonic() > end:
                return case
            if fails(steps[now]):
                case, place = steps[now], now
                break
        else:
            return case


def smaller_cases(case: Case) -> Iterator[Case]:
    """Every step down, the largest first."""
    if case.knobs != Knobs():
        yield replace(case, knobs=Knobs(is_real=case.knobs.is_real))
    for table in smaller(case.table):
        yield replace(case, table=table)
    for table in smaller(changed(case.knobs)):
        with suppress(ConfigError):
            yield replace(case, knobs=knobs_of(table))


def smaller(table: Table) -> Iterator[Table]:
    """Without one entry, with one number lowered, or with a smaller table in it."""
    for key in table:
        if key not in KEPT:
            yield {name: value for name, value in table.items() if name != key}
    for key, value in table.items():
        for less in lowered(value):
            yield {**table, key: less}


def lowered(value: Any) -> Iterator[Any]:
    """What is simpler than a value, the simplest first."""
    if isinstance(value, dict):
        yield from smaller(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from sorted({one for one in (0, 1, value // 2, value - 1) if 0 <= one < value})
    elif isinstance(value, float) and value != 1.0:
        yield 1.0
