"""``fedast verify``: what a run leaves is sound, and whatever is changed in it is found."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_cli import run

import fedast_jax as fx
from fedast_jax.algorithms import OWN_NAMES
from fedast_jax.config.errors import UserError
from fedast_jax.results.checksums import CHECKSUMS, write_checksums
from fedast_jax.results.records import NOTHING
from fedast_jax.results.result import Result
from fedast_jax.results.run_folder import write_json, write_models
from fedast_jax.run.resolve import make_config
from fedast_jax.study.audit.drift import Drift, lenient, strict
from fedast_jax.study.audit.events import check_events
from fedast_jax.study.audit.findings import Audit, Difference
from fedast_jax.study.audit.invariants import check_invariants
from fedast_jax.study.audit.sums import check_sums
from fedast_jax.study.audit.told import Story
from fedast_jax.study.fuzz.drive import run_driver
from fedast_jax.study.fuzz.symbols import SymbolicDevice

EVERYTHING = ("requests", "models", "partition")
SMALL = {
    "num_clients": 8,
    "num_seeds": 2,
    "max_active_clients": 6,
    "max_updates": 30,
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
    if isinstance(content[key], dict | list) and len(content[key]) == 0:
        content[key] = 1
        return str(key)
    if isinstance(content[key], dict | list):
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
    "evaluations.parquet": (change_table, 16),
    "allocations.parquet": (change_table, 12),
    "lanes.parquet": (change_table, 12),
    "requests.parquet": (change_table, 20),
    "partition.parquet": (change_table, 6),
    "summary.json": (change_json, 6),
    "models.npz": (change_models, 8),
}


def summed_anew(folder: Path) -> None:
    (folder / CHECKSUMS).unlink()
    write_checksums(folder / CHECKSUMS)


def is_found(folder: Path) -> bool:
    try:
        return not fx.verify(folder, deep=True).is_sound
    except UserError:
        return True


def mutated(folder: Path, name: str, random: np.random.Generator) -> str:
    """Change a file of a folder; what was changed in it."""
    path, (change, _) = folder / name, CHANGES[name]
    before = path.read_bytes()
    place = change(path, random)
    while path.read_bytes() == before:  # two equal rows
        place = change(path, random)
    return place


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_changed_is_found_though_the_sums_are_made_anew(folders, tmp_path, name):
    folder, random = tmp_path / "run", np.random.default_rng(0)
    shutil.copytree(folders / "run", folder)
    before, missed = (folder / name).read_bytes(), []
    for _ in range(CHANGES[name][1]):
        place = mutated(folder, name, random)
        summed_anew(folder)
        if not is_found(folder):
            missed.append(place)
        (folder / name).write_bytes(before)
    assert missed == []


def test_200_changes_of_any_file_are_found_by_its_sum(folders, tmp_path):
    folder, random = tmp_path / "both", np.random.default_rng(0)
    shutil.copytree(folders / "both", folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for number in range(200):
        path = files[number % len(files)]
        before = path.read_bytes()
        place = int(random.integers(len(before)))
        bit = bytes([before[place] ^ 1 << int(random.integers(8))])
        cut = (
            before[:place] if random.random() < 0.2 else before[:place] + bit + before[place + 1 :]
        )
        path.write_bytes(cut)
        audit = Audit()
        check_sums(folder, audit)
        assert not audit.is_sound, (path, place)
        path.write_bytes(before)
    check_sums(folder, audit := Audit())
    assert audit.is_sound


def test_sums_name_files_of_the_folder_alone(tmp_path):
    for name in ("../outside", "/etc/hostname", "link"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to("/etc/hostname")
        (tmp_path / CHECKSUMS).write_text(json.dumps({"sha256": {name: "0" * 64}}))
        check_sums(tmp_path, audit := Audit())
        assert audit.differences[0].expected in ("names of files in the folder", "a file")


# The command.


def test_the_exit_code_says_how_it_is(folders, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "run"
    shutil.copytree(folders / "run", folder)
    assert run(monkeypatch, "verify", folder) == 0
    assert "checked: the SHA-256 sums of" in capsys.readouterr().out
    path = folder / "requests.parquet"
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[7]["client"] += 1
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    assert run(monkeypatch, "verify", folder) == 4
    said = capsys.readouterr().out
    assert "WRONG: requests.parquet: expected bytes of SHA-256" in said
    expected = f"expected {rows[7]['client'] - 1}, found {rows[7]['client']}"
    assert f"WRONG: requests.parquet, row 7, client: {expected}" in said
    path.write_bytes(b"PAR1")
    assert run(monkeypatch, "verify", folder) == 4


def test_what_is_no_finished_run_is_refused_in_a_sentence(tmp_path, monkeypatch, capsys, folders):
    def said(folder: Path) -> str:
        assert run(monkeypatch, "verify", folder) == 2
        return capsys.readouterr().err

    assert "does not exist; name the folder of a run" in said(tmp_path / "nothing")
    assert "there is no 'config.toml' in it" in said(tmp_path)
    shutil.copytree(folders / "run", tmp_path / "run")
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    write_json(manifest | {"status": "interrupted"}, tmp_path / "run" / "manifest.json")
    assert "was interrupted: finish it by 'fedast resume" in said(tmp_path / "run")


def test_pictures_that_are_drawn_again_get_their_sums(folders, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    shutil.copytree(folders / "run", folder)
    shutil.rmtree(folder / "figures")
    check_sums(folder, audit := Audit())
    assert {one.file for one in audit.differences} >= {"figures/accuracy.png"}
    assert run(monkeypatch, "show", folder) == 0
    check_sums(folder, audit := Audit())
    assert audit.is_sound


# Events of every method, on symbols: nothing is trained.

TASK = {"kind": "softmax", "num_active": 4, "buffer_size": 2, "test_every": 2}
TWO = {"a": {**TASK, "target_accuracy": 0.8}, "b": {**TASK, "num_active": 3, "buffer_size": 1}}
ALONE = ("async_fl", "fedbuff")
ONES = ("fedasync", "delay_adaptive", "ringmaster", "ace", "fedast_nobuffer", "centralized")


def story_of(algorithm: str, **settings: Any) -> Story:
    """What a run on symbols would save."""
    tasks = {"a": TASK} if algorithm in ALONE else TWO
    if algorithm in (*ONES, "async_fl"):
        tasks = {name: {**task, "buffer_size": 1} for name, task in tasks.items()}
    top = {"num_clients": 9, "num_seeds": 2, "max_updates": 80, "keep_first": 3}
    machine = {"machine": {"batch_width": 4}}
    config = make_config({"algorithm": algorithm, "tasks": tasks, **top, **machine, **settings})
    records = run_driver(config, SymbolicDevice()).driver.records()
    records = tuple(sorted(records, key=lambda one: one.index))
    run = dataclasses.replace(NOTHING, replicates=records, status="finished", keeps_requests=True)
    found = Result.collect(config, 0, run)
    return Story(config, found.evaluations, found.allocations(), found.lanes, found.requests())


@pytest.mark.parametrize("algorithm", sorted(OWN_NAMES))
def test_the_oracle_tells_the_events_of_every_method(algorithm):
    check_events([story_of(algorithm)], audit := Audit())
    assert any(sentence.startswith("the events of 2 replicates") for sentence in audit.checked)


SETTINGS = {
    "option D": {"allocation": "dynamic"},
    "a cap": {"max_active_clients": 5},
    "the authors": {"fidelity": "authors"},
    "a time limit": {"time_limit": 60.0},
    "clients that go off": {"availability": {"law": "on_off", "mean_on": 20.0, "mean_off": 9.0}},
    "lost on the way": {"availability": {"loss": 0.2}},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("algorithm", ["fedast", "rennala", "sync_st", "sync_ucb_st"])
def test_the_oracle_tells_the_events_of_every_setting(algorithm, settings):
    if algorithm == "fedast" or set(settings) & {"availability", "time_limit"}:
        check_events([story_of(algorithm, **settings)], Audit())


def test_without_the_choices_the_oracle_leaves_sync_ucb_st_alone():
    check_events([story_of("sync_ucb_st")._replace(requests=None)], audit := Audit())
    assert "(--save requests: its choices)" in audit.unchecked[0]


# Rules, each broken once; the tables are those of a run with option S.


@pytest.fixture(scope="module")
def story() -> Story:
    return story_of("fedast")


def broken(story: Story, table: str, row: int, column: str, value: Any) -> Difference | None:
    """What the rules find where one cell is another."""
    frame = getattr(story, table).copy()
    frame.loc[row, column] = value
    try:
        check_invariants(story._replace(**{table: frame}))
    except Difference as difference:
        return difference
    return None


def test_the_rules_hold(story):
    assert check_invariants(story) == 12


@pytest.mark.parametrize(
    ("table", "row", "column", "value"),
    [
        ("evaluations", 3, "time", 0.0),
        ("evaluations", 3, "round", 3),
        ("evaluations", 3, "arrivals", 1000),
        ("evaluations", 1, "accuracy", 0.99),
        ("evaluations", 0, "loss", np.nan),
        ("lanes", 0, "target_time", 1.0),
        ("allocations", 0, "num_active", 5),
        ("allocations", 1, "buffer_size", 0),
        ("requests", 9, "request", 4),
        ("requests", 9, "dispatched_at", 0.0),
        ("requests", 9, "started_at", 0.0),
        ("requests", 9, "arrived_at", 0.0),
        ("requests", 3, "used_round", 7),
        ("requests", 30, "base_round", 0),
        ("requests", 30, "status", "dropped"),
    ],
)
def test_a_broken_rule_is_found(story, table, row, column, value):
    assert broken(story, table, row, column, value) is not None


def test_who_holds_requests_is_counted():
    story = story_of("fedast", max_active_clients=5)
    fewer = story.config.model_copy(update={"max_active_clients": 4})
    with pytest.raises(Difference, match="at most 4 active clients"):
        check_invariants(story._replace(config=fewer))


# Drift: in float32 a test may be off, but not alone.


def test_who_has_drifted_does_not_come_back():
    off = Difference("evaluations.parquet", 1.0, 1.1, 5, "loss")
    drift = Drift()
    for one in (None, None, off, off, None, None, off, None, None):
        drift.add(one)
    drift.end(is_model_alike=False)
    with pytest.raises(Difference, match="row 5, loss"):
        drift.add(None)
    with pytest.raises(Difference):
        drift.end(is_model_alike=True)


def test_float64_allows_nothing_but_rounding():
    assert strict("float64") == lenient("float64")
    assert strict("float64").allows((0.5, 1.0), (0.5, 1.0 + 1e-6), 100) == "loss"
    assert strict("float32").allows((0.5, 1.0), (0.51, 1.0), 100) is None
    assert strict("float32").allows((0.5, 1.0), (0.53, 1.0), 100) == "metric"
    assert lenient("float32").allows((0.5, 1.0), (0.53, 1.1), 100) is None
    assert lenient("float32").allows((0.5, 1.0), (0.5, float("nan")), 100) == "loss"
