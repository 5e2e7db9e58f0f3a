"""``fedast resume``: a process that is killed or interrupted loses nothing but time.

The runs are real processes. Whenever they end and however often, the tables of the finished folder
equal those of an uninterrupted run byte for byte.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from test_cli import run

import fedast_jax as fx
from fedast_jax.cli import work_folder
from fedast_jax.run import checkpoint, saved

pytestmark = pytest.mark.optimised

CONFIG = """
num_clients = 20
max_updates = {max_updates}
num_seeds = 2
time_limit = 1e6
[machine]
checkpoint_seconds = 0
[tasks.digits]
num_active = 6
buffer_size = 2
test_every = 4
samples_per_client = 20
target_accuracy = "none"
"""
TABLES = ["evaluations", "allocations", "requests", "partition"]
EVERYTHING = "requests,models,partition"
CHECKPOINTS = "checkpoints"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CONFIG.format(max_updates=1500))
    return path


def start(*arguments: object) -> subprocess.Popen:
    """``fedast ARGUMENTS`` in a process of its own."""
    return python("-m", "fedast_jax.cli", *arguments)


def python(*arguments: object) -> subprocess.Popen:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
    )


def partial(out: Path) -> Path:
    return out.with_name(out.name + ".partial")


def assert_same_data(ours: Path, theirs: Path) -> None:
    """The tables byte for byte, the models bit for bit, and nothing of the way there is left."""
    for name in TABLES:
        file = f"{name}.parquet"
        assert (ours / file).read_bytes() == (theirs / file).read_bytes(), name
    for file in ("config.toml", "summary.json"):
        assert (ours / file).read_bytes() == (theirs / file).read_bytes(), file
    one, other = np.load(ours / "models.npz"), np.load(theirs / "models.npz")
    assert one.files == other.files
    for name in one.files:
        np.testing.assert_array_equal(one[name], other[name])
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
    assert not partial(ours).exists()
    manifest = json.loads((ours / "manifest.json").read_text())
    expected = json.loads((theirs / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["counts"] == expected["counts"]


@pytest.mark.parametrize(("number", "share"), [(2, 0.5), (1, 0.9), (3, 2.0)])
def test_killed_while_a_checkpoint_is_written(monkeypatch, tmp_path, config, number, share):
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(monkeypatch, "run", config, "--out", whole, "--save", EVERYTHING) == 0
    script = Path(__file__).with_name("killed_run.py")
    process = python(script, number, share, "run", config, "--out", out, "--save", EVERYTHING)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == -signal.SIGKILL, said
    assert not out.exists()
    files = sorted(path.name for path in (partial(out) / CHECKPOINTS).glob("0*"))
    assert len(files) == number  # the half one among them
    assert files[-1].endswith(".tmp")
    assert run(monkeypatch, "resume", out) == 0
    assert_same_data(out, whole)


def test_interrupted_twice_and_resumed(monkeypatch, tmp_path, config, capsys):
    """Ctrl-C leaves results and a checkpoint; the folder moves out of the way and comes back."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    wanted = ["--save", EVERYTHING, "--set", "machine.checkpoint_seconds=1000"]
    assert run(monkeypatch, "run", config, "--out", whole, *wanted) == 0
    interrupt_after(monkeypatch, 1)
    assert run(monkeypatch, "run", config, "--out", out, *wanted) == 130
    assert f"'fedast resume {out}' goes on" in capsys.readouterr().out
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"
    assert [path.name for path in (out / CHECKPOINTS).glob("*.npz")] == ["00000001.npz"]
    assert not partial(out).exists()
    assert not (out / "lock").exists()
    interrupt_after(monkeypatch, 2)
    assert run(monkeypatch, "resume", out) == 130
    assert (out / CHECKPOINTS / "00000002.npz").exists()
    assert not partial(out).exists()
    interrupt_after(monkeypatch, 10**9)
    assert run(monkeypatch, "resume", partial(out)) == 0  # either name will do
    assert_same_data(out, whole)


@pytest.mark.parametrize("command", ["run", "compare"])
def test_sigterm_is_as_ctrl_c(monkeypatch, tmp_path, config, command, capsys):
    out, more = tmp_path / "out", []
    if command == "compare":
        more = ["--algorithms", "fedast,fedbuff"]
    interrupt_after(monkeypatch, 2, signal.SIGTERM)
    assert run(monkeypatch, command, config, "--out", out, *more) == 143
    assert f"'fedast resume {out}' goes on" in capsys.readouterr().out
    assert json.loads((out / "manifest.json").read_text())["status"] == "interrupted"
    interrupt_after(monkeypatch, 10**9)
    assert run(monkeypatch, "resume", out) == 0
    assert json.loads((out / "manifest.json").read_text())["status"] == "finished"


