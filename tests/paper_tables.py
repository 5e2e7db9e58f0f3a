"""Studies of the paper's shapes whose numbers are made up, so that every verdict is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fedast_jax.config.grid import flat_keys, points
from fedast_jax.study.recorded import Recorded, RecordedConfig, RecordedStudy, RecordedVariant

TESTS = np.linspace(1.0, 10.0, 10)
Curve = Callable[[np.ndarray, int], np.ndarray]
"""``(times, replicate) -> values``."""


def made_up(
    table: Mapping[str, Any], measure: Callable[[str, dict[str, Any]], Mapping[str, Any]]
) -> RecordedStudy:
    """A study of a table, of whose variants ``measure(method, point)`` gives the numbers.

    It returns ``times`` (by task, of each seed; NaN: not met), and optionally ``accuracy`` and
    ``loss``, curves of each task, and ``diverged``, replicates.
    """
    study = table.get("study", {})
    methods = study.get("compare") or [table.get("algorithm", "fedast")]
    grid = dict(flat_keys(study.get("sweep", {})))
    variants = [RecordedVariant(method, point) for point in points(grid) for method in methods]
    results = [_result(table, one, measure(one.method, one.point)) for one in variants]
    return RecordedStudy(table, variants, results)


def _result(table: Mapping[str, Any], one: RecordedVariant, found: Mapping[str, Any]) -> Recorded:
    tasks = {name: {"target_accuracy": 0.9, "copies": 1} for name in found["times"]}
    seeds = len(next(iter(found["times"].values())))
    complete = {
        "name": "made-up", "algorithm": one.method, "seed": 0, "num_seeds": seeds, "tasks": tasks,
        "num_clients": table.get("num_clients", 1000),
    }  # fmt: skip
    rows = [
        _lane(task, seed, float(times[seed]), seed in found.get("diverged", ()))
        for seed in range(seeds)
        for task, times in found["times"].items()
    ]
    tests = [_tests(found, task, seed) for seed in range(seeds) for task in found["times"]]
    config = RecordedConfig.parse(complete)
    changes = pd.DataFrame(columns=["replicate", "task", "time", "num_active"])
    return Recorded(config, "finished", pd.concat(tests), pd.DataFrame(rows), changes)


def _lane(task: str, seed: int, time: float, diverged: bool) -> dict[str, Any]:
    return {
        "replicate": seed, "seed": seed, "task": task, "rounds": 40, "accuracy": 0.9, "loss": 0.3,
        "target_time": np.nan if diverged else time, "mean_staleness": 1.0, "diverged": diverged,
        "diverged_at": 1.0 if diverged else np.nan,
        "end_reason": "diverged" if diverged else "targets", "end_time": 1000.0,
    }  # fmt: skip


def _tests(found: Mapping[str, Any], task: str, seed: int) -> pd.DataFrame:
    flat: Curve = lambda times, seed: np.full(len(times), 0.5)  # noqa: E731
    columns = {name: found.get(name, flat)(TESTS, seed) for name in ("accuracy", "loss")}
    return pd.DataFrame({"replicate": seed, "seed": seed, "task": task, "time": TESTS, **columns})


def seeds(*numbers: float) -> np.ndarray:
    """Of each seed a number."""
    return np.array(numbers, np.float64)


def level(height: float, apart: float = 0.001) -> Curve:
    """Always the same, a little more of each next seed."""
    return lambda times, seed: np.full(len(times), height + apart * seed)


def zigzag(height: float, width: float) -> Curve:
    """Up and down from test to test, by more of each next seed."""
    return lambda times, seed: height + width * (1 + 0.01 * seed) * (-1.0) ** np.arange(len(times))


def compare(*methods: str, sweep: Mapping[str, Sequence[Any]] = {}) -> dict[str, Any]:
    """A table of what is run."""
    return {"study": {"compare": list(methods), "sweep": dict(sweep)}}
