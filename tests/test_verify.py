"""``fedast verify``: what a run leaves is sound, and whatever is changed in it is found."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fedast_jax as fx
from fedast_jax.config.errors import UserError
from fedast_jax.results.checksums import CHECKSUMS, write_checksums
from fedast_jax.results.run_folder import write_json, write_models
from fedast_jax.run.resolve import make_config

EVERYTHING = ("requests", "models", "partition")
SMALL = {
    "num_clients": 8,
    "num_seeds": 2,
    "max_active_clients": 6,
    "max_updates": 40,
    "keep_first": 2,
    "machine": {"precision": "float64", "batch_width": 4},
    "tasks": {
        "softmax": {"num_active": 3, "buffer_size": 1, "target_accuracy": 0.5},
        "other": {"kind": "softmax", "num_active": 4, "buffer_size": 2},
    },
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """A run with option D, and a comparison."""
    place = tmp_path_factory.mktemp("verify")
    config = make_config({**SMALL, "allocation": "dynamic"})
    ran = fx.simulate(config, keep_models=True, keep_requests=True)
    ran.save(place / "run", EVERYTHING)
    both = fx.compare(SMALL, ["fedast", "sync_st"], keep_models=True, keep_requests=True)
    both.save(place / "both", EVERYTHING)
    return place


@pytest.mark.parametrize("name", ["run", "both"])
def test_what_a_run_leaves_is_sound(folders, name):
    audit = fx.verify(folders / name, deep=True)
    assert audit.differences == []


def test_it_says_what_it_could_not_check_and_what_would_allow_it(folders, tmp_path):
    for name in ("requests.parquet", "models.npz", "partition.parquet"):
        assert (folders / "run" / name).exists()
    bare = tmp_path / "bare"
    shutil.copytree(folders / "run", bare, ignore=shutil.ignore_patterns("*.npz", "[pr]*.parquet"))
    write_checksums(bare / CHECKSUMS)
    audit = fx.verify(bare)
    assert audit.is_sound
    said = " ".join(audit.unchecked)
    assert all(word in said for word in ("--save models", "--save partition", "--deep"))
    (bare / CHECKSUMS).unlink()
    assert "there is no checksums.json" in " ".join(fx.verify(bare).unchecked)


# Mutations: a number in any file, a swapped row, another version's model, a truncated file.


def changed(value: Any, random: np.random.Generator) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, int | np.integer):
        return value + int(random.choice([-1, 1]))
    if value is None or not np.isfinite(value):
        return 1.5
    return value * (1 + 1e-3) + 1e-4


def change_table(path: Path, random: np.random.Generator) -> str:
    """One cell, or two rows that change places."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    row, place = random.integers(len(rows), size=2).tolist()
    column = str(random.choice(table.column_names))
    if random.random() < 0.2:
        rows[row], rows[place] = rows[place], rows[row]
        column = f"changed with {place}"
    elif pa.types.is_integer(table.schema.field(column).type):
        rows[row][column] = changed(rows[row][column] or 0, random)
    else:
        rows[row][column] = changed(rows[row][column], random)
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    return f"row {row}, {column}"


def change_tree(content: Any, random: np.random.Generator) -> str:
    """One leaf of tables and lists, in place."""
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    key = keys[random.integers(len(keys))]
    if isinstance(content[key], dict | list) and content[key]:
        return f"{key}." + change_tree(content[key], random)
    content[key] = changed(content[key], random)
    return str(key)


def change_json(path: Path, random: np.random.Generator) -> str:
    content = json.loads(path.read_text())
    place = change_tree(content, random)
    write_json(content, path)
    return place


def change_models(path: Path, random: np.random.Generator) -> str:
    """A number, or one model in another's place."""
    leaves = dict(np.load(path))
    key = str(random.choice(list(leaves)))
    if random.random() < 0.3:
        other = key.replace("initial", "final") if "initial" in key else swapped(key)
        leaves[key] = leaves[other]
    else:
        leaf = leaves[key] = leaves[key].copy()
        place = tuple(random.integers(leaf.shape))
        leaf[place] += 1e-3
    write_models(leaves, path)
    return key


def swapped(key: str) -> str:
    """The final leaf of the other replicate."""
    replicate, rest = key.split("/", 1)
    return f"{1 - int(replicate)}/{rest}"


CHANGES: dict[str, tuple[Callable[[Path, np.random.Generator], str], int]] = {
    "evaluations.parquet": (change_table, 40),
    "allocations.parquet": (change_table, 30),
    "lanes.parquet": (change_table, 30),
    "requests.parquet": (change_table, 50),
    "partition.parquet": (change_table, 15),
    "summary.json": (change_json, 15),
    "models.npz": (change_models, 20),
}


def summed_anew(folder: Path) -> None:
    (folder / CHECKSUMS).unlink()
    write_checksums(folder / CHECKSUMS)


def is_found(folder: Path) -> bool:
    try:
        return not fx.verify(folder, deep=True).is_sound
    except UserError:
        return True


def test_200_mutations_are_found_though_the_sums_are_made_anew(folders, tmp_path):
    folder, random = tmp_path / "run", np.random.default_rng(0)
    shutil.copytree(folders / "run", folder)
    missed = []
    for name, (change, count) in CHANGES.items():
        path = folder / name
        before = path.read_bytes()
        for _ in range(count):
            place = change(path, random)
            while path.read_bytes() == before:  # two equal rows
                place = change(path, random)
            summed_anew(folder)
            if not is_found(folder):
                missed.append((name, place))
            path.write_bytes(before)
    assert missed == []
