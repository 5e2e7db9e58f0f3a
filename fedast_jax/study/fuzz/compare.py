"""What a driver did beside what the oracle says, in every column: the first place that differs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...algorithms.log import EventLog
from ...oracle import OneReplicate
from ...run.replicate import Replicate
from .difference import are_like, expect, expect_column, expect_equal
from .drive import Ran

TOLERANCE = 1e-9
"""Of what is trained in float64, relative: rounding is far below, and a wrong update far above."""

TIMES = ["dispatched_at", "started_at", "arrived_at"]
REQUEST = ["client", *TIMES, "base_round", "used_round", "status"]
TEST = ["replicate", "seed", "task", "round", "time", "arrivals", "accuracy", "loss"]


def expect_same(ran: Ran, oracles: Sequence[OneReplicate], tolerance: float = 0.0) -> None:
    """Raise Difference where anything differs; losses and models may by a relative tolerance."""
    expect_same_events(ran, oracles)
    expect_same_tests(ran, oracles, tolerance)
    expect_same_models(ran, oracles, tolerance)


def expect_same_events(ran: Ran, oracles: Sequence[OneReplicate]) -> None:
    """The request table equal in every bit, and every replicate's end."""
    expect_same_requests(ran.requests, oracles)
    for ours, theirs in zip(ran.replicates, oracles, strict=True):
        place, log = f"replicate {ours.index}", ours.timeline
        expect_equal(f"{place}, end", log.end_reason, theirs.end_reason)
        expect_equal(f"{place}, arrivals", log.num_arrivals, theirs.num_arrivals)
        expect_equal(f"{place}, R", log.num_active, [one.num_active for one in theirs.tasks])
        expect_equal(f"{place}, b", log.buffer_size, [one.buffer_size for one in theirs.tasks])
        expect_equal(f"{place}, time", log.time, theirs.now)
        expect_equal(f"{place}, targets", ours.target_times, theirs.target_times)
        expect_same_allocations(place, log, theirs)


def expect_same_requests(table: pd.DataFrame, oracles: Sequence[OneReplicate]) -> None:
    """Every request in the order of dispatch."""
    theirs = request_columns(oracles)
    for name, column in theirs.items():
        ours = table[name].astype(object).where(table[name].notna(), None).tolist()
        expect_column(f"requests, {name}", ours, column)


def request_columns(oracles: Sequence[OneReplicate]) -> dict[str, list[Any]]:
    """The oracle's requests with the columns of ``requests.parquet``."""
    rows = [(index, one) for index, oracle in enumerate(oracles) for one in oracle.requests]
    columns: dict[str, list[Any]] = {
        "replicate": [index for index, _ in rows],
        "request": [one.number for _, one in rows],
        "task": [oracles[index].tasks[one.task].name for index, one in rows],
    }
    return columns | {
        name: [getattr(one, name) for _, one in rows] for name in [*REQUEST, "status"]
    }


def expect_same_allocations(place: str, log: EventLog, theirs: OneReplicate) -> None:
    """The integers equal; what they were worked out from within the tolerance."""
    expect_equal(f"{place}, allocations", len(log.allocations), len(theirs.allocations))
    for one, other in zip(log.allocations, theirs.allocations, strict=True):
        expect_equal(f"{place}, allocation", tuple(one[:4]), tuple(other[:4]))
        ours, known = one.sigma_hat or (), other.sigma_hat or ()
        is_same = len(ours) == len(known) and are_like(ours, known, TOLERANCE)
        expect(is_same, f"{place}, sigma_hat at {one.time}: {ours}, the oracle has {known}")


def expect_same_tests(ran: Ran, oracles: Sequence[OneReplicate], tolerance: float) -> None:
    """The accuracies equal in every bit, the losses within the tolerance."""
    theirs = evaluation_columns(oracles)
    for name in TEST[:-1]:
        expect_column(f"evaluations, {name}", ran.evaluations[name].tolist(), theirs[name])
    ours = ran.evaluations["loss"].tolist()
    is_same = are_like(ours, theirs["loss"], tolerance)
    expect(is_same, f"evaluations, loss: {ours}, the oracle has {theirs['loss']}")


def evaluation_columns(oracles: Sequence[OneReplicate]) -> dict[str, list[Any]]:
    """The oracle's tests with the columns of ``evaluations.parquet``."""
    rows = [
        (index, oracle.seed, *test)
        for index, oracle in enumerate(oracles)
        for test in oracle.evaluations
    ]
    return {name: [row[place] for row in rows] for place, name in enumerate(TEST)}


def expect_same_models(ran: Ran, oracles: Sequence[OneReplicate], tolerance: float) -> None:
    """Every leaf within the tolerance, relative to the leaf's largest number."""
    for ours, theirs in zip(ran.replicates, oracles, strict=True):
        for task in theirs.tasks:
            place = f"replicate {ours.index}, task {task.name}"
            first, last = models_of(ours, task.name)
            expect_same_model(f"{place}, first model", first, task.versions[0], tolerance)
            expect_same_model(f"{place}, last model", last, task.versions[-1], tolerance)


def models_of(replicate: Replicate, task: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first and the last."""
    return replicate.initial_models[task], replicate.final_models[task]


def expect_same_model(place: str, ours: dict[str, Any], model: Any, tolerance: float) -> None:
    """A symbol is one number."""
    theirs = {"content": model} if isinstance(model, int) else named_leaves(model)
    expect_equal(f"{place}, leaves", sorted(ours), sorted(theirs))
    for name, leaf in theirs.items():
        expect_close(f"{place}, {name}", ours[name], leaf, tolerance)


def expect_close(place: str, ours: Any, theirs: Any, tolerance: float) -> None:
    """Two leaves, of one shape and type."""
    one, other = np.asarray(ours), np.asarray(theirs)
    expect_equal(place, (one.shape, one.dtype), (other.shape, other.dtype))
    if tolerance == 0.0:
        expect(one.tobytes() == other.tobytes(), f"{place}: {ours}, the oracle has {theirs}")
        return
    gap, most = np.abs(one - other).max(), tolerance * np.abs(other).max()
    expect(bool(gap <= most), f"{place}: apart by {gap}, at most {most} is rounding")


def named_leaves(model: Any) -> dict[str, np.ndarray]:
    """Of a tree of dicts, as models are saved."""
    if not isinstance(model, dict):
        return {"": np.asarray(model)}
    return {
        f"{key}/{name}".rstrip("/"): leaf
        for key, part in model.items()
        for name, leaf in named_leaves(part).items()
    }
