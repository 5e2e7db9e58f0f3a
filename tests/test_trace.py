"""Traces and pictures of runs: read back, every request is there once and no two overlap."""

from __future__ import annotations

import errno
import gzip
import json
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_folders import make_folder

import fedast_jax as fx
from fedast_jax.config.errors import ConfigError, OutputError, RecordError
from fedast_jax.results.run_folder import write_table
from fedast_jax.study.recorded import read_folder
from fedast_jax.study.recorded_requests import read_requests
from fedast_jax.views import trace
from fedast_jax.views.events import MOST_NS, Clock, micro
from fedast_jax.views.timeline import make_timeline
from fedast_jax.views.trace import write_gantt, write_trace

TABLE = {
    "name": "small", "num_clients": 8, "max_updates": 60, "num_seeds": 2, "keep_first": 2,
    "machine": {"batch_width": 4},
    "tasks": {"tanh": {"copies": 2, "num_active": 5, "test_every": 1, "max_rounds": 12}},
}  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    """Simulated: option S, option D and synchronous rounds."""
    methods = ["fedast:static", "fedast:dynamic", "sync_st"]
    study = fx.compare(TABLE, methods, keep_requests=True)
    return study.save(tmp_path_factory.mktemp("real") / "study", ["requests"])


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return make_folder(tmp_path_factory.mktemp("made") / "run", with_requests=True)


class Trace:
    """A trace as a reader takes it: by kind, times in exact nanoseconds."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        text = gzip.decompress(content) if path.suffix == ".gz" else content
        whole = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        self.told = whole["otherData"]
        self.by_kind: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for event in whole["traceEvents"]:
            for key in ("ts", "dur"):
                if key in event:
                    event[key] *= 1000
                    assert event[key] == int(event[key]) >= 0
            self.by_kind[event["ph"]].append(event)

    def check(self) -> None:
        """No slices overlap on a track; waiting begins and ends; names are there once."""
        tracks = defaultdict(list)
        for one in self.by_kind["X"]:
            tracks[one["pid"], one["tid"]].append((one["ts"], one["ts"] + one["dur"]))
        for slices in tracks.values():
            slices.sort()
            for (_, end), (start, _) in pairwise(slices):
                assert end <= start
        begins = {one["id"]: one for one in self.by_kind["b"]}
        ends = {one["id"]: one for one in self.by_kind["e"]}
        assert len(begins) == len(self.by_kind["b"]) == len(self.by_kind["e"])
        assert begins.keys() == ends.keys()
        for number, begin in begins.items():
            assert begin["ts"] < ends[number]["ts"]
            assert begin["name"] == ends[number]["name"]
        named = [one for one in self.by_kind["M"] if one["name"] == "thread_name"]
        assert len({one["tid"] for one in named}) == len(named)
        processes = {one["pid"] for one in self.by_kind["M"]}
        assert not processes & {one["tid"] for one in named}
        assert {one["pid"] for kind in "XibeC" for one in self.by_kind[kind]} <= processes

    def requests(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Every training by its result's and its own number; each at most once."""
        names = {
            one["pid"]: one["args"]["name"].removesuffix(": clients")
            for one in self.by_kind["M"] if one["name"] == "process_name"
        }  # fmt: skip
        never = [one for one in self.by_kind["i"] if one.get("cat") == "unstarted"]
        found = self.by_kind["X"] + never
        keyed = {(names[one["pid"]], int(one["args"]["request"])): one for one in found}
        assert len(keyed) == len(found)
        return keyed

    def instants(self, words: str) -> list[dict[str, Any]]:
        return [one for one in self.by_kind["i"] if one["name"].startswith(words)]

    def counter(self, name: str) -> list[tuple[int, int]]:
        found = [one for one in self.by_kind["C"] if one["name"] == name]
        return [(int(one["ts"]), int(one["args"]["value"])) for one in found]


NAMES = [
    "FedAST, fixed R (option S)", "FedAST, R reallocated (option D)", "Sync-ST",
]  # fmt: skip


@pytest.mark.parametrize("replicate", [0, 1])
def test_every_request_is_there_once_as_it_was(real, tmp_path, replicate):
    (path,) = write_trace(real, tmp_path / "trace.json", replicate=replicate).paths
    read = Trace(path)
    read.check()
    found = read.requests()
    tables = read_requests(read_folder(real), replicate, replicate)
    assert len(found) == sum(map(len, tables))
    waits = 0
    for name, table in zip(NAMES, tables, strict=True):
        for row in table.to_dict("records"):
            one = found[name, row["request"]]
            stale = None if pd.isna(row["used_round"]) else row["used_round"] - row["base_round"]
            assert one["ts"] == round(row["started_at"] * 1e9)
            assert one["ts"] + one["dur"] == round(row["arrived_at"] * 1e9)
            assert one["name"] == one["args"]["task"] == row["task"]
            assert (one["args"]["version"], one["args"]["status"]) == (
                row["base_round"], row["status"],
            )  # fmt: skip
            assert one["args"]["staleness"] == stale
            waits += row["started_at"] > row["dispatched_at"]
    assert len(read.by_kind["b"]) == waits > 0
    lanes = pd.read_parquet(real / "lanes.parquet").query(f"replicate == {replicate}")
    assert len(read.instants("round ")) == lanes.rounds.sum()
    tests = pd.read_parquet(real / "evaluations.parquet").query(f"replicate == {replicate}")
    assert len(read.instants("test ")) == len(tests)


