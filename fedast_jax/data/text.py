"""Text divided over clients: one array of characters, and where each client's windows start.

A sample is a window of 80 characters and the character that follows. No window is ever cut out on
the host: a sample is the place in the array where its window starts.

Reference:
    LEAF (Caldas et al., 2019), data set Shakespeare: a client is a speaking role of a play; the
    first 80% of its samples train; of the rest, those whose windows do not reach back into the
    training windows test.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from .errors import DataError
from .partition import check_clients, stream

SYMBOLS = "\n !\"&'(),-.0123456789:;>?ABCDEFGHIJKLMNOPQRSTUVWXYZ[]abcdefghijklmnopqrstuvwxyz}"
WINDOW = 80  # characters that a prediction is made from
SHORTEST_TEXT = 160  # characters that make a role a client: 64 training samples, one batch
TRAIN_PERCENT = 80
ROLES = 4  # what a stream of random numbers is for, beside those of partition.py

_UNKNOWN = len(SYMBOLS)
_CODES = np.full(129, _UNKNOWN, np.uint8)  # the last entry stands for all that is not ASCII
_CODES[[ord(symbol) for symbol in SYMBOLS]] = np.arange(len(SYMBOLS), dtype=np.uint8)

log = logging.getLogger(__name__)


class ClientText(NamedTuple):
    """What one source says of one client."""

    name: str
    text: str
    train_starts: np.ndarray  # int[n], in ascending order
    test_starts: np.ndarray  # int[m]


class TextDataset(NamedTuple):
    """A text in memory, and the windows of every client."""

    name: str
    text: np.ndarray  # uint8[characters], positions in SYMBOLS
    train_starts: np.ndarray  # int32[num_train], the clients' windows one after the other
    test_starts: np.ndarray  # int32[num_test], of all clients
    clients: tuple[str, ...]  # those with training windows
    first_window: np.ndarray  # int32[clients]: where a client's part of train_starts begins
    num_windows: np.ndarray  # int32[clients]: and how long it is, at least 1
    num_unknown: int  # characters outside SYMBOLS, now spaces
    source: str  # in words: where the text came from


def split_text(name: str, text: str) -> ClientText:
    """Divide the samples of a role's whole text as LEAF does.

    Of ``n = len(text) - 80`` samples the first ``0.8 n`` train; the last test, from the first one
    on whose window shares no character with a training window (79 samples are left out).
    """
    num_samples = max(0, len(text) - WINDOW)
    num_train = num_samples * TRAIN_PERCENT // 100
    first_test = min(num_train + WINDOW - 1, num_samples)
    return ClientText(name, text, np.arange(num_train), np.arange(first_test, num_samples))


def make_text_dataset(name: str, clients: Iterable[ClientText], source: str) -> TextDataset:
    """Join the clients' texts; clients without training windows only lend their test windows.

    Raises:
        DataError: nothing to train or nothing to test on, or too much text for 32-bit positions.
    """
    clients = list(clients)
    encoded = [encode(client.text) for client in clients]
    sizes = np.array([len(codes) for codes, _ in encoded], np.int64)
    offsets = np.cumsum(sizes) - sizes
    if sizes.sum() >= 2**31:
        raise DataError(f"{source} holds {sizes.sum():,} characters, of which 2**31 are too many")
    train = _join([client.train_starts for client in clients], offsets)
    test = _join([client.test_starts for client in clients], offsets)
    if not len(train) or not len(test):
        which = "testing" if len(train) else "training"
        raise DataError(f"{source} leaves no sample for {which}: its texts are too short")
    num_windows = np.array([len(client.train_starts) for client in clients], np.int32)
    is_client = num_windows > 0
    first_window = (np.cumsum(num_windows) - num_windows).astype(np.int32)
    num_unknown = sum(number for _, number in encoded)
    report_unknown(source, num_unknown)
    return TextDataset(
        name,
        np.concatenate([codes for codes, _ in encoded]),
        train,
        test,
        tuple(client.name for client in clients if len(client.train_starts)),
        first_window[is_client],
        num_windows[is_client],
        num_unknown,
        source,
    )


def _join(starts: Sequence[np.ndarray], offsets: np.ndarray) -> np.ndarray:
    parts = [
        np.asarray(own_starts) + offset for own_starts, offset in zip(starts, offsets, strict=True)
    ]
    return np.concatenate([np.zeros(0, np.int32), *parts]).astype(np.int32)


def encode(text: str) -> tuple[np.ndarray, int]:
    """Characters as positions in ``SYMBOLS``; how many were not in it and became spaces."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
    codes = _CODES[np.minimum(points, len(_CODES) - 1)]
    is_unknown = codes == _UNKNOWN
    codes[is_unknown] = SYMBOLS.index(" ")
    return codes, int(is_unknown.sum())


def decode(codes: np.ndarray) -> str:
    """The text of an array of codes."""
    return "".join(SYMBOLS[code] for code in codes)


@functools.cache
def report_unknown(source: str, number: int) -> None:
    """Say, once for each source, how many characters became spaces."""
    if number:
        log.warning(
            "characters outside the %d known symbols, read as spaces: %d (%s)",
            *(len(SYMBOLS), number, source),
        )


class Roles:
    """Which windows each client holds, where the data says who the clients are.

    Client ``i`` is a role; where fewer clients than roles are wanted, the roles are chosen at
    random and stay in their order. A client's row is ``(first, number)``: its windows are
    ``train_starts[first : first + number]``.
    """

    def __init__(self, dataset: TextDataset, num_clients: int, seed: Sequence[int]) -> None:
        """Choose ``num_clients`` roles.

        Args:
            dataset: whose roles.
            num_clients: at least 1.
            seed: non-negative integers that the choice depends on.
        Raises:
            DataError: there are fewer roles.
        """
        check_num_clients(dataset, num_clients)
        total = len(dataset.clients)
        chosen = np.arange(total)
        if num_clients < total:
            chosen = np.sort(stream(seed, ROLES).choice(total, num_clients, replace=False))
        self.num_clients = num_clients
        self.role = chosen  # int[clients]
        self._spans = np.stack([dataset.first_window, dataset.num_windows], 1)[chosen]

    def samples(self, clients: np.ndarray | Sequence[int]) -> np.ndarray:
        """``int32[n, 2]``, the span of each of some clients; DataError for one out of range."""
        clients = np.asarray(clients, np.int64).reshape(-1)
        check_clients(clients, self.num_clients)
        return self._spans[clients]

    def all_samples(self) -> Iterator[np.ndarray]:
        """The windows of each client in order, ``int32[1, windows]``."""
        for first, number in self._spans.tolist():
            yield np.arange(first, first + number, dtype=np.int32)[None]


def check_num_clients(dataset: TextDataset, num_clients: int) -> None:
    """Refuse more clients than there are roles, and none at all."""
    if not 1 <= num_clients <= len(dataset.clients):
        raise DataError(
            f"num_clients must be in [1, {len(dataset.clients)}] for {dataset.name}, which has "
            f"that many roles ({dataset.source}), got {num_clients}"
        )
