"""Independent streams of random numbers, each to be entered at any place."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15  # 2^64 / golden ratio, odd: steps that never meet


class Stream(IntEnum):
    """Independent random streams of one replicate (the second word of the Philox key)."""

    DISPATCH = 0
    SPEED = 1
    HAND_ON = 2
    PARTITION = 3
    CANDIDATES = 4  # clients that a round may be given to
    ON_OFF = 5  # when clients are on
    OTHERS = 6  # clients asked where those drawn first are off
    SEARCH = 7  # and where these are off, too
    LOSS = 8  # requests that are lost on their way


def generator(seed: int, stream: Stream, counter: int = 0) -> np.random.Generator:
    """The counter-based generator of one stream of a replicate, from a place in it."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, counter]))


def mix(word: Any) -> Any:
    """A bijection of 64-bit words, int or ``uint64[n]``, that makes random words of counters.

    Reference:
        The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    """
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & WORD
    return word ^ (word >> 31)


def uniform(words: np.ndarray) -> np.ndarray:
    """Random words to numbers in [0, 1), ``float64[n]``: their upper 53 bits."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
