"""Models that cost nothing and tell where they come from."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .state import Known, Request, Update


class SymbolicLearner:
    """Models that are numbers which depend on everything they were made from: equal numbers mean
    equal histories. Accuracies look random; some losses are not finite if asked for."""

    def __init__(self, diverging: int | None = None, sees: Sequence[Sequence[str]] = ()) -> None:
        self.diverging = diverging  # about one version in so many has no finite loss
        self._sees = sees  # of each task: what of ``Known`` a new model depends on; (): nothing

    def initial(self, seed: int, task: int) -> int:
        return hash((1, seed, task))

    def train(self, seed: int, request: Request, model: int) -> tuple[int, float]:
        update = hash((2, seed, request.task, request.number, request.client, model))
        return update, (update >> 9) % 1_000_003 / 1e5  # any loss from 0 to 10

    def aggregate(self, task: int, model: int, updates: list[int], known: Known) -> int:
        seen = [tuple(getattr(known, name)) for name in self.seen_of(task)]
        return hash((3, task, model, *updates, *seen))

    def seen_of(self, task: int) -> Sequence[str]:
        return self._sees[task] if self._sees else ()

    def score(self, task: int, model: int) -> tuple[float, float]:
        is_bad = self.diverging is not None and (model >> 20) % self.diverging == 0
        return model % 1000 / 1000, math.nan if is_bad else float(model % 77)

    def spread(self, updates: list[int]) -> float:
        """Anything from 0 to 10; now and then nothing that requests can be shared out by."""
        number = hash((4, *updates))
        rare = {0: 0.0, 1: math.inf, 2: math.nan}
        return rare.get((number >> 8) % 40, (number >> 20) % 997 / 100)

    def spread_without_biases(self, updates: list[Update]) -> float:
        """Another number; rarely nothing, since one such spoils a whole mean."""
        number = hash((5, *updates))
        return math.nan if (number >> 8) % 300 == 0 else (number >> 20) % 997 / 100
