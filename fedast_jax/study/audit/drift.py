"""How far apart the same training in another order of sums may be.

In float64 hardly: the tolerance is that of rounding. In float32 a unit that is just on the other
side of a kink (a ReLU, a maximum) makes a jump of a thousandth of what is a rounding error, and
from there on the two trainings drift apart for good. So each test may be off by much, but no test
may be off alone: who has drifted away does not come back to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .compare import is_close
from .findings import Difference

CALM = 3  # tests in a row that agree to the last digits: nothing had drifted before them


class Tolerance(NamedTuple):
    """What may be off."""

    examples: int  # of the test set, and beside them
    metric: float  # absolute
    loss: float  # relative
    model: float  # of a leaf's norm

    def allows(self, expected: Measured, found: Measured, num_tests: int) -> str | None:
        """None, or which of ``"metric"`` and ``"loss"`` is off by too much."""
        examples = self.examples / num_tests
        if not is_close(expected[0], found[0], examples + self.metric, 1e-9):
            return "metric"
        return None if is_close(expected[1], found[1], 0.0, self.loss) else "loss"


Measured = tuple[float, float]  # metric and loss of a test
SAME = {"float64": Tolerance(0, 0.0, 1e-7, 1e-6)}
ALIKE = Tolerance(1, 0.0, 1e-4, 1e-4)  # in float32, before anything has drifted
FAR = Tolerance(2, 0.05, 0.5, 0.5)


def strict(precision: str) -> Tolerance:
    """Of what has not drifted."""
    return SAME.get(precision, ALIKE)


def lenient(precision: str) -> Tolerance:
    """Of what may have."""
    return SAME.get(precision, FAR)


@dataclass
class Drift:
    """The tests of one task of one replicate, in order."""

    first_off: Difference | None = None
    num_calm: int = 0

    def add(self, off: Difference | None) -> None:
        """The next test, with what is off by more than ``strict``.

        Raises:
            Difference: an earlier one was off, and this one and those before it are not.
        """
        self.num_calm = 0 if off else self.num_calm + 1
        self.first_off = self.first_off or off
        if self.first_off and self.num_calm >= CALM:
            raise self.first_off

    def end(self, is_model_alike: bool) -> None:
        """Raise Difference where a test was off, and the model in the end is not."""
        if self.first_off and is_model_alike:
            raise self.first_off
