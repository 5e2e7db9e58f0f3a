"""When clients are on, and what is lost."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import cache
from operator import itemgetter

from ..clients.availability import make_law
from ..clients.delays import Stream, generator
from ..config.settings import Config


class Hours:
    """When clients are on, and what is lost.

    When a client goes on and off is a random draw, and the package's; it is written down here, one
    interval after another, and all else is worked out from that.
    """

    def __init__(self, config: Config, seed: int) -> None:
        self.seed, self.settings, self.num_clients = seed, config.availability, config.num_clients
        self.law = make_law(config.availability, seed, config.num_clients)
        self.written: dict[int, list[tuple[float, float]]] = {}
        self.are_lost = cache(self._are_lost)

    def interval(self, client: int, time: float) -> tuple[float, float]:
        """The one that the time is in, or the next one."""
        if self.law is None:
            return -math.inf, math.inf
        known = self.written.setdefault(client, [])
        while not known or known[-1][1] <= time:
            known.append(self.law.stretch(client, known[-1][1] if known else 0.0))
        return known[bisect_right(known, time, key=itemgetter(1))]

    def is_on(self, client: int, time: float) -> bool:
        return self.interval(client, time)[0] <= time

    def first_on(self, client: int, time: float) -> float:
        """At once, or when it comes on."""
        return max(time, self.interval(client, time)[0])

    def here(self, time: float) -> list[int]:
        """Those that are on."""
        return [one for one in range(self.num_clients) if self.is_on(one, time)]

    def work(self, client: int, ready: float, duration: float) -> tuple[float, float, bool]:
        """From when until when, and whether it is lost because the client goes off."""
        now = start = self.first_on(client, ready)
        while True:
            off = self.interval(client, now)[1]
            if now + duration <= off:
                return start, now + duration, False
            if self.settings.when_off == "lose":
                return start, off, True
            duration -= off - now
            now = self.first_on(client, off)

    def _are_lost(self, index: int, count: int) -> list[bool]:
        """Of the stretch with this number."""
        numbers = generator(self.seed, Stream.LOSS, index).random(count)
        return [number < self.settings.loss for number in numbers.tolist()]
