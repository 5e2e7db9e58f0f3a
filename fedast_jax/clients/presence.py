"""Who can be asked, from when until when a client works, when it is back, and what is lost.

All algorithms ask here; they do not know by which law clients come and go.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..config.errors import ConfigError
from ..config.tables import AvailabilityConfig
from .availability import Always, OnLaw, make_law
from .streams import Stream, generator

FIRST_TRIES = 64  # clients that a search looks at together, before it looks at more
MOST_STRETCHES = 100_000  # for which one request may be worked on
MOST_LOST = 100_000  # requests that are lost one after the other


class Work(NamedTuple):
    """One request at its client."""

    start: float
    end: float  # when it is done, or is found out to be lost
    is_lost: bool


class Presence:
    """The clients of one replicate as they come and go: functions of the arguments alone."""

    def __init__(
        self,
        law: OnLaw,
        seed: int,
        num_clients: int,
        *,
        loses_work: bool = False,
        loss: float = 0.0,
    ) -> None:
        """Put together what holds for the replicate.

        Args:
            law: when clients are on.
            seed, num_clients: of the replicate.
            loses_work: whether a request is lost when its client goes off; otherwise it waits.
            loss: the share of requests that are lost on their way.
        """
        self.law, self.num_clients = law, num_clients
        self._seed, self._loses_work, self._loss = seed, loses_work, loss

    @property
    def is_always(self) -> bool:
        """Whether nobody is ever off."""
        return isinstance(self.law, Always)

    def work(self, client: int, ready: float, duration: float) -> Work:
        """When a client that is free from ``ready`` on begins, and when it is done.

        Where it goes off in between the work goes on when it is back, or is lost at that moment.

        Raises:
            ConfigError: it comes and goes so often that it would never be done.
        """
        start, off = self.law.stretch(client, ready)
        if start + duration <= off:
            return Work(start, start + duration, False)
        if self._loses_work:
            return Work(start, off, True)
        left, begin = duration - (off - start), off
        for _ in range(MOST_STRETCHES):
            begin, off = self.law.stretch(client, off)
            if begin + left <= off:
                return Work(start, begin + left, False)
            left -= off - begin
        raise ConfigError(
            f"a request of duration {duration:g} was interrupted over {MOST_STRETCHES:,} times, "
            f"since clients are on for so short a time: give longer ones in [availability]"
        )

    def search(self, place: int, time: float) -> int | None:
        """A client drawn uniformly among all that are on; None where nobody is.

        Of ever more clients drawn at random the first that is on; where as many as there are have
        been tried, of a list of those who are.

        Args:
            place: a number that no other search of the replicate has.
            time: when they are to be on.
        """
        random = generator(self._seed, Stream.SEARCH, place)
        tries = FIRST_TRIES
        while tries < self.num_clients:
            clients = random.integers(self.num_clients, size=tries)
            on = clients[self.law.are_on(clients, time)]
            if len(on):
                return int(on[0])
            tries *= 4
        present = self.present(time)
        return int(present[random.integers(len(present))]) if len(present) else None

    def present(self, time: float) -> np.ndarray:
        """All who are on, ``int64[n]`` in order."""
        return np.flatnonzero(self.law.are_on(np.arange(self.num_clients), time))

    def first_on(self, time: float) -> float:
        """When the first client is on, from ``time`` on."""
        everybody = np.arange(self.num_clients)
        self.law.expect(everybody[None], time)
        return min(self.law.stretch(client, time)[0] for client in everybody.tolist())

    def somebody_on(self, time: float) -> float:
        """The same, fast where somebody is on already."""
        return time if len(self.present(time)) else self.first_on(time)

    def are_lost(self, index: int, count: int) -> np.ndarray:
        """Which of a stretch of requests are lost on their way, ``bool[count]``.

        Args:
            index: of the stretch.
            count: requests in it.
        """
        if not self._loss:
            return np.zeros(count, bool)
        return generator(self._seed, Stream.LOSS, index).random(count) < self._loss


def make_presence(settings: AvailabilityConfig, seed: int, num_clients: int) -> Presence | None:
    """That of one replicate; None where everybody is always on and nothing is lost.

    Raises:
        DataError: there is no such trace, or it cannot be used.
    """
    law = make_law(settings, seed, num_clients)
    if law is None and not settings.loss:
        return None
    loses_work = settings.when_off == "lose"
    return Presence(law or Always(), seed, num_clients, loses_work=loses_work, loss=settings.loss)


def always(num_clients: int) -> Presence:
    """Everybody is on, and nothing is lost."""
    return Presence(Always(), 0, num_clients)


def check_losses(num_lost: int) -> None:
    """Raise ConfigError where so many requests were lost in a row that no run would ever end."""
    if num_lost >= MOST_LOST:
        raise ConfigError(
            f"{MOST_LOST:,} requests were lost one after the other and none arrived: in "
            f"[availability] let clients be on for longer, give when_off='wait', or lower loss"
        )
