"""What a comparison compares: an algorithm's name, or ``NAME:ALLOCATION``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..config.words import show
from . import get_algorithm

ALLOCATIONS = ("static", "dynamic")


class Label(NamedTuple):
    """One side of a comparison."""

    text: str  # as the user wrote it
    algorithm: str
    allocation: str | None  # None: as configured

    @property
    def settings(self) -> dict[str, str]:
        """What it changes of a configuration."""
        allocation = {} if self.allocation is None else {"allocation": self.allocation}
        return {"algorithm": self.algorithm, **allocation}


def parse_label(label: str) -> Label:
    """``"sync_st"``, ``"fedast:static"`` (option S) or ``"fedast:dynamic"`` (option D).

    Raises:
        ValueError: there is no such algorithm, or it does not allocate that way.
    """
    name, colon, allocation = label.partition(":")
    algorithm = get_algorithm(name)
    if not colon:
        return Label(label, name, None)
    if algorithm.is_synchronous:
        raise ValueError(
            f"{show(label)}: {name!r} is synchronous and has no allocation; write {name!r}"
        )
    if allocation not in ALLOCATIONS:
        words = " or ".join(f"{name}:{word}" for word in ALLOCATIONS)
        raise ValueError(f"unknown allocation in {show(label)}; write {words}")
    return Label(label, name, allocation)


def check_labels(labels: Sequence[str], allocation: str) -> None:
    """Raise ValueError where labels are unknown, the same, or only one.

    Args:
        labels: what to compare; empty: nothing.
        allocation: of those that name none.
    """
    label_of: dict[tuple[str, str | None], str] = {}
    for label in map(parse_label, labels):
        is_synchronous = get_algorithm(label.algorithm).is_synchronous
        key = label.algorithm, None if is_synchronous else label.allocation or allocation
        if key in label_of:
            raise ValueError(f"{label_of[key]!r} and {label.text!r} are the same; leave one out")
        label_of[key] = label.text
    if len(label_of) == 1:
        raise ValueError(f"a comparison needs at least two algorithms, got only {labels[0]!r}")
