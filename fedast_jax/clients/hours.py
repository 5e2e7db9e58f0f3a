"""Laws of which a client's next hours are known at once, without a draw."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from .names import Names


class Hours(ABC):
    """What such an ``OnLaw`` can do by ``stretch`` alone."""

    @abstractmethod
    def stretch(self, client: int, time: float) -> tuple[float, float]:
        """As in ``OnLaw``."""

    def pick(self, names: Names, place: int, time: float) -> tuple[int, float]:
        """As in ``OnLaw``."""
        for turn, clients in enumerate(names):
            start, end = self.stretch(clients[place], time)
            if start <= time:
                return turn, end
        return -1, time

    def expect(self, named: np.ndarray, time: float) -> None:
        """Nothing is to be prepared."""
        del named, time
