"""What a run hands out: plain records of its replicates, joined, sent and saved as they are.

A record holds numbers, text and arrays, and nothing of the run that made it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import reduce
from typing import Any, Self, TypeVar

import numpy as np

Columns = Mapping[str, np.ndarray]
"""A table by its columns, all of one length along their first axis."""

STATUSES = ("in_flight", "buffered", "used", "cancelled", "lost", "dropped")
"""Of a request; its code in a record is the place in this list."""


@dataclass
class Counts:
    """What the engine did."""

    updates: int = 0  # requests trained
    batches: int = 0
    slots: int = 0  # of those batches
    segments: int = 0

    @property
    def fill(self) -> float:
        """Slots used / slots."""
        return self.updates / self.slots if self.slots else 1.0


@dataclass
class Seconds:
    """Where the wall-clock time went."""

    plan: float = 0.0
    compile: float = 0.0
    train: float = 0.0
    test: float = 0.0

    @contextmanager
    def measure(self, phase: str | Callable[[], str]) -> Iterator[None]:
        """Add the time inside the block to a phase, which a function may name at the end."""
        start = time.perf_counter()
        try:
            yield
        finally:
            phase = phase if isinstance(phase, str) else phase()
            setattr(self, phase, getattr(self, phase) + time.perf_counter() - start)


@dataclass(frozen=True)
class LaneRecord:
    """One task of a replicate."""

    task: str
    metric: str | None  # what its tests measure; None: accuracy
    num_arrived: int
    arrived: np.ndarray  # int64: requests in order of arrival; none where they were not kept
    round_end: np.ndarray  # int64[rounds]: arrivals of the task in when each closed
    round_time: np.ndarray  # float64[rounds]
    round_event: np.ndarray  # int64[rounds]: arrivals of the whole replicate
    num_active: int  # R_m at the end
    buffer_size: int  # b_m at the end
    mean_staleness: float  # of the updates used; not a number where there is none
    target_time: float | None
    initial_model: Any = None  # as the executor hands it out, where models are kept
    final_model: Any = None


@dataclass(frozen=True)
class ReplicateRecord:
    """One seed of one setting."""

    setting: int
    index: int  # among the seeds of its setting
    seed: int
    end_reason: str  # "interrupted" where it has not ended
    time: float  # simulated
    num_arrivals: int
    diverged: str | None  # the task whose loss was not finite
    diverged_at: float | None
    lanes: tuple[LaneRecord, ...]
    evaluations: Columns  # task (its number), round, time, arrivals, metric, loss
    allocations: Columns  # time, arrivals; num_active, buffer_size, sigma_hat: [changes, tasks]
    requests: Columns | None  # in order of dispatch: the columns of requests.parquet, in numbers

    @property
    def has_ended(self) -> bool:
        """Whether nothing was left to do."""
        return self.end_reason != "interrupted"

    def lane(self, task: str) -> LaneRecord:
        """That of a task by its name."""
        return next(lane for lane in self.lanes if lane.task == task)

    def to_plain(self) -> dict[str, Any]:
        """As ``plain.flatten`` takes it; the arrays are this record's own."""
        return vars(self) | {"lanes": [dict(vars(lane)) for lane in self.lanes]}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of ``to_plain``."""
        return cls(**{**content, "lanes": tuple(LaneRecord(**lane) for lane in content["lanes"])})


@dataclass(frozen=True)
class RunRecord:
    """A run, or a share of one, after its last event."""

    replicates: tuple[ReplicateRecord, ...]  # those that were begun
    status: str  # "finished" or "interrupted"
    counts: Counts
    seconds: Seconds
    wall_seconds: float
    batch_width: int
    num_devices: int
    num_resident: int
    estimated_bytes: int
    temp_bytes: int | None  # of the largest program, as its compiler says; None: it does not say
    keeps_models: bool
    keeps_requests: bool
    machine: Mapping[str, Any]  # device, versions, peak memory: what the manifest says of them

    def to_plain(self) -> dict[str, Any]:
        """As ``plain.flatten`` takes it."""
        return vars(self) | {
            "replicates": [replicate.to_plain() for replicate in self.replicates],
            "counts": dict(vars(self.counts)),
            "seconds": dict(vars(self.seconds)),
            "machine": dict(self.machine),
        }

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of ``to_plain``."""
        parts = {
            "replicates": tuple(map(ReplicateRecord.from_plain, content["replicates"])),
            "counts": Counts(**content["counts"]),
            "seconds": Seconds(**content["seconds"]),
        }
        return cls(**{**content, **parts})


NOTHING = RunRecord((), "interrupted", Counts(), Seconds(), 0.0, 0, 1, 0, 0, None, False, False, {})
"""A run of which no share has come back."""


def join(shares: Sequence[RunRecord], num_replicates: int, wall_seconds: float) -> RunRecord:
    """The run that shares make up: interrupted where a replicate is missing or has not ended.

    Counts and seconds are the sums over the shares; width, devices, memory and machine those of the
    share that needed most memory on its device.

    Args:
        shares: with every replicate at most once.
        num_replicates: of the whole run.
        wall_seconds: of the whole run.
    """
    replicates = [record for share in shares for record in share.replicates]
    replicates.sort(key=lambda record: (record.index, record.setting))
    keys = {(record.setting, record.index) for record in replicates}
    assert len(keys) == len(replicates), "a replicate was counted twice"
    assert len(replicates) <= num_replicates, "a replicate is of another run"
    has_ended = len(replicates) == num_replicates and all(record.has_ended for record in replicates)
    return replace(
        max(shares, key=lambda share: share.estimated_bytes, default=NOTHING),
        replicates=tuple(replicates),
        status="finished" if has_ended else "interrupted",
        counts=reduce(_added, (share.counts for share in shares), Counts()),
        seconds=reduce(_added, (share.seconds for share in shares), Seconds()),
        wall_seconds=wall_seconds,
    )


Sums = TypeVar("Sums", Counts, Seconds)


def _added(one: Sums, other: Sums) -> Sums:
    sums = {part.name: getattr(one, part.name) + getattr(other, part.name) for part in fields(one)}
    return type(one)(**sums)


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    fraction: float  # of all replicates, by the nearest of their limits
    time: float  # simulated, of the replicate that is furthest
    updates: int  # trained so far
    fill: float  # of the slots, by now
    num_ended: int  # replicates
    num_waiting: int  # those that have not begun
    compile_seconds: float  # so far
    latest: Mapping[str, str]  # by task: the mean over the replicates' latest tests, in words


@dataclass(frozen=True)
class PlanReport:
    """What a run would be, without training it."""

    events: int
    seconds: float
    events_per_second: float
    batches: int
    batch_width: int
    fill: float
    mean_wave_width: float
    segments: int
    resident_replicates: int
    rows: list[dict[str, Any]]
    memory_bytes: int
    simulated_time: float
