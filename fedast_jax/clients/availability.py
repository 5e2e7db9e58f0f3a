"""When clients are on: the laws, by name, and what their table may hold.

A law is a class in one file here, a line in ``NEEDS`` and one in ``make_law``; its parameters are
fields of ``config.tables.AvailabilityConfig``.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..config.bounds import MOST_UNLIKE, SHORTEST
from ..config.closest import did_you_mean
from ..config.tables import AvailabilityConfig
from ..config.words import number, show
from .diurnal import Diurnal
from .law_columns import LawColumns
from .names import Names
from .on_off import OnOff
from .on_trace import OnTrace, read_on_trace

NEEDS: dict[str, tuple[str, ...]] = {
    "always": (),
    "on_off": ("mean_on", "mean_off"),
    "diurnal": ("share_on", "period"),
    "trace": ("trace", "period"),
}
"""Law -> the settings that it takes, all of them."""


class OnLaw(Protocol):
    """When the clients of one replicate are on: functions of the arguments alone.

    A client is on during half-open intervals ``[start, end)``, again and again for ever.
    """

    share: float
    """About what part of the clients is on."""

    def stretch(self, client: int, time: float) -> tuple[float, float]:
        """From ``time`` or from when it next comes on, until it goes off; ``start < end``."""
        ...

    def pick(self, names: Names, place: int, time: float) -> tuple[int, float]:
        """Whose turn it is: who is the first that is on, and until when at the least it stays on.

        Returns:
            The turn of ``names[turn][place]``, and a time above ``time``; or -1 and ``time``.
        """
        ...

    def are_on(self, clients: np.ndarray, time: float) -> np.ndarray:
        """Which of ``int64[n]`` clients are on, ``bool[n]``; as ``stretch`` says."""
        ...

    def columns(self) -> LawColumns:
        """What ``compiled_laws.stretch`` works out the same from."""
        ...

    def expect(self, named: np.ndarray, time: float) -> None:
        """Clients who will be asked for next; nothing but speed follows from it.

        Args:
            named: ``int64[turns, dispatches]``; one matters where those of earlier turns are off.
            time: of the first dispatch.
        """
        ...


class Always:
    """Nobody is ever off."""

    share = 1.0

    def stretch(self, client: int, time: float) -> tuple[float, float]:
        """To the end of time."""
        del client
        return time, float("inf")

    def pick(self, names: Names, place: int, time: float) -> tuple[int, float]:
        """The first, for ever."""
        del names, place, time
        return 0, float("inf")

    def are_on(self, clients: np.ndarray, time: float) -> np.ndarray:
        """All."""
        del time
        return np.ones(len(clients), bool)

    def columns(self) -> LawColumns:
        """As in ``OnLaw``."""
        return LawColumns()

    def expect(self, named: np.ndarray, time: float) -> None:
        """Nothing is to be prepared."""


def make_law(settings: AvailabilityConfig, seed: int, num_clients: int) -> OnLaw | None:
    """The law of one replicate; None where everybody is always on.

    Raises:
        DataError: there is no such trace, or it cannot be used.
    """
    one = settings
    if one.law == "on_off":
        assert one.mean_on is not None
        assert one.mean_off is not None
        return OnOff(seed, num_clients, one.mean_on, one.mean_off)
    if one.law == "diurnal" and one.share_on != 1.0:
        assert one.share_on is not None
        assert one.period is not None
        return Diurnal(seed, num_clients, one.share_on, one.period)
    if one.law == "trace":
        assert one.trace is not None
        assert one.period is not None
        return OnTrace(read_on_trace(one.trace, one.period, num_clients), one.period)
    return None


def check_availability(settings: AvailabilityConfig) -> None:
    """Raise ValueError where the law is unknown, or the table lacks a setting or has one more."""
    law = settings.law
    if law not in NEEDS:
        raise ValueError(f"unknown law {show(law)}; {did_you_mean(law, NEEDS)}")
    for name in NEEDS[law]:
        if getattr(settings, name) is None:
            raise ValueError(f"law {law!r} needs {' and '.join(NEEDS[law])}; {name} is missing")
    for name in dict.fromkeys(name for names in NEEDS.values() for name in names):
        if name not in NEEDS[law] and getattr(settings, name) is not None:
            raise ValueError(f"{name} has no meaning for law {law!r}: leave it out")
    _check_times(settings)


def _check_times(settings: AvailabilityConfig) -> None:
    """Raise ValueError where a client would hardly ever come, or hardly ever go."""
    on, off = settings.mean_on, settings.mean_off
    if on is not None and off is not None and max(on, off) > MOST_UNLIKE * min(on, off):
        raise ValueError(
            f"neither of mean_on={number(on)} and mean_off={number(off)} may be more than "
            f"{MOST_UNLIKE:,} times the other"
        )
    share, period = settings.share_on, settings.period
    if share is not None and period is not None and share * period < SHORTEST:
        raise ValueError(
            f"clients must be on for at least {SHORTEST:g} at a time, but share_on="
            f"{number(share)} of period={number(period)} is less"
        )
