"""What a task's tests measure, and which way is better."""

from __future__ import annotations

from typing import Literal, NamedTuple

Word = Literal["at least", "at most"]
ACCURACY = "accuracy"


class Goal(NamedTuple):
    """A metric by its name, and on which side of a target a task has met it."""

    metric: str = ACCURACY
    word: Word = "at least"

    @property
    def is_accuracy(self) -> bool:
        """Whether it is the share of examples whose class was found: people read it in percent."""
        return self.metric == ACCURACY

    @property
    def is_less_better(self) -> bool:
        """Whether a small value is a good one."""
        return self.word == "at most"

    @property
    def column(self) -> str:
        """Of the tables of tests and of lanes."""
        return ACCURACY if self.is_accuracy else "metric"

    @property
    def scale(self) -> float:
        """What values are multiplied by before a person reads them."""
        return 100.0 if self.is_accuracy else 1.0

    @property
    def label(self) -> str:
        """Of an axis."""
        return "test accuracy (%)" if self.is_accuracy else f"test {self.metric}"

    def is_met(self, value: float, target: float) -> bool:
        """Whether a test has reached its target."""
        return value <= target if self.is_less_better else value >= target

    def show(self, value: float, percent: str = ".1%", number: str = ".4g") -> str:
        """A value as a person reads it, accuracies in the first format and others in the second."""
        return format(value, percent if self.is_accuracy else number)
