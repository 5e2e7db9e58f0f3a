"""Which clients and which stretch of simulated time a trace or a picture shows."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from ..config.errors import ConfigError
from ..config.words import show

MOST_RANGES = 1000
RANGE = re.compile(r"\s*(\d{1,12})\s*(?:-\s*(\d{1,12})\s*)?")


class Window(NamedTuple):
    """Ranges of clients, both ends included (none: all), and simulated time."""

    clients: tuple[tuple[int, int], ...] = ()
    start: float = 0.0
    stop: float = math.inf

    @classmethod
    def parse(
        cls, clients: str | None, start: float | None, stop: float | None, num_clients: int
    ) -> Window:
        """From what the user gave.

        Raises:
            ConfigError: there are no such clients, or no such time.
        """
        begin, end = start or 0.0, math.inf if stop is None else stop
        if math.isnan(begin) or math.isnan(end) or begin < 0 or not begin < end:
            raise ConfigError(
                f"--from and --to are simulated times, 0 or later, --from the earlier one; got "
                f"{begin:g} and {end:g}"
            )
        ranges = () if clients is None else _ranges(clients, num_clients)
        return cls(ranges, begin, end)

    def has_client(self, clients: np.ndarray) -> np.ndarray:
        """Which of some clients are shown: ``bool[n]``."""
        if not self.clients:
            return np.ones(len(clients), bool)
        return np.logical_or.reduce(
            [(first <= clients) & (clients <= last) for first, last in self.clients]
        )

    def overlaps(self, begin: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Which of some stretches of time are shown, at least in part."""
        return (end >= self.start) & (begin < self.stop)

    def holds(self, times: np.ndarray) -> np.ndarray:
        """Which of some moments are shown."""
        return (times >= self.start) & (times < self.stop)


def _ranges(text: str, num_clients: int) -> tuple[tuple[int, int], ...]:
    parts = text.split(",")
    matches = [RANGE.fullmatch(part) for part in parts[:MOST_RANGES]]
    found = [(int(one[1]), int(one[2] or one[1])) for one in matches if one]
    if len(found) < len(parts) or any(first > last for first, last in found):
        raise ConfigError(
            f"--clients takes numbers and ranges, at most {MOST_RANGES}, such as 0-19,40; got "
            f"{show(text)}"
        )
    most = max(last for _, last in found)
    if most >= num_clients:
        raise ConfigError(f"there are clients 0 to {num_clients - 1}; got --clients {show(text)}")
    return tuple(found)
