"""Clients that are on for a part of every day."""

from __future__ import annotations

from math import floor, inf, nextafter

import numpy as np

from .hours import Hours
from .law_columns import DIURNAL, LawColumns
from .streams import Stream, generator


class Diurnal(Hours):
    """On for ``share`` of every period, from a phase drawn uniformly for each client."""

    def __init__(self, seed: int, num_clients: int, share: float, period: float) -> None:
        """Draw the phases."""
        self.share, self._period, self._length = share, period, share * period
        self._phases = generator(seed, Stream.ON_OFF).random(num_clients) * period
        self._phase_of = self._phases.tolist()

    def columns(self) -> LawColumns:
        """As in ``OnLaw``."""
        numbers = np.array([self._period, self._length, self.share])
        return LawColumns(DIURNAL, numbers, starts=self._phases)

    def stretch(self, client: int, time: float) -> tuple[float, float]:
        """As in ``OnLaw``."""
        phase, period, length = self._phase_of[client], self._period, self._length
        number = floor((time - phase) / period) - 1
        end = phase + number * period + length
        while end <= time:
            number += 1
            end = phase + number * period + length
        start = phase + number * period
        if start <= time:
            start = time
        return start, end if end > start else nextafter(start, inf)

    def are_on(self, clients: np.ndarray, time: float) -> np.ndarray:
        """As in ``OnLaw``."""
        phases, found = self._phases[clients], np.zeros(len(clients), bool)
        number = np.floor((time - phases) / self._period)
        for near in (number - 1, number, number + 1):
            starts = phases + near * self._period
            found |= (starts <= time) & (time < starts + self._length)
        return found
