"""Clients that are on for a part of every day."""

from __future__ import annotations

from math import floor, inf, nextafter

import numpy as np

from .names import Names
from .streams import Stream, generator


class Diurnal:
    """On for ``share`` of every period, from a phase drawn uniformly for each client."""

    def __init__(self, seed: int, num_clients: int, share: float, period: float) -> None:
        """Draw the phases."""
        self.share, self._period, self._length = share, period, share * period
        self._phases = generator(seed, Stream.ON_OFF).random(num_clients) * period
        self._phase_of = self._phases.tolist()

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

    def pick(self, names: Names, place: int, time: float) -> tuple[int, float]:
        """As in ``OnLaw``."""
        for turn, clients in enumerate(names):
            start, end = self.stretch(clients[place], time)
            if start <= time:
                return turn, end
        return -1, time

    def are_on(self, clients: np.ndarray, time: float) -> np.ndarray:
        """As in ``OnLaw``."""
        phases, found = self._phases[clients], np.zeros(len(clients), bool)
        number = np.floor((time - phases) / self._period)
        for near in (number - 1, number, number + 1):
            starts = phases + near * self._period
            found |= (starts <= time) & (time < starts + self._length)
        return found

    def expect(self, named: np.ndarray, time: float) -> None:
        """Nothing is to be prepared."""
