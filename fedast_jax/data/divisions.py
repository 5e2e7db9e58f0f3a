"""How the arrays of an own task are divided over clients, in the words of a user.

A division is either *drawn anew for every seed*, with as many samples for each client, or *given*:
the same in every seed, clients with as many samples as they have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config.bounds import MOST_CLIENTS, MOST_SAMPLES
from ..config.words import show
from .errors import DataError
from .partition import Partition, check_clients, stream
from .partition import dirichlet as draw_shares

DEAL, SPLIT = 21, 22  # what a stream of random numbers is for, beside those of ``partition``

Seed = Sequence[int]


class Rows:
    """Equally many samples for each client, written down: ``int32[clients, samples]``."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows.astype(np.int32)

    def samples(self, clients: np.ndarray | Seed) -> np.ndarray:
        """``int32[n, samples]`` of some clients."""
        clients = np.asarray(clients, np.int64).reshape(-1)
        check_clients(clients, len(self._rows))
        return self._rows[clients]

    def all_samples(self) -> Iterator[np.ndarray]:
        """``int32[clients, samples]``, once."""
        yield self._rows


@dataclass(frozen=True)
class Division:
    """Who holds which sample: ``num_clients`` of them, each with ``per_client`` samples."""

    num_clients: int

    def __post_init__(self) -> None:
        _check_number("num_clients", self.num_clients, MOST_CLIENTS)

    @property
    def alpha(self) -> float | None:
        """Of a Dirichlet division, the default of ``dirichlet_alpha``."""
        return None

    @property
    def given(self) -> np.ndarray | None:
        """``int[n]``, the client of each sample, where that is the same in every seed."""
        return None

    def for_labels(self, labels: np.ndarray) -> Division:
        """What it is for these labels.

        Raises:
            DataError: they cannot be divided so.
        """
        if self.per_client(labels) < 1:
            raise DataError(
                f"{self.num_clients} clients cannot share {len(labels)} training samples, and a "
                f"client without samples cannot train: lower the number of clients"
            )
        return self

    def per_client(self, labels: np.ndarray) -> int:
        """Samples of each client."""
        return len(labels) // self.num_clients

    def deal(
        self, labels: np.ndarray, per_client: int, alpha: float | None, seeds: list[Seed]
    ) -> Rows | Partition:
        """Divide for one replicate, where that is not given; a function of the arguments alone.

        Args:
            labels: ``for_labels`` has seen them.
            per_client, alpha: as the configuration has them.
            seeds: all is drawn by the first, but for class proportions, which are by the last.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Iid(Division):
    """At random."""

    def deal(
        self, labels: np.ndarray, per_client: int, alpha: float | None, seeds: list[Seed]
    ) -> Rows:
        """Cut a permutation of all samples into equal parts; what is left over is nobody's."""
        order = stream(seeds[0], DEAL).permutation(len(labels))
        return Rows(order[: self.num_clients * per_client].reshape(self.num_clients, per_client))


