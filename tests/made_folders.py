"""Folders as runs leave them, made of invented numbers: nothing is simulated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from fedast_jax.results.run_folder import write_table
from fedast_jax.study.variants import Variant, make_variants

TARGET = 0.9
TABLE: dict[str, Any] = {
    "name": "made", "num_clients": 30, "num_seeds": 3, "time_limit": 100.0, "keep_first": 5,
    "tasks": {
        "digits": {"target_accuracy": TARGET, "num_active": 6, "buffer_size": 2},
        "digits_cnn": {"target_accuracy": TARGET, "num_active": 6, "buffer_size": 2},
    },
}  # fmt: skip
TASKS = tuple(TABLE["tasks"])


def make_folder(
    folder: Path,
    study: Mapping[str, Any] | None = None,
    *,
    num_tests: int = 30,
    with_requests: bool = False,
    **settings: Any,
) -> Path:
    """A finished run, or with ``study`` (its table ``[study]``) a comparison or a sweep."""
    table = {**TABLE, **settings} | ({"study": dict(study)} if study else {})
    variants = make_variants(table)
    (folder / "configs").mkdir(parents=True)
    for number, variant in enumerate(variants):
        text = variant.config.to_toml()
        (folder / "configs" / f"{number}-{variant.method}.toml").write_text(text)
    if study:
        (folder / "config.toml").write_text(tomli_w.dumps(table))
    else:
        (folder / "configs" / f"0-{variants[0].method}.toml").rename(folder / "config.toml")
        (folder / "configs").rmdir()
    random = np.random.default_rng(0)
    made = [_tables(variant, random, num_tests, is_study=bool(study)) for variant in variants]
    names = [*made[0]] if with_requests else [name for name in made[0] if name != "requests"]
    for name in names:
        write_table(pd.concat([one[name] for one in made]), folder / f"{name}.parquet")
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    return folder


MANIFEST = {
    "status": "finished",
    "versions": {"fedast-jax": "0.0.1", "jax": "1.2.3"},
    "device": {"platform": "cpu", "kind": "<b>slow</b>", "count": 1, "machine": "made"},
    "precision": "float32",
    "fidelity": "paper",
    "seconds": {"plan": 1.0, "compile": 2.0, "train": 4.0, "test": 1.0, "wall": 9.0},
    "counts": {"updates": 90, "batches": 10, "empty_slots": 10, "segments": 1, "arrivals": 80},
    "batch_width": 10,
    "resident_replicates": 1,
    "memory": {"estimated_bytes": 2**30, "peak_bytes": 2**31},
}


def _tables(
    variant: Variant, random: np.random.Generator, num_tests: int, *, is_study: bool
) -> dict[str, pd.DataFrame]:
    columns = {"algorithm": variant.method, **variant.point} if is_study else {}
    seeds = range(variant.config.num_seeds)
    tests = pd.concat([_tests(seed, task, random, num_tests) for seed in seeds for task in TASKS])
    lanes = pd.DataFrame([_lane(seed, task, tests) for seed in seeds for task in TASKS])
    allocations = [
        {"replicate": seed, "time": 50.0 * step, "arrivals": 0, "task": task,
         "num_active": 6 + step, "buffer_size": 2, "sigma_hat": None}
        for seed in seeds for step in range(3) for task in TASKS
    ]  # fmt: skip
    tables = {"evaluations": tests, "lanes": lanes, "allocations": pd.DataFrame(allocations)}
    tables["requests"] = pd.concat([_requests(seed, random) for seed in seeds])
    return {
        name: pd.concat([pd.DataFrame(columns, index=table.index), table], axis=1)
        for name, table in tables.items()
    }


def _tests(seed: int, task: str, random: np.random.Generator, count: int) -> pd.DataFrame:
    """A noisy rise."""
    time = np.sort(random.uniform(0, 100, count))
    accuracy = np.clip(1 - np.exp(-time / 25) + random.normal(0, 0.05, count), 0, 1)
    return pd.DataFrame(
        {
            "replicate": seed, "seed": seed, "task": task, "round": 4 * np.arange(1, count + 1),
            "time": time, "arrivals": 8 * np.arange(1, count + 1), "accuracy": accuracy,
            "loss": 2 - accuracy,
        }
    )  # fmt: skip


def _lane(seed: int, task: str, tests: pd.DataFrame) -> dict[str, Any]:
    mine = tests[(tests.replicate == seed) & (tests.task == task)]
    met = mine.loc[mine.accuracy >= TARGET, "time"].tolist()
    return {
        "replicate": seed, "seed": seed, "task": task, "rounds": int(mine.loc[:, "round"].max()),
        "accuracy": float(mine.accuracy.iloc[-1]), "loss": float(mine.loss.iloc[-1]),
        "target_time": met[0] if len(met) else np.nan, "mean_staleness": 3.0,
        "diverged": False, "diverged_at": np.nan, "end_reason": "finished", "end_time": 100.0,
    }  # fmt: skip


def _requests(seed: int, random: np.random.Generator, count: int = 60) -> pd.DataFrame:
    """First come, first served, each client one after the other."""
    dispatched = np.sort(random.uniform(0, 90, count))
    client, lasts = random.integers(0, 10, count), random.exponential(5, count) + 1
    free: dict[int, float] = {}
    started = np.empty(count)
    for number, (at, who) in enumerate(zip(dispatched, client.tolist(), strict=True)):
        started[number] = max(at, free.get(who, 0.0))
        free[who] = started[number] + lasts[number]
    base = np.arange(count) // 4
    return pd.DataFrame(
        {
            "replicate": seed, "request": np.arange(count),
            "task": np.array(TASKS, object)[np.arange(count) % 2], "client": client,
            "dispatched_at": dispatched, "started_at": started, "arrived_at": started + lasts,
            "base_round": base, "used_round": pd.array(base + 2, dtype="Int64"), "status": "used",
        }
    )  # fmt: skip