@pytest.mark.parametrize("number", range(3))
def test_rounds_close_when_they_were_tested(real, number):
    """The rule alone, without the tests' times, says the same as the run."""
    content = read_folder(real)
    result = content.study.results[number]
    requests = read_requests(content, 0, 0)[number]
    tested = result.evaluations[result.evaluations.replicate == 0]
    rounds = make_timeline("", result, requests, 0).rounds
    untested = result.__class__(
        result.config, result.status, tested.iloc[:0], result.lanes, result.changes
    )
    by_rule = make_timeline("", untested, requests, 0).rounds
    pd.testing.assert_frame_equal(by_rule, rounds)
    assert len(rounds) == len(tested) > 10
    times = tested.sort_values(["time", "task"]).time.to_numpy()
    np.testing.assert_array_equal(rounds.time.to_numpy(), times)


def test_counters_are_what_the_method_promises(real, tmp_path):
    """Option S keeps R in flight; a buffer never holds b; both end as the tables say."""
    (path,) = write_trace(real, tmp_path / "trace.json.gz", clients="0-3").paths
    read = Trace(path)
    read.check()
    assert {int(one["name"].rpartition(" ")[2]) for one in read.by_kind["b"]} <= {0, 1, 2, 3}
    content = read_folder(real)
    timelines = [
        make_timeline(name, result, table, 0)
        for name, result, table in zip(
            NAMES, content.study.results, read_requests(content, 0, 0), strict=True
        )
    ]
    from fedast_jax.views.timeline import allocated, buffered, in_flight

    for timeline in timelines:
        for task in timeline.tasks:
            _, times, active = next(iter(allocated(timeline, task)))
            moments, flying = in_flight(timeline, task)
            arrived = timeline.rounds[timeline.rounds.task == task].time
            held = active[np.searchsorted(times, moments, "right") - 1]
            if timeline is timelines[0]:
                assert (flying == held)[moments < arrived.max()].all()
            assert (flying >= 0).all()
            _, waiting = buffered(timeline, task)
            mine = timeline.requests[timeline.requests.task == task]
            assert waiting.min() >= 0
            assert waiting[-1] == (mine.status == "buffered").sum()
            assert flying[-1] == (mine.status == "in_flight").sum()
    values = dict(read.counter("in flight tanh_1"))
    assert set(values.values()) >= {5}


def test_a_window_holds_what_reaches_into_it(made, tmp_path):
    window = {"start": 20.0, "stop": 40.0, "clients": "1, 3-5"}
    (path,) = write_trace(made, tmp_path / "trace.json", **window).paths
    read = Trace(path)
    read.check()
    table = read_requests(read_folder(made), 0, 0)[0]
    table = table[table.client.isin([1, 3, 4, 5])]
    expected = table.loc[(table.arrived_at >= 20) & (table.dispatched_at < 40), "request"]
    assert {number for _, number in read.requests()} == set(expected)
    moments = [one["ts"] for kind in "iC" for one in read.by_kind[kind]]
    assert min(moments) >= 20e9
    assert max(moments) < 40e9
    assert read.counter("R digits")[0] == (20 * 10**9, 6)  # what held before


def test_statuses_of_other_versions_and_missing_times(made, tmp_path):
    """What was lost may have no end, or never have begun; a client's next ends it at the latest."""
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(made, folder)
    table = pd.read_parquet(folder / "requests.parquet")
    table.loc[::3, ["status", "used_round"]] = ["lost", pd.NA]
    table.loc[::3, "arrived_at"] = np.nan
    table.loc[::6, "started_at"] = np.nan
    table.loc[1::5, ["status", "used_round"]] = ["dropped", pd.NA]
    write_table(table, folder / "requests.parquet")
    (path,) = write_trace(folder).paths
    read = Trace(path)
    read.check()
    assert path == folder / "trace.json"
    assert {number for _, number in read.requests()} == set(range(60))
    statuses = {one["args"]["status"] for one in read.requests().values()}
    assert statuses == {"lost", "dropped", "used"}
    assert len([one for one in read.by_kind["i"] if one.get("cat") == "unstarted"]) == 10
    write_gantt(folder, tmp_path / "picture.png")


