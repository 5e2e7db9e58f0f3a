"""The random stream of dispatches, and how long requests take."""

from __future__ import annotations

import csv
from functools import cache
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from ..clients.delays import CHUNK, Dispatches, Stream, client_delays, generator
from ..config import disk
from ..config.settings import Config
from ..config.tables import TaskConfig
from .hours import Hours
from .kinds import model_bytes


class Dispatched:
    """Whom each dispatch of a replicate reaches, one after another."""

    def __init__(self, config: Config, seed: int, hours: Hours, stream: Any = None) -> None:
        self.seed, self.num_clients, self.hours = seed, config.num_clients, hours
        self.stream = stream or dispatch_stream(config, seed)
        self.num_attempts = 0

    def draw(self, now: float) -> tuple[int, float, bool] | None:
        """The next entry of the stream: a client that is on, a step's time, its fate."""
        chunk, offset = divmod(self.num_attempts, CHUNK)
        clients, step_times = self.stream.chunk(chunk)
        client, step_time = clients[offset], step_times[offset]
        is_lost = self.hours.are_lost(chunk, CHUNK)[offset]
        if not self.hours.is_on(client, now):
            here = self.hours.here(now)
            if not here:
                return None
            client = self.another(chunk, offset, here)
            u = self.stream.draws(chunk).u[offset]
            step_time = float(self.stream.times(np.array([client]), np.array([u]))[0])
        self.num_attempts += 1
        return client, step_time, is_lost

    def another(self, chunk: int, offset: int, here: list[int]) -> int:
        """Of the seven that are named the first that is on; or anyone, of ever more at a time."""
        for client in self.stream.others(chunk)[:, offset].tolist():
            if client in here:
                return client
        tries, random = 64, generator(self.seed, Stream.SEARCH, self.num_attempts)
        while tries < self.num_clients:
            for client in random.integers(self.num_clients, size=tries).tolist():
                if client in here:
                    return client
            tries *= 4
        return here[random.integers(len(here))]


class CachedChunks:
    """The package's dispatch stream, each chunk drawn once."""

    def __init__(self, dispatches: Dispatches) -> None:
        self.chunk, self.draws = cache(dispatches.chunk), cache(dispatches.draws)
        self.others, self.times = cache(dispatches.others), dispatches.times


def dispatch_stream(config: Config, seed: int) -> CachedChunks:
    """The random draws of a replicate."""
    delays = client_delays(config.delays, seed, config.num_clients)
    return CachedChunks(Dispatches(seed, config.num_clients, *delays))


def duration(config: Config, task: TaskConfig, client: int, step_time: float) -> float:
    """Of one request, without interruptions."""
    work, delays = task.work, config.delays
    if delays.law == "devices":
        assert delays.trace is not None
        seconds, rate = measured_devices(delays.trace)[client]
        samples = work.num_steps * work.batch_size
        transfer = delays.trace_scale * 2 * model_bytes(task) * (1 / rate)
        return delays.trace_scale * 3 * samples * seconds + transfer
    if delays.law == "trace":  # whole requests were recorded
        return delays.trace_scale * step_time
    return work.num_steps * task.step_time * step_time


@cache
def measured_devices(path: str) -> dict[int, tuple[float, float]]:
    """Client -> seconds for a sample, bytes in a second."""
    return {
        int(row["client"]): (float(row["seconds_per_sample"]), float(row["bytes_per_second"]))
        for row in recorded_rows(path)
    }


@cache
def recorded_times(path: str) -> dict[str, list[float]]:
    """Device class -> its durations, shortest first."""
    times: dict[str, list[float]] = {}
    for row in recorded_rows(path):
        times.setdefault(row["device_class"], []).append(float(row["duration"]))
    return {name: sorted(found) for name, found in times.items()}


def recorded_rows(path: str) -> list[dict[str, Any]]:
    """Of a CSV or a Parquet file."""
    if not path.endswith(".csv"):
        with disk.reading(path) as file:
            return pq.read_table(file).to_pylist()
    return list(csv.DictReader(disk.read_text(path, "utf-8-sig").splitlines()))
