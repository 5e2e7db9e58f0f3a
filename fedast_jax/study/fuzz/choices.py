"""Where a scenario's numbers come from: a seed here, Hypothesis in the tests."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

T = TypeVar("T")


class Choices(Protocol):
    """Whom a scenario asks for its numbers."""

    def whole(self, least: int, most: int) -> int:
        """A whole number between two, which it may equal."""
        ...

    def one_of(self, values: Sequence[T]) -> T:
        """One of several."""
        ...

    def coin(self) -> bool:
        """Yes or no."""
        ...


class Seeded:
    """The same choices for the same seed: of Python's generator only what never changes is used."""

    def __init__(self, seed: int) -> None:
        self._uniform = Random(seed).random

    def whole(self, least: int, most: int) -> int:
        """Each with the same chance."""
        return least + int(self._uniform() * (most - least + 1))

    def one_of(self, values: Sequence[T]) -> T:
        """Each with the same chance."""
        return values[self.whole(0, len(values) - 1)]

    def coin(self) -> bool:
        """One time in two."""
        return self.one_of((False, True))

    def one_in(self, number: int) -> bool:
        """Yes, one time in so many."""
        return self.whole(1, number) == 1