def test_a_trace_ends_where_it_is_full(made, tmp_path, monkeypatch):
    monkeypatch.setattr(trace, "MOST_BYTES", 20_000)
    written = write_trace(made, tmp_path / "trace.json")
    assert "it ends at simulated time" in written.note
    assert written.paths[0].stat().st_size < 20_500
    read = Trace(written.paths[0])
    read.check()
    assert read.told["left out"] == written.note
    assert 0 < len(read.requests()) < 60


def test_slices_that_touch_do_not_overlap_once_rounded():
    """Sums of floats would; every time is rounded once, to whole nanoseconds."""
    clock = Clock.of(1e5)
    times = np.cumsum(np.random.default_rng(0).exponential(1e-3, 10_000))
    moments = clock.ns(times)
    assert (np.diff(moments) >= 0).all()
    assert [Decimal(micro(ns)) * 1000 for ns in moments.tolist()[:100]] == moments.tolist()[:100]
    for last in (1e-6, 1.0, 1e7, 1e12, 1e15):
        assert last * Clock.of(last).unit <= MOST_NS


def test_the_picture_shows_trainings_and_queues(made, tmp_path):
    written = write_gantt(made, tmp_path / "picture.png", clients="0-4", stop=50.0)
    assert [path.name for path in written.paths] == ["picture.png", "picture.pdf"]
    assert written.paths[0].read_bytes().startswith(b"\x89PNG")
    assert written.paths[1].read_bytes().startswith(b"%PDF")
    from fedast_jax.views.gantt import gantt_figure
    from fedast_jax.views.window import Window

    content = read_folder(made)
    table = read_requests(content, 0, 0)[0]
    timeline = make_timeline("made", content.study.results[0], table, 0)
    panel = gantt_figure([timeline], Window(((0, 4),), 0.0, 50.0)).axes[0]
    mine = table[table.client.isin(range(5)) & (table.dispatched_at < 50)]
    waiting = (mine.started_at > mine.dispatched_at).sum()
    assert len(panel.collections) == len(mine) + waiting
    assert [label.get_text() for label in panel.get_yticklabels()] == ["0", "1", "2", "3", "4"]
    with pytest.raises(OutputError, match="exists already"):
        write_gantt(made, tmp_path / "picture.pdf")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"clients": "a"}, "numbers and ranges, at most 1000, such as 0-19,40; got 'a'"),
        ({"clients": "5-2"}, "got '5-2'"),
        ({"clients": "0-30"}, "there are clients 0 to 29; got --clients '0-30'"),
        ({"clients": "9" * 5000}, "numbers and ranges"),
        ({"clients": "1," * 5000}, "numbers and ranges"),
        ({"start": 5.0, "stop": 5.0}, "--from the earlier one; got 5 and 5"),
        ({"start": -1.0}, "got -1 and inf"),
        ({"stop": float("nan")}, "got 0 and nan"),
        ({"replicate": 3}, "there are replicates 0 to 2; got --replicate 3"),
        ({"replicate": -1}, "got --replicate -1"),
    ],
)
def test_what_is_not_there_is_one_sentence(made, tmp_path, wanted, says):
    with pytest.raises(ConfigError) as caught:
        write_trace(made, tmp_path / "trace.json", **wanted)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300
    assert not (tmp_path / "trace.json").exists()


def test_folders_and_files_that_will_not_do(made, tmp_path, monkeypatch):
    import shutil

    bare = make_folder(tmp_path / "bare")
    with pytest.raises(RecordError, match="run it again with --save requests"):
        write_trace(bare)
    old = tmp_path / "old"
    shutil.copytree(made, old)
    table = pd.read_parquet(old / "requests.parquet").drop(columns="used_round")
    write_table(table, old / "requests.parquet")
    with pytest.raises(RecordError, match="there is no column 'used_round'"):
        write_trace(old)
    (old / "requests.parquet").write_text("PAR1")
    with pytest.raises(RecordError, match="is not as a run wrote it"):
        write_trace(old)
    (tmp_path / "trace.json").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_trace(made, tmp_path / "trace.json")

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(trace, "_write", full)
    with pytest.raises(OutputError, match="No space left"):
        write_trace(made, tmp_path / "trace.json", force=True)
    assert (tmp_path / "trace.json").read_text() == "mine"


def test_the_command_says_what_it_wrote(made, tmp_path, monkeypatch, capsys):
    import sys

    from fedast_jax.cli import commands as cli

    def fedast(*words: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["fedast", "trace", str(made), *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    path = tmp_path / "t.json"
    code, out, _ = fedast("--out", str(path), "--from", "10", "--to", "20", "--clients", "0-9")
    assert (code or 0, out) == (0, f"{path}\n")
    Trace(path).check()
    code, _, said = fedast("--out", str(path), "--gantt", "a.png")
    assert (code, said.count("\n")) == (2, 1)
