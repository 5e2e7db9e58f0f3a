"""What a user calls to say how the arrays of an own task are divided over clients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..config.bounds import MOST_CLIENTS
from .divisions import ByLabel, Dirichlet, Division, Given, Iid, Shards, UnequalDirichlet
from .errors import DataError
from .keep import whole_labels


def dirichlet(
    num_clients: int,
    alpha: float,
    samples_per_client: int | None = None,
    *,
    unequal: bool = False,
    seed: int = 0,
) -> Division:
    """Divide by label, unevenly: the smaller ``alpha``, the fewer classes a client has.

    Each client draws class proportions from ``Dir(alpha)`` and takes as many samples as every other
    one, anew for every seed of a run; the samples of a class that runs out start over (Hsu et al.,
    2019). With ``unequal`` every sample belongs to exactly one client: each class is divided by
    proportions over the clients from ``Dir(alpha)``, once for all runs, so that clients have
    different numbers of samples (Yurochkin et al., 2019); a client that would be left without one
    takes one from the client that has most.

    Args:
        num_clients: N.
        alpha: positive.
        samples_per_client: None: n // N. Not with ``unequal``.
        unequal: see above.
        seed: of ``unequal`` alone.
    Raises:
        DataError: an argument is out of range.
    """
    if not unequal:
        return Dirichlet(num_clients, alpha, samples_per_client)
    if samples_per_client is not None:
        raise DataError("samples_per_client has no meaning for unequal clients: leave it out")
    return UnequalDirichlet(num_clients, alpha, seed)


def iid(num_clients: int) -> Division:
    """Divide at random and equally, anew for every seed; what is left over is nobody's."""
    return Iid(num_clients)


def shards(num_clients: int, shards_per_client: int = 2) -> Division:
    """Sort by label, cut into equal shards, deal them, anew for every seed (McMahan et al., 2017).

    What is left over is nobody's.
    """
    return Shards(num_clients, shards_per_client)


def by_label(num_clients: int, labels_per_client: int = 1) -> Division:
    """Give each client so many labels, and equally many samples of each, anew for every seed.

    Labels go round, so that each belongs to as many clients; the samples of one that runs out start
    over.
    """
    return ByLabel(num_clients, labels_per_client)


def given(owner: Any) -> Division:
    """Divide as an array says: the client of each training sample, ``int[n]`` from 0 to N - 1.

    Raises:
        DataError: it is something else, or a client has no sample.
    """
    owner = whole_labels(np.asarray(owner), "clients of the training samples")
    if not len(owner) or owner.min() < 0:
        raise DataError("clients must be numbers from 0 on, one for each training sample")
    num_clients = int(owner.max()) + 1
    if num_clients > MOST_CLIENTS:
        raise DataError(f"there are at most {MOST_CLIENTS:,} clients, got client {num_clients - 1}")
    counts = np.bincount(owner, minlength=num_clients)
    if not counts.all():
        raise DataError(
            f"client {int(counts.argmin())} has no training samples, and cannot train: number the "
            f"clients that have some from 0 to N - 1"
        )
    return Given(num_clients, owner.astype(np.int64))
