"""How much an update counts by its age: Xie et al. (2019), Section 5.2; Nguyen et al. (2022)."""

from __future__ import annotations

from collections.abc import Callable

LAWS: dict[str, Callable[..., float]] = {
    "constant": lambda staleness, a, bound: 1.0,
    "polynomial": lambda staleness, a, bound: (1 + staleness) ** -a,
    "hinge": lambda staleness, a, bound: (
        1.0 if staleness <= bound else 1 / (a * (staleness - bound) + 1)
    ),
}
"""``(staleness, a, bound) -> s``, by the task's ``staleness``."""
