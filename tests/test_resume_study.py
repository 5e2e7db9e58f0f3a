"""``fedast resume`` of comparisons and sweeps: the same tables, byte for byte."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from test_cli import run
from test_resume import CHECKPOINTS, interrupt_after, partial, python, refused

pytestmark = pytest.mark.optimised

CONFIG = """
num_clients = 20
max_active_clients = 12
keep_first = 3
max_updates = 600
num_seeds = 2
[machine]
checkpoint_seconds = 0
batch_width = 8
[tasks.digits]
num_active = 6
buffer_size = 2
test_every = 4
samples_per_client = 20
target_accuracy = 0.85
"""
COMPARE = ["--algorithms", "fedast,sync_ucb_st"]
SWEEP = ["--grid", "tasks.digits.buffer_size=1,3"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)
    return path


def assert_same_study(ours: Path, theirs: Path) -> None:
    """Everything but the pictures, what the clock and the memory say, and the sums of these."""
    files = sorted(path.relative_to(theirs) for path in theirs.rglob("*") if path.is_file())
    assert sorted(path.relative_to(ours) for path in ours.rglob("*") if path.is_file()) == files
    for file in files:
        if file.suffix != ".png" and file.name not in ("manifest.json", "checksums.json"):
            assert (ours / file).read_bytes() == (theirs / file).read_bytes(), file
    manifest = json.loads((ours / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["counts"] == json.loads((theirs / "manifest.json").read_text())["counts"]
    assert not partial(ours).exists()


def test_a_comparison_killed_while_a_checkpoint_is_written(monkeypatch, tmp_path, config):
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(monkeypatch, "compare", config, *COMPARE, "--out", whole) == 0
    script = Path(__file__).with_name("killed_run.py")
    process = python(script, 2, 0.5, "compare", config, *COMPARE, "--out", out)
    said = process.communicate(timeout=300)[0]
    assert process.returncode == -signal.SIGKILL, said
    assert not out.exists()
    assert run(monkeypatch, "resume", out) == 0
    assert_same_study(out, whole)


def test_a_sweep_interrupted_twice(monkeypatch, tmp_path, config, capsys):
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(monkeypatch, "sweep", config, *SWEEP, "--out", whole) == 0
    interrupt_after(monkeypatch, 1)
    assert run(monkeypatch, "sweep", config, *SWEEP, "--out", out) == 130
    assert f"'fedast resume {out}' goes on" in capsys.readouterr().out
    assert json.loads((out / "summary.json").read_text())["status"] == "interrupted"
    interrupt_after(monkeypatch, 1)
    assert run(monkeypatch, "resume", out) == 130
    assert list((out / CHECKPOINTS).glob("*.npz"))
    interrupt_after(monkeypatch, 10**9)
    assert run(monkeypatch, "resume", out) == 0
    assert_same_study(out, whole)


def test_a_run_of_a_study_of_one_configuration(monkeypatch, tmp_path, config, capsys):
    """Its ``config.toml`` is what was asked for, not the one configuration that this comes to."""
    config.write_text(CONFIG + "[study.sweep]\n'tasks.digits.buffer_size' = [3]\n")
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(monkeypatch, "run", config, "--out", whole) == 0
    interrupt_after(monkeypatch, 1)
    assert run(monkeypatch, "run", config, "--out", out) == 130
    copy = out / "config.toml"
    text = copy.read_text()
    copy.write_text(text.replace("keep_first = 3", "keep_first = 4"))
    assert "is not as the run wrote it" in refused(monkeypatch, capsys, out)
    copy.write_text(text)
    interrupt_after(monkeypatch, 10**9)
    assert run(monkeypatch, "resume", out) == 0
    assert_same_study(out, whole)
