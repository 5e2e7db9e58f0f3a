"""The laws of availability as plain columns, for compiled code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

ALWAYS, DIURNAL, TRACE, ON_OFF = range(4)


class LawColumns(NamedTuple):
    """One law of one replicate; each uses what it needs."""

    kind: int = ALWAYS
    numbers: np.ndarray = np.zeros(3)  # period, length of what it repeats, share
    key: np.uint64 = np.uint64(0)  # of random words
    first: np.ndarray = np.zeros(0, np.int64)  # of each client, among ``starts`` and ``ends``
    starts: np.ndarray = np.zeros(0)
    ends: np.ndarray = np.zeros(0)