@dataclass(frozen=True)
class Shards(Division):
    """Pieces of the samples sorted by label."""

    shards_per_client: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_number("shards_per_client", self.shards_per_client, MOST_SAMPLES)

    def for_labels(self, labels: np.ndarray) -> Division:
        """With whole numbers as labels."""
        _labels_for("shards", labels)
        return super().for_labels(labels)

    def per_client(self, labels: np.ndarray) -> int:
        """A whole number of samples in each shard."""
        pieces = self.num_clients * self.shards_per_client
        return self.shards_per_client * (len(labels) // pieces)

    def deal(
        self, labels: np.ndarray, per_client: int, alpha: float | None, seeds: list[Seed]
    ) -> Rows:
        """Equal samples are shuffled before they are cut, and shards before they are dealt."""
        rng, size = stream(seeds[0], DEAL), per_client // self.shards_per_client
        pieces = self.num_clients * self.shards_per_client
        order = rng.permutation(len(labels))
        order = order[np.argsort(labels[order], kind="stable")][: pieces * size]
        dealt = order.reshape(pieces, size)[rng.permutation(pieces)]
        return Rows(dealt.reshape(self.num_clients, per_client))


@dataclass(frozen=True)
class ByLabel(Division):
    """A few labels for each client."""

    labels_per_client: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_number("labels_per_client", self.labels_per_client, MOST_SAMPLES)

    def for_labels(self, labels: np.ndarray) -> Division:
        """With enough different whole numbers as labels."""
        _labels_for("by_label", labels)
        present = len(np.unique(labels))
        if self.labels_per_client > present:
            raise DataError(
                f"labels_per_client={self.labels_per_client}, but the training set has {present} "
                f"different labels: lower it"
            )
        return super().for_labels(labels)

    def per_client(self, labels: np.ndarray) -> int:
        """As many of each of its labels, at least one."""
        return len(labels) // self.num_clients // self.labels_per_client * self.labels_per_client

    def deal(
        self, labels: np.ndarray, per_client: int, alpha: float | None, seeds: list[Seed]
    ) -> Rows:
        """Labels go round in a random order; the samples of one that runs out start over."""
        rng, each = stream(seeds[0], DEAL), per_client // self.labels_per_client
        pools = [rng.permutation(np.flatnonzero(labels == one)) for one in np.unique(labels)]
        turn, used = rng.permutation(len(pools)), np.zeros(len(pools), np.int64)
        rows = np.empty((self.num_clients, self.labels_per_client, each), np.int64)
        for place in range(self.num_clients * self.labels_per_client):
            label = turn[place % len(pools)]
            places = (used[label] + np.arange(each)) % len(pools[label])
            rows[divmod(place, self.labels_per_client)] = pools[label][places]
            used[label] += each
        return Rows(rows.reshape(self.num_clients, per_client))


@dataclass(frozen=True)
class Dirichlet(Division):
    """Class proportions from a Dirichlet distribution for each client."""

    alpha_: float
    samples_per_client: int | None

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_alpha(self.alpha_)
        if self.samples_per_client is not None:
            _check_number("samples_per_client", self.samples_per_client, MOST_SAMPLES)

    @property
    def alpha(self) -> float:
        """Its concentration."""
        return self.alpha_

    def for_labels(self, labels: np.ndarray) -> Division:
        """With whole numbers as labels."""
        _labels_for("dirichlet", labels)
        return super().for_labels(labels)

    def per_client(self, labels: np.ndarray) -> int:
        """As asked for; otherwise all samples, shared equally."""
        return self.samples_per_client or super().per_client(labels)

    def deal(
        self, labels: np.ndarray, per_client: int, alpha: float | None, seeds: list[Seed]
    ) -> Partition:
        """As the package's own data sets are."""
        assert alpha is not None
        num_classes = int(labels.max()) + 1
        return Partition(labels, num_classes, self.num_clients, per_client, alpha, *seeds)


@dataclass(frozen=True, eq=False)
class Given(Division):
    """The same in every seed."""

    owner: np.ndarray  # int[n], the client of each sample

    @property
    def given(self) -> np.ndarray:
        """The client of each sample."""
        return self.owner

    def for_labels(self, labels: np.ndarray) -> Division:
        """With a client for each sample."""
        if len(self.owner) != len(labels):
            raise DataError(
                f"clients says who holds {len(self.owner)} samples, but there are {len(labels)} "
                f"training samples"
            )
        return self


@dataclass(frozen=True)
class UnequalDirichlet(Division):
    """Each class divided over the clients, which so have different numbers of samples."""

    alpha_: float
    seed: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_alpha(self.alpha_)

    def for_labels(self, labels: np.ndarray) -> Division:
        """Drawn once, here."""
        _labels_for("dirichlet", labels)
        super().for_labels(labels)
        return Given(self.num_clients, self._owners(labels))

    def _owners(self, labels: np.ndarray) -> np.ndarray:
        """Cut each class by proportions from ``Dir(alpha)`` over the clients."""
        rng, owner = stream((self.seed,), SPLIT), np.empty(len(labels), np.int64)
        for one in np.unique(labels):
            places = rng.permutation(np.flatnonzero(labels == one))
            shares = draw_shares(rng, rng, self.alpha_, (1, self.num_clients))[0]
            cuts = np.round(np.cumsum(shares)[:-1] * len(places)).astype(np.int64)
            for client, part in enumerate(np.split(places, cuts)):
                owner[part] = client
        return _with_nobody_left_out(owner, self.num_clients)


def _with_nobody_left_out(owner: np.ndarray, num_clients: int) -> np.ndarray:
    """Who has nothing takes the first sample of whoever has most; of equals, the first client."""
    counts = np.bincount(owner, minlength=num_clients)
    for client in np.flatnonzero(counts == 0):
        richest = int(counts.argmax())
        owner[np.flatnonzero(owner == richest)[0]] = client
        counts[richest], counts[client] = counts[richest] - 1, 1
    return owner


def _labels_for(name: str, labels: np.ndarray) -> None:
    """Refuse to divide by what is no label."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.min() < 0:
        raise DataError(
            f"{name} divides by labels, whole numbers from 0 on, and y holds "
            f"{labels.dtype}{list(labels.shape)}: use iid, or an array of each sample's client"
        )


def _check_number(name: str, value: Any, most: int) -> None:
    if not isinstance(value, int | np.integer) or not 1 <= value <= most:
        raise DataError(f"{name} must be a whole number from 1 to {most:,}, got {show(value)}")


def _check_alpha(alpha: Any) -> None:
    if not isinstance(alpha, int | float | np.number) or not 0 < alpha < 1e30:
        raise DataError(f"alpha must be a positive number, got {show(alpha)}")
