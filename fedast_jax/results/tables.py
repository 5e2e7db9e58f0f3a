"""What a run measured, as tidy tables."""

from __future__ import annotations

import platform
import resource
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import pandas as pd

from ..config.settings import Config
from ..engine.engine import Engine, Params
from ..run.driver import Counts, Driver, Evaluation, Replicate
from ..run.executor import Seconds
from ..run.sizing import Sizing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PACKAGES = ("fedast-jax", "jax", "jaxlib", "flax", "optax", "numpy", "pandas", "pyarrow")

LANE_COLUMNS = [  # named, so that a run that was stopped before it began has them too
    "replicate", "seed", "task", "rounds", "accuracy", "loss", "target_time", "mean_staleness",
    "diverged", "diverged_at", "end_reason",
]  # fmt: skip
ALLOCATION_COLUMNS = [
    "replicate", "time", "arrivals", "task", "num_active", "buffer_size", "sigma_hat",
]  # fmt: skip


@dataclass
class Result:
    """One setting of a finished (or interrupted) run."""

    config: Config
    replicates: list[Replicate]  # in order of their seeds; those never begun are missing
    status: str  # "finished" or "interrupted"
    counts: Counts
    seconds: Seconds
    wall_seconds: float
    sizing: Sizing
    batch_width: int
    keeps_models: bool
    keeps_requests: bool

    @classmethod
    def collect(
        cls, driver: Driver, setting: int, sizing: Sizing, status: str, wall_seconds: float
    ) -> Result:
        """Take one setting from a driver; counts and seconds are those of the whole run."""
        mine = [one for one in driver.done + driver.resident if one.setting == setting]
        return cls(
            driver.settings[setting].config,
            sorted(mine, key=lambda one: one.index),
            status,
            driver.counts,
            driver.executor.seconds,
            wall_seconds,
            sizing,
            driver.pools[0].spec.width,
            driver.keep_models,
            driver.keep_requests,
        )

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """One row per test, in order of replicate and event."""
        rows = [one for replicate in self.replicates for one in replicate.evaluations]
        table = pd.DataFrame(rows, columns=list(Evaluation._fields))
        return table.astype(
            {"replicate": "int64", "seed": "int64", "round": "int64", "arrivals": "int64"}
            | {name: "float64" for name in ("time", "accuracy", "loss")}
        ).astype({"task": "str"})

    @cached_property
    def lanes(self) -> pd.DataFrame:
        """One row per replicate and task: how it ended."""
        rows = [
            _lane_row(one, lane.name, lane.task) for one in self.replicates for lane in one.lanes
        ]
        return pd.DataFrame(rows, columns=LANE_COLUMNS)

    def summary(self) -> dict[str, Any]:
        """Per task: means and spreads over the seeds; what diverged is left out and counted."""
        return {
            "name": self.config.name,
            "algorithm": self.config.algorithm,
            "status": self.status,
            "num_seeds": self.config.num_seeds,
            "num_finished": int(sum(one.has_ended for one in self.replicates)),
            "num_diverged": len(self.diverged),
            "diverged": [
                {
                    "replicate": one.index,
                    "seed": one.seed,
                    "task": one.diverged,
                    "time": one.diverged_at,
                }
                for one in self.diverged
            ],
            "tasks": {task.name: self._task_summary(task.name) for task in self.config.named_tasks},
        }

    @property
    def diverged(self) -> list[Replicate]:
        """Those that ended at a loss that was not finite."""
        return [one for one in self.replicates if one.diverged is not None]

    def requests(self) -> pd.DataFrame:
        """One row per request of each replicate, in order of dispatch.

        Raises:
            ValueError: the run did not keep its requests.
        """
        if not self.keeps_requests:
            raise ValueError("the requests were not kept; simulate with keep_requests=True")
        names = [task.name for task in self.config.named_tasks]
        return pd.concat([_requests(one, names) for one in self.replicates], ignore_index=True)

    def allocations(self) -> pd.DataFrame:
        """R_m and b_m whenever they changed: a row per replicate, change and task."""
        rows = [
            {
                "replicate": replicate.index,
                "time": change.time,
                "arrivals": change.arrivals,
                "task": task.name,
                "num_active": change.num_active[number],
                "buffer_size": change.buffer_size[number],
                "sigma_hat": change.sigma_hat[number] if change.sigma_hat else np.nan,
            }
            for replicate in self.replicates
            for change in replicate.timeline.allocations
            for number, task in enumerate(self.config.named_tasks)
        ]
        return pd.DataFrame(rows, columns=ALLOCATION_COLUMNS)

    def partition(self) -> Iterator[pd.DataFrame]:
        """Rows (replicate, task, client, sample), in blocks of clients."""
        for replicate in self.replicates:
            for lane in replicate.lanes:
                first, partition = 0, lane.draw_partition()
                for samples in partition.all_samples():
                    clients = np.arange(first, first + len(samples))
                    first += len(samples)
                    yield pd.DataFrame(
                        {
                            "replicate": replicate.index,
                            "task": lane.name,
                            "client": np.repeat(clients, samples.shape[1]),
                            "sample": samples.ravel().astype(np.int64),
                        }
                    )

    def models(self) -> dict[str, np.ndarray]:
        """Every leaf of every initial and final model: ``replicate/task/initial/leaf``.

        Raises:
            ValueError: the run did not keep its models.
        """
        if not self.keeps_models:
            raise ValueError("the models were not kept; simulate with keep_models=True")
        leaves: dict[str, np.ndarray] = {}
        for replicate in self.replicates:
            for name, model in replicate.initial_models.items():
                leaves |= _named_leaves(f"{replicate.index}/{name}/initial", model)
            for name, model in replicate.final_models.items():
                leaves |= _named_leaves(f"{replicate.index}/{name}/final", model)
        return leaves

    def manifest(self) -> dict[str, Any]:
        """What the run was made with and what it cost."""
        device = jax.local_devices()[0]
        return {
            "status": self.status,
            "versions": {name: package_version(name) for name in PACKAGES}
            | {"python": platform.python_version()},
            "device": {
                "platform": device.platform,
                "kind": device.device_kind,
                "count": jax.local_device_count(),
                "machine": platform.machine(),
            },
            "precision": self.config.precision,
            "fidelity": self.config.fidelity,
            "seconds": asdict(self.seconds) | {"wall": self.wall_seconds},
            "counts": {
                "updates": self.counts.updates,
                "batches": self.counts.batches,
                "empty_slots": self.counts.slots - self.counts.updates,
                "segments": self.counts.segments,
                "arrivals": sum(one.timeline.num_arrivals for one in self.replicates),
            },
            "batch_width": self.batch_width,
            "resident_replicates": self.sizing.num_resident,
            "memory": {
                "estimated_bytes": self.sizing.bytes,
                "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            },
        }

    def plot(self) -> Figure:
        """Accuracy over simulated time, a panel a task: mean over the seeds with its spread."""
        from .figures import accuracy_figure

        return accuracy_figure(self)

    def _task_summary(self, name: str) -> dict[str, Any]:
        kept = self.lanes.query("task == @name and not diverged")
        times = _known(kept.target_time)
        return {
            "rounds": spread(kept.rounds),
            "accuracy": spread(kept.accuracy),
            "loss": spread(kept.loss),
            "time_to_target": spread(kept.target_time)
            | {
                "median": float(np.median(times)) if len(times) else None,
                "num_reached": len(times),
            },
            "target_accuracy": self.config_of(name).target,
            "mean_staleness": spread(kept.mean_staleness)["mean"],
            "num_seeds": len(kept),
        }

    def config_of(self, name: str):
        """The settings of a task by its name."""
        return next(task.settings for task in self.config.named_tasks if task.name == name)


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

    @classmethod
    def collect(
        cls, driver: Driver, sizing: Sizing, seconds: float, wave_width: float
    ) -> PlanReport:
        """Take from a driver that has planned everything."""
        events = sum(one.timeline.num_arrivals for one in driver.done)
        rows = [
            {
                "kind": pool.spec.kind.name,
                "version_rows": pool.capacity[0],
                "update_rows": pool.capacity[1],
                "most_version_rows_used": pool.peak[0],
                "most_update_rows_used": pool.peak[1],
                "parameters": Engine(pool.spec).num_params,
                "bytes": needs.bytes(sizing.num_resident),
                "arrivals": sum(_arrivals(one, number) for one in driver.done),
                "examples_per_update": pool.spec.work.num_steps * pool.spec.work.batch_size,
            }
            for number, (pool, needs) in enumerate(zip(driver.pools, sizing.needs, strict=True))
        ]
        return cls(
            events=events,
            seconds=seconds,
            events_per_second=events / seconds,
            batches=driver.counts.batches,
            batch_width=driver.pools[0].spec.width,
            fill=driver.counts.fill,
            mean_wave_width=wave_width,
            segments=driver.counts.segments,
            resident_replicates=sizing.num_resident,
            rows=rows,
            memory_bytes=sizing.bytes,
            simulated_time=max(one.timeline.time for one in driver.done),
        )


def _arrivals(replicate: Replicate, pool: int) -> int:
    lanes = [lane for lane in replicate.lanes if lane.pool == pool]
    return sum(len(replicate.timeline.rounds[lane.task].arrived) for lane in lanes)


def _lane_row(replicate: Replicate, name: str, task: int) -> dict[str, Any]:
    tests = [one for one in replicate.evaluations if one.task == name]
    return {
        "replicate": replicate.index,
        "seed": replicate.seed,
        "task": name,
        "rounds": len(replicate.timeline.rounds[task]),
        "accuracy": tests[-1].accuracy if tests else np.nan,
        "loss": tests[-1].loss if tests else np.nan,
        "target_time": replicate.target_times.get(name, np.nan),
        "mean_staleness": replicate.timeline.mean_staleness(task),
        "diverged": replicate.diverged is not None,
        "diverged_at": replicate.diverged_at if replicate.diverged == name else np.nan,
        "end_reason": replicate.timeline.end_reason if replicate.has_ended else "interrupted",
    }


def _used_rounds(replicate: Replicate, task: int) -> tuple[np.ndarray, np.ndarray]:
    """Requests that were used, in order of arrival, and the aggregation that used each."""
    rounds = replicate.timeline.rounds[task]
    sizes = np.diff(np.asarray(rounds.end, np.int64), prepend=0)
    used = np.asarray(rounds.arrived[: rounds.num_used], np.int64)
    return used, np.repeat(np.arange(len(rounds)), sizes)


def _requests(replicate: Replicate, names: list[str]) -> pd.DataFrame:
    timeline = replicate.timeline
    columns, task_of = timeline.requests, np.asarray(timeline.requests.task, np.int64)
    used_round = np.full(len(columns), -1)
    status = np.full(len(columns), "in_flight", dtype=object)
    for task in range(len(names)):
        status[timeline.is_cancelled(task)] = "cancelled"
        status[np.asarray(timeline.rounds[task].arrived, np.int64)] = "buffered"
        used, round_of = _used_rounds(replicate, task)
        status[used], used_round[used] = "used", round_of
    return pd.DataFrame(
        {
            "replicate": replicate.index,
            "request": np.arange(len(columns)),
            "task": np.asarray(names, dtype=object)[task_of],
            "client": np.asarray(columns.client),
            "dispatched_at": np.asarray(columns.dispatched_at),
            "started_at": np.asarray(columns.started_at),
            "arrived_at": np.asarray(columns.arrives_at),
            "base_round": np.asarray(columns.base_round),
            "used_round": pd.Series(used_round, dtype="Int64").mask(used_round < 0),
            "status": status,
        }
    )


def _named_leaves(prefix: str, model: Params) -> dict[str, np.ndarray]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(model)
    return {
        "/".join([prefix, *(str(getattr(key, "key", getattr(key, "idx", key))) for key in path)]): (
            np.asarray(leaf)
        )
        for path, leaf in leaves
    }


def _known(column: pd.Series) -> np.ndarray:
    values = np.asarray(column, np.float64)
    return values[np.isfinite(values)]


def spread(column: pd.Series) -> dict[str, float | None]:
    """Mean and sample standard deviation of what is known; None where there is too little."""
    values = _known(column)
    return {
        "mean": float(values.mean()) if len(values) else None,
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
    }


def package_version(name: str) -> str:
    """The installed version of a package, in words where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
