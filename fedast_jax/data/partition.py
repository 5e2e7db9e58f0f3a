"""Which training samples each client holds: a Dirichlet partition over the classes.

Reference:
    FedAST (Askin et al., UAI 2024), Section 5; Hsu, Qi, Brown, "Measuring the effects of
    non-identical data distribution for federated visual classification" (2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from .dataset import check_labels
from .errors import DataError

POOLS, GAMMAS, EXPONENTIALS = 1, 2, 3  # what a stream of random numbers is for
EVEN_ALPHA = 1e12  # from here on the proportions are equal, to far below one sample
CHUNK = 16_384  # clients worked on at a time: bounds the memory, changes no result


class Partition:
    """A Dirichlet partition, kept as counts: samples are worked out when asked for.

    Each client draws class proportions from ``Dir(alpha)`` over the classes that have samples,
    rounds ``samples_per_client`` times these to counts, and takes that many samples of each class
    from the class's shuffled pool, going on where the client before it stopped. A pool that runs
    out starts over in the same order. Client ``i`` is the same however many clients follow it.

    Attributes:
        counts: ``uint[clients, classes]``, samples of each class; rows sum to samples_per_client.
        offsets: ``int32[clients, classes]``, where in each class's pool the client starts.
    """

    def __init__(
        self,
        labels: np.ndarray,
        num_classes: int,
        num_clients: int,
        samples_per_client: int,
        alpha: float,
        seed: Sequence[int],
        shares_seed: Sequence[int] | None = None,
    ) -> None:
        """Draw the partition.

        Args:
            labels: ``int[n]`` of the training set, in ``[0, num_classes)``.
            num_classes: number of classes, of which some may have no samples.
            num_clients, samples_per_client: at least 1.
            alpha: concentration of the Dirichlet distribution; small: one class a client, large:
                the same share of each class.
            seed: non-negative integers below 2**64 that the draw depends on.
            shares_seed: those that the clients' class proportions depend on; None: the same.
        Raises:
            DataError: any of these out of range.
        """
        check_arguments(num_clients, samples_per_client, alpha)
        self.num_clients = num_clients
        self.samples_per_client = samples_per_client
        self.pool, self.pool_sizes = shuffled_pools(labels, num_classes, seed)
        self.pool_starts = np.cumsum(self.pool_sizes) - self.pool_sizes
        self.counts = np.zeros((num_clients, num_classes), np.min_scalar_type(samples_per_client))
        self.offsets = np.zeros((num_clients, num_classes), np.int32)
        self._draw(alpha, seed if shares_seed is None else shares_seed)

    def _draw(self, alpha: float, seed: Sequence[int]) -> None:
        """Fill in counts and offsets, a chunk of clients at a time."""
        streams = stream(seed, GAMMAS), stream(seed, EXPONENTIALS)
        present = np.flatnonzero(self.pool_sizes)
        sizes = self.pool_sizes[present]
        next_offset = np.zeros(len(present), np.int64)
        for rows in chunks(self.num_clients, CHUNK):
            proportions = dirichlet(*streams, alpha, (rows.stop - rows.start, len(present)))
            counts = round_to_counts(proportions, self.samples_per_client)
            ends = next_offset + np.cumsum(counts, axis=0)
            self.counts[rows, present] = counts
            self.offsets[rows, present] = (ends - counts) % sizes
            next_offset = ends[-1] % sizes

    def samples(self, clients: np.ndarray | Sequence[int]) -> np.ndarray:
        """The samples of some clients, as positions in the training set.

        Args:
            clients: ``int[n]``, in ``[0, num_clients)``, in any order, repeats allowed.
        Returns:
            ``int32[n, samples_per_client]``, each row by class, then in the order of the pool.
        Raises:
            DataError: a client out of range.
        """
        clients = np.asarray(clients, np.int64).reshape(-1)
        check_clients(clients, self.num_clients)
        samples = np.empty((len(clients), self.samples_per_client), np.int32)
        size = max(1, CHUNK * 64 // self.samples_per_client)
        for rows in chunks(len(clients), size):
            samples[rows] = self._samples(clients[rows])
        return samples

    def _samples(self, clients: np.ndarray) -> np.ndarray:
        """``samples`` without checks: position -> class -> place in its pool -> sample."""
        counts = self.counts[clients].astype(np.int64)
        firsts = np.cumsum(counts, axis=1) - counts  # first position of each class in a row
        cells = np.repeat(np.arange(counts.size), counts.ravel())  # (client, class) of a position
        position = np.tile(np.arange(self.samples_per_client), len(clients))
        place = self.offsets[clients].ravel()[cells] + position - firsts.ravel()[cells]
        class_ = cells % counts.shape[1]
        place = place % self.pool_sizes[class_] + self.pool_starts[class_]
        return self.pool[place].reshape(len(clients), self.samples_per_client)

    def all_samples(self, clients_per_chunk: int = CHUNK) -> Iterator[np.ndarray]:
        """The samples of all clients in order, ``int32[clients_per_chunk or fewer, samples]``."""
        for rows in chunks(self.num_clients, clients_per_chunk):
            yield self.samples(np.arange(rows.start, rows.stop))


def check_arguments(num_clients: int, samples_per_client: int, alpha: float) -> None:
    """Refuse what no partition can be drawn for."""
    if num_clients < 1:
        raise DataError(f"num_clients must be at least 1, got {num_clients}")
    if not 1 <= samples_per_client < 2**31:
        raise DataError(f"samples_per_client must be in [1, 2**31), got {samples_per_client}")
    if not (math.isfinite(alpha) and alpha > 0):
        raise DataError(f"alpha must be a positive number, got {alpha}")


def check_clients(clients: np.ndarray, num_clients: int) -> None:
    """Refuse clients that do not exist."""
    is_wrong = (clients < 0) | (clients >= num_clients)
    if is_wrong.any():
        raise DataError(f"clients must be in [0, {num_clients}), got {clients[is_wrong.argmax()]}")


def stream(seed: Sequence[int], purpose: int) -> np.random.Generator:
    """A Philox generator of its own for each seed and purpose, the same on every machine."""
    if not all(0 <= int(number) < 2**64 for number in seed):
        raise DataError(f"seeds must be integers in [0, 2**64), got {list(seed)}")
    halves = [half for number in seed for half in divmod(int(number), 2**32)]
    key = np.random.SeedSequence([purpose, len(halves), *halves]).generate_state(2, np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def chunks(total: int, size: int) -> Iterator[slice]:
    """``0..total`` in slices of ``size``."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))


