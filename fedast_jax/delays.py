"""Client speeds and duration laws: which client a dispatch reaches, and how long it takes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np
from scipy.special import ndtri

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


def check_delays(law: str, speeds: Sequence[float], shares: Sequence[float]) -> None:
    """Raise ValueError where the law is unknown or the client classes do not add up."""
    if law not in LAWS:
        near = difflib.get_close_matches(law, LAWS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {sorted(LAWS)}"
        raise ValueError(f"unknown delay law {law!r}; {hint}")
    if len(speeds) != len(shares):
        raise ValueError(f"speeds and shares must have one length, got {speeds} and {shares}")
    if abs(sum(shares) - 1.0) > 1e-9:
        raise ValueError(f"shares must add up to 1, got {shares}")


def generator(seed: int, stream: Stream, counter: int = 0) -> np.random.Generator:
    """The counter-based generator of one stream of a replicate, from a place in it."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, counter]))


def client_speeds(
    seed: int, num_clients: int, speeds: Sequence[float], shares: Sequence[float]
) -> np.ndarray:
    """Speed class of every client, ``int8[num_clients]``: exact shares in random order."""
    ends = np.rint(np.cumsum(shares) * num_clients).astype(np.int64)
    classes = np.zeros(num_clients, np.int8)
    for index, end in enumerate(ends[:-1]):
        classes[end:] = index + 1
    generator(seed, Stream.SPEED).shuffle(classes)
    return classes


class Dispatches:
    """The replicate's random stream of dispatches: number -> client and time of one local step.

    Entry i belongs to the i-th attempt to dispatch, whatever its task, so that two settings with
    one seed meet the same clients and the same quantiles (common random numbers).
    """

    def __init__(self, seed: int, num_clients: int, law: str, classes: np.ndarray, speeds) -> None:
        self._seed, self._num_clients, self._law = seed, num_clients, LAWS[law]
        self._classes, self._speeds = classes, np.asarray(speeds, np.float64)

    def chunk(self, index: int) -> tuple[list[int], list[float]]:
        """Entries ``CHUNK * index`` up to ``CHUNK * (index + 1)``: clients, step times / beta."""
        uniforms = generator(self._seed, Stream.DISPATCH, index).random((2, CHUNK))
        clients = (uniforms[0] * self._num_clients).astype(np.int64)
        steps = self._law(np.clip(uniforms[1], 2.0**-54, None))
        return clients.tolist(), (steps * self._speeds[self._classes[clients]]).tolist()
