"""Devices measured one by one: how fast each client computes, and how fast its link is."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import jax
import numpy as np
import pyarrow as pa

from ..config.tables import TaskConfig
from ..data.errors import DataError
from ..tasks import get_kind
from .columns import client_numbers, numbers, read_table, shown, stamp

COLUMNS = ("client", "seconds_per_sample", "bytes_per_second")
FEWEST, MOST = 1e-12, 1e15  # of either column; durations stay far from where floats end


class ClientDevices(NamedTuple):
    """What the clients of a replicate have."""

    seconds_per_sample: np.ndarray  # float64[num_clients]
    seconds_per_byte: np.ndarray  # float64[num_clients]

    def durations(self, clients: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Seconds for a sample, ``float64[n]``; nothing about it is random."""
        del u
        return self.seconds_per_sample[clients]


def read_devices(path: str, num_clients: int) -> ClientDevices:
    """Read ``.csv`` or ``.parquet`` with a row for each client.

    Raises:
        DataError: there is no such file or column, a client has no row or two, or a number cannot
            be used; the message says which row, counted from 1.
    """
    return _read(path, num_clients, *stamp(path, "table of devices"))


@lru_cache(maxsize=4)  # every replicate asks; what has changed since is read anew
def _read(path: str, num_clients: int, mtime_ns: int, size: int) -> ClientDevices:
    del mtime_ns, size
    what = "table of devices"
    table = read_table(path, COLUMNS, what)
    clients = client_numbers(table, path, what, num_clients)
    counts = np.bincount(clients, minlength=num_clients)
    if counts.max() > 1 or counts.min() < 1:
        client = int(np.argmax(counts)) if counts.max() > 1 else int(np.argmin(counts))
        raise DataError(
            f"{what} {path!r} needs one row for each of num_clients={num_clients}; client {client} "
            f"has {counts[client]}"
        )
    seconds, speeds = (_column(table, name, path)[np.argsort(clients)] for name in COLUMNS[1:])
    return ClientDevices(seconds, 1.0 / speeds)


def _column(table: pa.Table, name: str, path: str) -> np.ndarray:
    values = numbers(table, name, path, "table of devices")
    bad = np.flatnonzero(~((values >= FEWEST) & (values <= MOST)))
    if len(bad):
        raise DataError(
            f"table of devices {path!r}, row {bad[0] + 1}: {name} must be a number from "
            f"{FEWEST:g} to {MOST:g}, got {shown(table, name, int(bad[0]))}"
        )
    return values


def model_bytes(task: TaskConfig) -> int:
    """What is sent and received: the bytes of a task's model in float32.

    Raises:
        DataError: the task's data is missing; its shape is the model's, too.
    """
    kind = get_kind(task.kind)
    return _model_bytes(kind.load, kind.dataset or task.dataset, kind.build)


@lru_cache(maxsize=16)
def _model_bytes(load: Callable, dataset: str | None, build: Callable) -> int:
    """Every replicate asks for this, and loading a data set takes far longer than planning one."""
    init = build(load(dataset, None).shape).init
    leaves = jax.tree.leaves(jax.eval_shape(init, jax.random.key(0)))
    return 4 * sum(leaf.size for leaf in leaves)