def shuffled_pools(
    labels: np.ndarray, num_classes: int, seed: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The samples of each class, shuffled.

    Returns:
        ``int32[n]``, the pools of the classes one after the other, and ``int64[classes]``, their
        sizes.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0 or labels.dtype.kind not in "iu":
        raise DataError(
            f"labels must be a non-empty row of integers, got {labels.dtype}{list(labels.shape)}"
        )
    check_labels(labels, num_classes, "training set")
    order = stream(seed, POOLS).permutation(len(labels)).astype(np.int32)
    pool = order[np.argsort(labels[order], kind="stable")]
    return pool, np.bincount(labels, minlength=num_classes)


def dirichlet(
    gamma_rng: np.random.Generator,
    exponential_rng: np.random.Generator,
    alpha: float,
    shape: tuple[int, int],
) -> np.ndarray:
    """Draw ``float64[clients, classes]`` rows from the symmetric ``Dir(alpha)``.

    Gamma(alpha) variables are Gamma(alpha + 1) * exp(-Exponential / alpha), here in logarithms
    times min(alpha, 1), so that no alpha, however small, makes a row vanish or overflow. Two
    generators, so that rows drawn one after the other are those drawn together.
    """
    alpha = min(alpha, EVEN_ALPHA)
    scale = min(alpha, 1.0)
    gammas = np.maximum(gamma_rng.standard_gamma(alpha + 1.0, shape), np.finfo(float).tiny)
    logs = scale * np.log(gammas) - (scale / alpha) * exponential_rng.standard_exponential(shape)
    with np.errstate(over="ignore", under="ignore"):
        weights = np.exp((logs - logs.max(axis=1, keepdims=True)) / scale)
        return weights / weights.sum(axis=1, keepdims=True)


def round_to_counts(proportions: np.ndarray, total: int) -> np.ndarray:
    """Round ``total * proportions[clients, classes]`` to integers with rows that sum to total.

    The largest remainders are rounded up; of equal ones, the lower class.
    """
    shares = total * proportions
    counts = np.floor(shares).astype(np.int64)
    order = np.argsort(counts - shares, axis=1, kind="stable")
    missing = total - counts.sum(axis=1, keepdims=True)
    np.put_along_axis(
        counts,
        order,
        np.take_along_axis(counts, order, axis=1) + (np.arange(counts.shape[1]) < missing),
        axis=1,
    )
    return counts
