"""Records as tidy tables: what the files of a run folder hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..algorithms import get_algorithm
from ..algorithms.authors import rules_of
from ..clients.holdings import draw_holdings
from ..config.settings import Config
from ..data.pooled_data import PooledData
from ..tasks import get_kind
from .records import STATUSES, LaneRecord, ReplicateRecord

LANE_COLUMNS = [  # named, so that a run that was stopped before it began has them too
    "replicate", "seed", "task", "rounds", "accuracy", "loss", "target_time", "mean_staleness",
    "diverged", "diverged_at", "end_reason", "end_time",
]  # fmt: skip


def evaluation_table(
    replicates: Sequence[ReplicateRecord], has_metric: bool = False
) -> pd.DataFrame:
    """One row per test, in order of replicate and event.

    Args:
        replicates: what has been measured.
        has_metric: whether there is a task that is judged by another metric than its accuracy;
            there is the column ``metric`` then.
    """
    tables = [
        pd.DataFrame(
            {
                "replicate": record.index,
                "seed": record.seed,
                "task": _names(record)[record.evaluations["task"]],
                **{name: record.evaluations[name] for name in ("round", "time", "arrivals")},
                **_measured(record),
                "loss": record.evaluations["loss"],
            }
        )
        for record in replicates
    ]
    measured = ["accuracy", *(["metric"] if has_metric else []), "loss"]
    columns = ["replicate", "seed", "task", "round", "time", "arrivals", *measured]
    integers = {name: "int64" for name in ("replicate", "seed", "round", "arrivals")}
    floats = {name: "float64" for name in ("time", *measured)}
    return _stacked(tables, columns).loc[:, columns].astype({**integers, **floats, "task": "str"})


def _measured(record: ReplicateRecord) -> dict[str, np.ndarray]:
    """What tests measured: ``accuracy``, or ``metric`` where a task is judged by another one."""
    values = record.evaluations["metric"]
    is_own = np.array([lane.metric is not None for lane in record.lanes])[
        record.evaluations["task"]
    ]
    return {
        "accuracy": np.where(is_own, np.nan, values),
        "metric": np.where(is_own, values, np.nan),
    }


def lane_table(replicates: Sequence[ReplicateRecord], has_metric: bool = False) -> pd.DataFrame:
    """One row per replicate and task: how it ended; ``has_metric`` as of ``evaluation_table``."""
    rows = [
        _lane_row(record, lane, number)
        for record in replicates
        for number, lane in enumerate(record.lanes)
    ]
    place = LANE_COLUMNS.index("loss")
    columns = [*LANE_COLUMNS[:place], *(["metric"] if has_metric else []), *LANE_COLUMNS[place:]]
    return pd.DataFrame(rows, columns=columns)


def allocation_table(replicates: Sequence[ReplicateRecord]) -> pd.DataFrame:
    """R_m and b_m whenever they changed: a row per replicate, change and task."""
    tables = [_allocations(record) for record in replicates]
    names = ["time", "arrivals", "task", "num_active", "buffer_size", "sigma_hat"]
    return _stacked(tables, ["replicate", *names])


def request_table(replicates: Sequence[ReplicateRecord]) -> pd.DataFrame:
    """One row per request of each replicate, in order of dispatch."""
    return pd.concat([_requests(record) for record in replicates], ignore_index=True)


def model_leaves(replicates: Sequence[ReplicateRecord]) -> dict[str, np.ndarray]:
    """Every leaf of every initial and final model: ``replicate/task/initial/leaf``."""
    leaves: dict[str, np.ndarray] = {}
    for record in replicates:
        for lane in record.lanes:
            for when, model in (("initial", lane.initial_model), ("final", lane.final_model)):
                prefix = f"{record.index}/{lane.task}/{when}"
                leaves |= {f"{prefix}/{name}": leaf for name, leaf in (model or {}).items()}
    return leaves


def partition_tables(config: Config, indices: Sequence[int]) -> Iterator[pd.DataFrame]:
    """Who holds which sample: rows (replicate, task, client, sample), in blocks of clients.

    The data is loaded anew and divided as the run has divided it.

    Args:
        config: of the run.
        indices: of the replicates, among the seeds.
    """
    pools_data = get_algorithm(config.algorithm).pools_data
    for index in indices:
        for number, (name, task) in enumerate(config.named_tasks):
            data = get_kind(task.kind).load_for(task)
            holdings = draw_holdings(
                PooledData(data) if pools_data else data,
                task,
                config.num_clients,
                seed=config.seeds[index],
                task=number,
                one_mix=rules_of(config).one_mix,
            )
            first = 0
            for samples in holdings.all_samples():
                clients = np.arange(first, first + len(samples))
                first += len(samples)
                yield pd.DataFrame(
                    {
                        "replicate": index,
                        "task": name,
                        "client": np.repeat(clients, samples.shape[1]),
                        "sample": samples.ravel().astype(np.int64),
                    }
                )


def _names(record: ReplicateRecord) -> np.ndarray:
    return np.array([lane.task for lane in record.lanes], object)


def _stacked(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Tables with these columns one below the other; those without a row say nothing of types."""
    filled = [table for table in tables if len(table)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)


def _lane_row(record: ReplicateRecord, lane: LaneRecord, number: int) -> dict[str, Any]:
    mine = np.flatnonzero(record.evaluations["task"] == number)
    measured = _measured(record) | {"loss": record.evaluations["loss"]}
    last = {name: column[mine[-1]] if len(mine) else np.nan for name, column in measured.items()}
    return {
        "replicate": record.index,
        "seed": record.seed,
        "task": lane.task,
        "rounds": len(lane.round_end),
        **last,
        "target_time": np.nan if lane.target_time is None else lane.target_time,
        "mean_staleness": lane.mean_staleness,
        "diverged": record.diverged is not None,
        "diverged_at": record.diverged_at if record.diverged == lane.task else np.nan,
        "end_reason": record.end_reason,
        "end_time": record.time,
    }


def _allocations(record: ReplicateRecord) -> pd.DataFrame:
    changes, num_tasks = record.allocations, len(record.lanes)
    count = len(changes["time"])
    return pd.DataFrame(
        {
            "replicate": record.index,
            "time": np.repeat(changes["time"], num_tasks),
            "arrivals": np.repeat(changes["arrivals"], num_tasks),
            "task": np.tile(_names(record), count),
            "num_active": changes["num_active"].ravel(),
            "buffer_size": changes["buffer_size"].ravel(),
            "sigma_hat": changes["sigma_hat"].ravel(),
        }
    )


def _requests(record: ReplicateRecord) -> pd.DataFrame:
    columns = record.requests
    assert columns is not None
    used_round = columns["used_round"]
    return pd.DataFrame(
        {
            "replicate": record.index,
            "request": np.arange(len(used_round)),
            "task": _names(record)[columns["task"]],
            **{
                name: columns[name]
                for name in ("client", "dispatched_at", "started_at", "arrived_at", "base_round")
            },
            "used_round": pd.Series(used_round, dtype="Int64").mask(used_round < 0),
            "status": np.array(STATUSES, object)[columns["status"]],
        }
    )
