"""The command line as a user meets it: what it leaves, what it says, how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fedast_jax as fx
from fedast_jax.cli import commands as cli
from fedast_jax.config import disk
from fedast_jax.results import run_folder

SMALL = """
num_clients = 20
max_updates = 24
num_seeds = 2
[tasks.digits]
num_active = 6
buffer_size = 2
test_every = 2
samples_per_client = 20
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of ``fedast ARGUMENTS`` in this process."""
    monkeypatch.setattr(sys, "argv", ["fedast", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    code = ended.value.code
    assert code is None or isinstance(code, int)
    return code or 0


def test_run_leaves_a_complete_folder_that_runs_again_to_the_same_bits(
    monkeypatch, tmp_path, config, capsys
):
    first, again = tmp_path / "first", tmp_path / "again"
    everything = "requests,models,partition"
    assert run(monkeypatch, "run", config, "--out", first, "--save", everything) == 0
    assert "digits" in capsys.readouterr().out
    assert run(monkeypatch, "run", first / "config.toml", "--out", again, "--save", everything) == 0
    names = {
        "config.toml",
        "manifest.json",
        "checksums.json",
        "summary.json",
        "evaluations.parquet",
        "allocations.parquet",
        "lanes.parquet",
        "requests.parquet",
        "partition.parquet",
        "models.npz",
        "figures",
    }
    assert {path.name for path in first.iterdir()} == names
    for name in ("config.toml", "evaluations.parquet", "requests.parquet", "partition.parquet"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    ours, theirs = np.load(first / "models.npz"), np.load(again / "models.npz")
    assert set(ours) == set(theirs)
    for key in ours:
        np.testing.assert_array_equal(ours[key], theirs[key])


def test_columns_of_the_tables(monkeypatch, tmp_path, config):
    out = tmp_path / "out"
    assert run(monkeypatch, "run", config, "--out", out, "--save", "requests,partition") == 0
    tests = pd.read_parquet(out / "evaluations.parquet")
    assert list(tests) == [
        "replicate", "seed", "task", "round", "time", "arrivals", "accuracy", "loss",
    ]  # fmt: skip
    assert bool((tests["round"] % 2 == 0).all())
    assert tests.groupby("replicate").time.is_monotonic_increasing.all()
    requests = pd.read_parquet(out / "requests.parquet")
    used = requests[requests.status == "used"]
    assert bool((used.used_round >= used.base_round).all())
    assert requests[requests.status != "used"].used_round.isna().all()
    assert set(requests.status) <= {"used", "buffered", "in_flight", "cancelled"}
    assert bool((requests.groupby("replicate").size() == 24 + 6).all())  # every arrival is replaced
    held = pd.read_parquet(out / "partition.parquet")
    assert bool((held.groupby(["replicate", "client"]).size() == 20).all())
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["counts"]["arrivals"] == 48
    assert set(manifest["seconds"]) == {"plan", "compile", "train", "test", "wall"}


COMPARE = ["--algorithms", "fedast,sync_st", "--set", "keep_first=3"]


def test_compare_leaves_a_table_and_a_folder_that_runs_again(monkeypatch, tmp_path, config, capsys):
    first, again = tmp_path / "first", tmp_path / "again"
    assert run(monkeypatch, "compare", config, *COMPARE, "--seeds", 3, "--out", first) == 0
    said = capsys.readouterr().out
    for word in ("fedast against sync_st", "3 seeds", "\n sync_st", "\n   digits", "gain"):
        assert word in said
    tests = pd.read_parquet(first / "evaluations.parquet")
    assert next(iter(tests)) == "algorithm"
    assert set(tests.algorithm) == {"fedast", "sync_st"}
    assert set(tests.seed) == {0, 1, 2}
    assert run(monkeypatch, "run", first / "config.toml", "--out", again) == 0
    for name in ("config.toml", "evaluations.parquet", "summary.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    manifest = json.loads((first / "manifest.json").read_text())
    assert (manifest["status"], manifest["counts"]["arrivals"]) == ("finished", 2 * 3 * 24)


def test_the_quick_start_is_a_comparison(monkeypatch, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(monkeypatch, "run", "--seeds", 1, "--out", out) == 0
    assert "fedast against sync_st, 1 seed" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    for algorithm in summary["algorithms"].values():
        assert algorithm["overall"]["num_reached"] == 1
    assert {path.name for path in (out / "figures").iterdir()} == {
        "accuracy.pdf", "accuracy.png", "allocations.pdf", "allocations.png",
    }  # fmt: skip


def test_a_figure_of_allocations_only_where_they_change(monkeypatch, tmp_path, config):
    second = ["--set", "tasks.other.num_active=6", "--set", "tasks.other.max_rounds=2"]
    second += ["--set", "tasks.other.kind=digits", "--set", "tasks.other.samples_per_client=20"]
    for name, more in {"same": [], "changes": second}.items():
        assert run(monkeypatch, "run", config, "--out", tmp_path / name, *more) == 0
        figures = {path.name for path in (tmp_path / name / "figures").iterdir()}
        assert ("allocations.png" in figures) == (name == "changes")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--algorithms", "fedast,sync_ts"], ["'sync_ts'", "did you mean 'sync_st'?"]),
        (["--algorithms", "fedast,fedast"], ["'fedast'", "the same"]),
        (["--algorithms", "fedast"], ["at least two"]),
        ([], ["--algorithms fedast,sync_st"]),
        (["--algorithms", "fedast,sync_st"], ["sync_st: keep_first=30", "20 clients"]),
        ([*COMPARE, "--set", "tasks.digits.bufer_size=1"], ["bufer_size", "buffer_size"]),
    ],
)
def test_bad_comparisons_are_one_sentence_and_leave_nothing(
    monkeypatch, tmp_path, config, capsys, arguments, words
):
    out = tmp_path / "out"
    assert run(monkeypatch, "compare", config, "--out", out, *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    for word in words:
        assert word in said
    assert not out.exists()


def test_compare_refuses_a_folder_that_exists(monkeypatch, tmp_path, config, capsys):
    assert run(monkeypatch, "compare", config, *COMPARE, "--out", tmp_path) == 2
    assert "exists already" in capsys.readouterr().err


GRID = ["--grid", "tasks.digits.buffer_size=1,2", "--grid", "tasks.digits.client_lr=0.1,0.3"]


def test_sweep_names_the_best_setting(monkeypatch, tmp_path, config, capsys):
    out = tmp_path / "out"
    assert run(monkeypatch, "sweep", config, *GRID, "--unpaired", "--out", out) == 0
    said = capsys.readouterr().out
    assert "seeds of its own" in said
    assert "best of fedast: tasks.digits.buffer_size = " in said
    tests = pd.read_parquet(out / "evaluations.parquet")
    assert list(tests)[:3] == ["algorithm", "tasks.digits.buffer_size", "tasks.digits.client_lr"]
    assert set(tests.seed) == {*range(8)}
    assert (out / "figures" / "sweep.png").stat().st_size > 0
    summary = json.loads((out / "summary.json").read_text())
    assert summary["best"]["fedast"]["setting"] in [one["setting"] for one in summary["settings"]]


def test_a_dry_run_only_says_how_much(monkeypatch, tmp_path, config, capsys):
    out = tmp_path / "out"
    assert run(monkeypatch, "sweep", config, *GRID, "--dry-run", "--out", out) == 0
    assert "4 configurations, 8 runs, at most 192 updates" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grid", "tasks.digits.bufer_size=1,2"], ["tasks.digits.bufer_size", "buffer_size"]),
        (["--grid", "tasks.digits.buffer_size=1,x"], ["tasks.digits.buffer_size", "got 'x'"]),
        (["--grid", "tasks.digits.buffer_size="], ["no values"]),
        ([], ["--grid tasks.mnist.buffer_size=1,3,5"]),
    ],
)
def test_bad_grids_are_one_sentence(monkeypatch, tmp_path, config, capsys, arguments, words):
    assert run(monkeypatch, "sweep", config, "--out", tmp_path / "out", *arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for word in words:
        assert word in said
    assert run(monkeypatch, "sweep", config, *GRID, "--out", tmp_path) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["compare", "sweep"])
def test_studies_save_requests_and_models(monkeypatch, tmp_path, config, capsys, name):
    more = COMPARE if name == "compare" else ["--grid", "tasks.digits.buffer_size=1,2"]
    out, short = tmp_path / "out", ["--set", "max_updates=8", "--seeds", 1]
    wanted = ["--save", "requests,models,partition", "--out", out]
    assert run(monkeypatch, name, config, *more, *short, *wanted) == 0
    assert {"requests.parquet", "models.npz", "partition.parquet"} <= set(os.listdir(out))
    said = capsys.readouterr()
    assert run(monkeypatch, "show", out) == 0
    assert said.out.splitlines()[:4] == capsys.readouterr().out.splitlines()[:4]
    assert run(monkeypatch, name, config, *more, "--save", "all", "--out", tmp_path / "x") == 2
    assert "requests, models, partition" in capsys.readouterr().err


def test_an_algorithm_given_is_run_alone(monkeypatch, tmp_path, config, capsys):
    """Its folder is that of a run; a comparison then has nothing to compare."""
    config.write_text(config.read_text() + '[study]\ncompare = ["fedast", "sync_st"]\n')
    options = ["--set", "algorithm=fedbuff", "--out", tmp_path / "out"]
    assert run(monkeypatch, "run", config, *options) == 0
    assert not (tmp_path / "out" / "configs").exists()
    written = tomllib.loads((tmp_path / "out" / "config.toml").read_text())
    assert (written["algorithm"], written["study"]) == ("fedbuff", {"paired_seeds": True})
    assert run(monkeypatch, "compare", config, "--set", "algorithm=fedbuff") == 2
    assert "nothing to compare" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "compare", "sweep", "plan"])
def test_old_names_at_the_top_are_one_sentence(monkeypatch, config, capsys, command):
    """Also where nothing else would be asked of them."""
    for key, home in (("compare", "study"), ("sweep", "study"), ("num_devices", "machine")):
        assert run(monkeypatch, command, config, "--set", f"{key}=2") == 2
        said = capsys.readouterr().err
        assert said == f"error: {key} has moved: write {home}.{key}, in the table [{home}]\n"


def test_plan_lays_a_comparison_out_together(monkeypatch, config, capsys):
    options = ["--set", 'study.compare=["fedast", "sync_st"]', "--set", "keep_first=3", "--json"]
    assert run(monkeypatch, "plan", config, *options) == 0
    assert json.loads(capsys.readouterr().out)["events"] == 2 * 2 * 24


def test_plan_as_json(monkeypatch, config, capsys):
    assert run(monkeypatch, "plan", config, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["events"] == 48
    assert 0 < report["fill"] <= 1
    assert report["batches"] * report["batch_width"] * report["fill"] >= 44
    assert report["memory_bytes"] == sum(row["bytes"] for row in report["rows"])
    assert report["mean_wave_width"] > 1


def test_bench_as_json(monkeypatch, capsys):
    assert run(monkeypatch, "bench", "digits", "--updates", 16, "--json") == 0
    found = json.loads(capsys.readouterr().out)["digits"]
    assert found["updates_per_second"] > 0
    assert 0 < found["fraction"] < 1
    assert found["gflops"] == pytest.approx(found["fraction"] * found["peak_gflops"])


def test_version(monkeypatch, capsys):
    assert run(monkeypatch, "version") == 0
    assert "jaxlib" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "tasks.digits.bufer_size=1"], ["tasks.digits.bufer_size", "buffer_size"]),
        (["--set", "tasks.digits.buffer_size=7"], ["num_active=6", "got 7"]),
        (["--set", "delays.law=gamma"], ["unknown delay law 'gamma'"]),
        (["--set", "algorithm=fedasst"], ["'fedast'"]),
        (["--set", "num_clients=0"], ["num_clients", "got 0"]),
        (["--seeds", "0"], ["num_seeds", "got 0"]),
        (["--save", "everything"], ["requests, models, partition", "'everything'"]),
        (["--set", "name=../../evil"], ["name: a name has 1 to 64 letters", "'../../evil'"]),
        (["--set", "machine.memory_gib=0.001"], ["GiB", "num_active=6", "memory_gib"]),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    monkeypatch, tmp_path, config, capsys, arguments, words
):
    out = tmp_path / "out"
    assert run(monkeypatch, "run", config, "--out", out, *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    for word in words:
        assert word in said
    assert not out.exists()


@pytest.mark.parametrize("name", ["nothing.toml", "quikstart"])
def test_missing_configuration(monkeypatch, name, capsys):
    assert run(monkeypatch, "run", name) == 2
    assert name in capsys.readouterr().err


def test_missing_data_says_which_files_go_where(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("FEDAST_DATA_DIR", str(tmp_path / "empty"))
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert run(monkeypatch, "run", "mnist", "--out", tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "train-images-idx3-ubyte" in said
    assert "FEDAST_DATA_DIR" in said


def test_an_existing_folder_is_not_touched(monkeypatch, tmp_path, config, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine").write_text("mine")
    assert run(monkeypatch, "run", config, "--out", out) == 2
    assert "exists already" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_a_full_disk_loses_nothing(monkeypatch, tmp_path, config):
    result = fx.simulate(fx.load_config(config))
    rescue, wanted = tmp_path / "rescue", tmp_path / "full" / "out"
    rescue.mkdir()
    real = run_folder.write_table

    def fill_up(frame, path):
        if path.parent.parent == wanted.parent:
            path.write_text("half")
            raise OSError(28, "No space left on device")
        real(frame, path)

    monkeypatch.setattr(run_folder, "write_table", fill_up)
    monkeypatch.setattr(disk, "scratch", lambda: rescue)
    with pytest.raises(run_folder.OutputError, match="No space left on device; the results are in"):
        run_folder.save(result, wanted)
    assert list(wanted.parent.iterdir()) == []
    (saved,) = rescue.iterdir()
    assert len(pd.read_parquet(saved / "evaluations.parquet")) == len(result.evaluations)


@pytest.mark.parametrize("command", ["run", "compare"])
def test_a_table_that_fails_is_a_warning(monkeypatch, tmp_path, config, capsys, command):
    def fail(*arguments):
        raise ValueError("no table")

    monkeypatch.setattr("fedast_jax.cli.finish.show_result", fail)
    monkeypatch.setattr("fedast_jax.cli.finish.show_tables", fail)
    out, more = tmp_path / "out", COMPARE if command == "compare" else []
    assert run(monkeypatch, command, config, "--out", out, *more) == 0
    said = capsys.readouterr()
    assert "warning: cannot show the table (ValueError: no table)" in said.err
    assert f"results in {out}" in said.out
    assert json.loads((out / "manifest.json").read_text())["status"] == "finished"


def test_the_table_is_shown_where_the_folder_cannot_be_written(
    monkeypatch, tmp_path, config, capsys
):
    def full(*arguments, **options):
        raise run_folder.OutputError("cannot write")

    monkeypatch.setattr("fedast_jax.cli.finish.save", full)
    assert run(monkeypatch, "run", config, "--out", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert "time to target" in said.out
    assert "error: cannot write" in said.err


class ClosedPipe(io.StringIO):
    """What ``| head -1`` is once it has its line."""

    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_broken_pipe_loses_nothing(monkeypatch, tmp_path, config, capsys):
    monkeypatch.setattr(sys, "stdout", ClosedPipe())
    out = tmp_path / "out"
    assert run(monkeypatch, "run", config, "--out", out) == 0
    said = capsys.readouterr().err
    assert "warning: cannot print the rest (Broken pipe)" in said
    assert f"results in {out}" in said
    assert json.loads((out / "manifest.json").read_text())["status"] == "finished"


DIVERGE = ["--set", "tasks.digits.client_lr=1e30"]


@pytest.mark.parametrize("command", ["run", "compare"])
def test_when_every_seed_diverged(monkeypatch, tmp_path, config, capsys, command):
    out, more = tmp_path / "out", COMPARE if command == "compare" else []
    assert run(monkeypatch, command, config, "--out", out, *more, *DIVERGE) == 3
    said = capsys.readouterr().err.splitlines()[-1]  # the lines before are of the progress
    assert "every seed diverged, so there is nothing to report: the loss of digits was not" in said
    assert json.loads((out / "manifest.json").read_text())["status"] == "finished"


def test_a_sweep_with_a_setting_that_did_not_diverge(monkeypatch, tmp_path, config):
    grid = ["--grid", "tasks.digits.client_lr=1e30,0.1"]
    assert run(monkeypatch, "sweep", config, *grid, "--out", tmp_path / "out") == 0


@pytest.mark.parametrize("arguments", [["run"], ["compare", *COMPARE]], ids=lambda words: words[0])
def test_ctrl_c_ends_the_run_in_order(tmp_path, config, arguments):
    out = tmp_path / "out"
    settings = ["--set", "max_updates=10000000", "--set", "tasks.digits.target_accuracy=none"]
    name, *more = arguments
    command = [
        sys.executable,
        "-m",
        "fedast_jax.cli",
        name,
        str(config),
        "--out",
        str(out),
        *more,
    ]
    process = subprocess.Popen(
        command + settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()  # the first line of progress: something has been measured
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"
    assert len(pd.read_parquet(out / "evaluations.parquet")) > 0


def test_a_killed_run_leaves_no_folder(tmp_path, config):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "fedast_jax.cli", "run", str(config), "--out", str(out)]
    settings = ["--set", "max_updates=10000000", "--set", "tasks.digits.target_accuracy=none"]
    process = subprocess.Popen(command + settings, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.readline()  # the first line of progress: the run has begun
    process.kill()
    said += process.communicate()[1]
    assert process.returncode == -signal.SIGKILL, said
    assert not out.exists()
    assert (tmp_path / "out.partial" / "config.toml").exists()
