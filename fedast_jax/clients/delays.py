"""Client speeds and duration laws: which client a dispatch reaches, and how long it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from ..config.closest import did_you_mean
from ..config.tables import TRACE, DelayConfig
from .trace import ClientTrace, read_trace

Law = Callable[[np.ndarray], np.ndarray]
CHUNK = 2048  # dispatches drawn at once; part of the random stream's definition


class Stream(IntEnum):
    """Independent random streams of one replicate (the second word of the Philox key)."""

    DISPATCH = 0
    SPEED = 1
    HAND_ON = 2
    PARTITION = 3
    CANDIDATES = 4  # clients that a round may be given to


def shifted_exponential(u: np.ndarray) -> np.ndarray:
    """``P(X <= x) = 1 - exp(-(x - 1) / 2)`` for x >= 1: mean 3 (paper, Appendix C.6)."""
    return 1.0 - 2.0 * np.log1p(-u)


def shifted_uniform(u: np.ndarray) -> np.ndarray:
    """Uniform on [1, 5]: the same least duration and mean as the shifted exponential."""
    return 1.0 + 4.0 * u


def half_normal(u: np.ndarray) -> np.ndarray:
    """``|Z|`` of a normal Z, scaled to mean 3; durations near 0 occur."""
    return -3.0 * np.sqrt(np.pi / 2) * ndtri(0.5 * (1.0 - u))


def lognormal(u: np.ndarray) -> np.ndarray:
    """``exp(Z - 1/2)`` scaled to mean 3 (log-standard deviation 1)."""
    return 3.0 * np.exp(ndtri(u) - 0.5)


def constant(u: np.ndarray) -> np.ndarray:
    """Always the mean, 3."""
    return np.full_like(u, 3.0)


LAWS: dict[str, Law] = {
    "shifted_exponential": shifted_exponential,
    "shifted_uniform": shifted_uniform,
    "half_normal": half_normal,
    "lognormal": lognormal,
    "constant": constant,
}
"""Quantile functions in units of beta: a uniform number in (0, 1) to the time of one local step."""


def check_delays(delays: DelayConfig) -> None:
    """Raise ValueError where the law is unknown or the client classes do not add up."""
    names = [*LAWS, TRACE]
    if delays.law not in names:
        raise ValueError(f"unknown delay law {delays.law!r}; {did_you_mean(delays.law, names)}")
    if delays.law == TRACE:
        _check_trace(delays)
        return
    for name in ("trace", "trace_scale", "classes"):
        if getattr(delays, name) != type(delays).model_fields[name].default:
            raise ValueError(f"{name} has a meaning for law 'trace' only, got law {delays.law!r}")
    _check_shares("speeds", delays.speeds, delays.shares)


def _check_trace(delays: DelayConfig) -> None:
    """A trace names its device classes itself: classes and shares go together or not at all."""
    if delays.trace is None:
        raise ValueError("law 'trace' needs trace, the path of a .csv or .parquet file")
    if delays.speeds:
        raise ValueError(
            f"speeds have no meaning for law 'trace', whose devices are as fast as they were "
            f"recorded: leave them out, got {delays.speeds}"
        )
    if len(set(delays.classes)) < len(delays.classes):
        raise ValueError(f"classes must differ, got {delays.classes}")
    if delays.classes or delays.shares:
        _check_shares("classes", delays.classes, delays.shares)


def _check_shares(name: str, values: Sequence[object], shares: Sequence[float]) -> None:
    if len(values) != len(shares):
        raise ValueError(f"{name} and shares must have one length, got {values} and {shares}")
    if abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"shares must add up to 1, got {shares}")


def generator(seed: int, stream: Stream, counter: int = 0) -> np.random.Generator:
    """The counter-based generator of one stream of a replicate, from a place in it."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, counter]))


def client_speeds(
    seed: int, num_clients: int, speeds: Sequence[float], shares: Sequence[float]
) -> np.ndarray:
    """Speed class of every client, ``int[num_clients]``: exact shares in random order."""
    ends = np.rint(np.cumsum(shares) * num_clients).astype(np.int64)
    classes = np.zeros(num_clients, np.int8 if len(shares) <= 128 else np.int32)
    for index, end in enumerate(ends[:-1]):
        classes[end:] = index + 1
    generator(seed, Stream.SPEED).shuffle(classes)
    return classes


class ClientDelays(NamedTuple):
    """How long the clients of one replicate take."""

    law: str | ClientTrace  # a name in ``LAWS``, or what was recorded
    classes: np.ndarray  # int[num_clients]
    speeds: Sequence[float]  # of each class; a trace needs none

    def of_clients(self) -> np.ndarray:
        """Every client's speed, ``float64[num_clients]``."""
        return np.asarray(self.speeds, np.float64)[self.classes]


def client_delays(delays: DelayConfig, seed: int, num_clients: int) -> ClientDelays:
    """Draw which client is of which class.

    Raises:
        DataError: there is no such trace, or it cannot be used.
    """
    if delays.trace is None:
        classes = client_speeds(seed, num_clients, delays.speeds, delays.shares)
        return ClientDelays(delays.law, classes, delays.speeds)
    trace = read_trace(delays.trace)
    if delays.classes:
        trace = trace.of_classes(delays.classes, delays.trace)
    ones = [1.0] * len(trace.classes)
    classes = client_speeds(seed, num_clients, ones, delays.shares or trace.shares)
    return ClientDelays(ClientTrace(trace, classes), classes, ones)


def duration_scale(delays: DelayConfig, num_steps: int, step_time: float) -> float:
    """What a draw of the law is multiplied by: tau * beta, or the trace's own factor.

    Recorded durations are those of whole requests: neither tau nor beta changes them.
    """
    return num_steps * step_time if delays.trace is None else delays.trace_scale


def draw_times(
    law: str | ClientTrace, clients: np.ndarray, speeds: np.ndarray, u: np.ndarray
) -> np.ndarray:
    """Times in units of ``duration_scale``, ``float64[n]``.

    Args:
        law: a name in ``LAWS``, or what was recorded.
        clients: ``int[n]``.
        speeds: theirs, ``float64[n]``.
        u: ``float64[n]``, uniform in (0, 1).
    """
    return LAWS[law](u) * speeds if isinstance(law, str) else law.durations(clients, u)


class Dispatches:
    """The replicate's random stream of dispatches: number -> client and time.

    Entry i belongs to the i-th attempt to dispatch, whatever its task, so that two settings with
    one seed meet the same clients and the same quantiles (common random numbers).
    """

    def __init__(
        self,
        seed: int,
        num_clients: int,
        law: str | ClientTrace,
        classes: np.ndarray,
        speeds: Sequence[float],
    ) -> None:
        self._seed, self._num_clients, self._law = seed, num_clients, law
        self._classes, self._speeds = classes, np.asarray(speeds, np.float64)

    def chunk(self, index: int) -> tuple[list[int], list[float]]:
        """Entries ``CHUNK * index`` up to ``CHUNK * (index + 1)``: clients, times.

        These are in units of ``duration_scale``: step times / beta, or recorded durations.
        """
        uniforms = generator(self._seed, Stream.DISPATCH, index).random((2, CHUNK))
        clients = (uniforms[0] * self._num_clients).astype(np.int64)
        speeds = self._speeds[self._classes[clients]]
        u = np.clip(uniforms[1], 2.0**-54, None)
        return clients.tolist(), draw_times(self._law, clients, speeds, u).tolist()