def interrupt_after(
    monkeypatch: pytest.MonkeyPatch, num_segments: int, number: int = signal.SIGINT
) -> None:
    """Ctrl-C, or another signal, in the segment after so many."""
    from fedast_jax.results.progress import Reporter

    left = [num_segments]

    def count(self, driver):
        left[0] -= 1
        if left[0] == 0:
            signal.raise_signal(number)

    monkeypatch.setattr(Reporter, "update", count)


def test_killed_before_the_first_checkpoint(monkeypatch, tmp_path, config):
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(monkeypatch, "run", config, "--out", whole, "--save", EVERYTHING) == 0
    process = start("run", config, "--out", out, "--save", EVERYTHING)
    while not (partial(out) / CHECKPOINTS / "run.json").exists():
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert run(monkeypatch, "resume", out) == 0
    assert_same_data(out, whole)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory) -> Path:
    """The folder of an interrupted run; copy it."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "small.toml").write_text(CONFIG.format(max_updates=1500))
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 2)
        assert run(patch, "run", folder / "small.toml", "--out", folder / "out") == 130
    return folder / "out"


@pytest.fixture
def folder(interrupted, tmp_path) -> Path:
    return Path(shutil.copytree(interrupted, tmp_path / "out"))


def refused(monkeypatch, capsys, folder: object) -> str:
    """What ``fedast resume`` says when it refuses: one sentence."""
    capsys.readouterr()
    assert run(monkeypatch, "resume", folder) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_a_damaged_checkpoint_gives_way_to_the_one_before(monkeypatch, folder, capsys):
    first, second = sorted((folder / CHECKPOINTS).glob("*.npz"))
    second.write_bytes(first.read_bytes()[:-1])
    assert run(monkeypatch, "resume", folder) == 0
    assert f"checkpoint {second.name} is damaged" in capsys.readouterr().err
    assert json.loads((folder / "manifest.json").read_text())["status"] == "finished"


def test_the_devices_of_a_run_are_asked_for_before_anything_asks_jax(monkeypatch, folder):
    """Later they cannot be had, and a run that has taken every core could not go on."""
    asked, machine = [], saved._machine
    monkeypatch.setattr(saved, "divide_cpu", asked.append)
    monkeypatch.setattr(saved, "_machine", lambda: asked.append("what computes") or machine())
    run(monkeypatch, "resume", folder)
    number = fx.load_result(folder).config.machine.num_devices
    assert asked[:2] == [number, "what computes"]


def test_only_damaged_checkpoints(monkeypatch, folder, capsys):
    for path in (folder / CHECKPOINTS).glob("*.npz"):
        path.write_bytes(b"")
    capsys.readouterr()
    assert run(monkeypatch, "resume", folder) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3  # one for each file, and the sentence
    assert lines[-1].startswith("error: every checkpoint in ")
    assert (folder / "manifest.json").exists()  # the results so far are still there
    assert not partial(folder).exists()


def test_another_format_is_refused(monkeypatch, folder, capsys):
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    assert "has format 3, this version reads 99" in refused(monkeypatch, capsys, folder)


def test_a_changed_configuration_is_refused(monkeypatch, folder, capsys):
    path = folder / "config.toml"
    path.write_text(path.read_text().replace("max_updates = 1500", "max_updates = 2000"))
    assert "is not as the run wrote it" in refused(monkeypatch, capsys, folder)
    path.write_text(path.read_text().replace("max_updates = 2000", "max_updates = 1500"))
    assert run(monkeypatch, "resume", folder) == 0  # put back as it was


def test_a_finished_folder_is_not_resumed(monkeypatch, folder, capsys):
    assert run(monkeypatch, "resume", folder) == 0
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert "is already finished" in refused(monkeypatch, capsys, folder)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_what_is_no_run_is_not_resumed(monkeypatch, tmp_path, capsys):
    assert "there is no run to resume" in refused(monkeypatch, capsys, tmp_path / "nothing")
    assert "is not the folder of a run" in refused(monkeypatch, capsys, tmp_path)
    assert tmp_path.is_dir()


def test_results_without_checkpoints_are_not_resumed(monkeypatch, folder, capsys):
    shutil.rmtree(folder / CHECKPOINTS)
    assert "holds no checkpoints" in refused(monkeypatch, capsys, folder)
    assert folder.is_dir()


def test_a_run_in_progress_is_left_alone(monkeypatch, tmp_path, config, capsys):
    """Neither resumed while its process lives nor written over."""
    out = tmp_path / "out"
    job = work_folder.Job("run", [fx.load_config(config)], {"save": []})
    with work_folder.WorkFolder.begin(out, job) as work:
        assert "is in use" in refused(monkeypatch, capsys, out)
        assert run(monkeypatch, "run", config, "--out", out) == 2
        assert f"continue it with 'fedast resume {out}'" in capsys.readouterr().err
        assert work.path.is_dir()


def test_a_run_that_cannot_begin_leaves_nothing(monkeypatch, tmp_path, config):
    assert (
        run(
            monkeypatch,
            "run",
            config,
            "--out",
            tmp_path / "out",
            "--set",
            "machine.memory_gib=1e-6",
        )
        == 2
    )
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_from_python_the_same_call_goes_on(tmp_path, config):
    """Several configurations in one run, stopped before each tenth of a run and begun again."""
    settings = [
        fx.load_config(config, ["num_seeds=1"]),
        fx.load_config(config, ["tasks.digits.client_lr=0.1", "algorithm=fedast_nobuffer"]),
    ]
    whole = fx.simulate_together(settings)
    store, num_parts = tmp_path / "store", 0
    while True:
        asked = [0]

        def is_stopped(asked=asked) -> bool:
            asked[0] += 1
            return asked[0] > 40

        parts = fx.simulate_together(
            settings, is_stopped=is_stopped, checkpoints=fx.Checkpoints(store)
        )
        num_parts += 1
        if parts[0].status == "finished":
            break
    assert num_parts > 2
    for ours, theirs in zip(parts, whole, strict=True):
        assert ours.evaluations.equals(theirs.evaluations)
        assert ours.requests().equals(theirs.requests())
        assert ours.summary() == theirs.summary()
    with pytest.raises(fx.ResumeError, match="belong to other settings"):
        fx.simulate(settings[0], checkpoints=fx.Checkpoints(store))
    with pytest.raises(fx.ResumeError, match=r"keep_models': True"):
        fx.simulate_together(settings, keep_models=True, checkpoints=fx.Checkpoints(store))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_many_random_moments(monkeypatch, tmp_path, config, seed):
    """At least ten SIGKILLs, some of them while a checkpoint is being written."""
    config.write_text(CONFIG.format(max_updates=30_000))  # not done before it is killed
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(monkeypatch, "run", config, "--out", whole, "--save", EVERYTHING) == 0
    chance, num_killed, arguments = random.Random(seed), 0, ["run", config, "--out", out]
    arguments += ["--save", EVERYTHING]
    while not out.exists():
        process = start(*arguments)
        if num_killed < 10:
            wait_for_a_moment(process, partial(out) / CHECKPOINTS, chance)
            process.kill()
        said = process.communicate(timeout=600)[0]
        assert process.returncode in (0, -signal.SIGKILL), said
        num_killed += process.returncode != 0
        if (partial(out) / CHECKPOINTS / "run.json").exists():
            arguments = ["resume", out]
        elif partial(out).exists():  # it had only just begun
            shutil.rmtree(partial(out))
    assert num_killed >= 5
    assert_same_data(out, whole)


def wait_for_a_moment(process: subprocess.Popen, folder: Path, chance: random.Random) -> None:
    """Until some time has passed, or a while after a few more checkpoints, or until one begins."""
    kind = chance.choice(["time", "number", "writing"])
    before, wanted = newest(folder), chance.randint(1, 3)
    deadline = time.monotonic() + (chance.uniform(0.0, 15.0) if kind == "time" else 120.0)
    while process.poll() is None and time.monotonic() < deadline:
        if kind == "number" and newest(folder) >= before + wanted:
            time.sleep(chance.uniform(0.0, 0.1))
            return
        if kind == "writing" and newest(folder) > before and any(folder.glob("*.tmp")):
            return
        time.sleep(0.0005)


def newest(folder: Path) -> int:
    """The number of the newest checkpoint."""
    return max((int(path.stem) for path in folder.glob("*.npz")), default=0)


def test_another_trace_is_refused(tmp_path):
    """The events so far come from durations that are gone."""
    trace = tmp_path / "phones.csv"
    trace.write_text("device_class,duration\na,1.0\na,2.0\n")
    config = fx.make_config(
        {
            "max_updates": 60,
            "machine": {"batch_width": 4, "checkpoint_seconds": 0.0},
            "delays": {"law": "trace", "trace": str(trace)},
            "tasks": {"digits": {"num_active": 4, "buffer_size": 2}},
        }
    )
    calls, store = count(), tmp_path / "store"
    stopped = fx.simulate(
        config, checkpoints=checkpoint.Checkpoints(store), is_stopped=lambda: next(calls) > 1
    )
    assert stopped.status == "interrupted"
    trace.write_text("device_class,duration\na,1.0\na,3.0\n")
    with pytest.raises(checkpoint.ResumeError, match=r"phones\.csv' is not the file that the run"):
        fx.simulate(config, checkpoints=checkpoint.Checkpoints(store))
