"""Sweeps on Ray: workers are lost and nothing else; on a local cluster of two workers."""

from __future__ import annotations

import importlib.util
import json
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from test_cli import run
from test_resume import partial, python

import fedast_jax as fx
from fedast_jax.results.records import NOTHING
from fedast_jax.run.cluster import ray_cluster
from fedast_jax.run.cluster.blocks import make_blocks
from fedast_jax.run.cluster.errors import ClusterError
from fedast_jax.run.cluster.ray_tasks import Progress, RayTasks, make_task
from fedast_jax.run.replicate import jobs_of

pytestmark = pytest.mark.optimised

CONFIG = """
num_clients = 20
max_updates = 400
num_seeds = 4
[machine]
batch_width = 1
checkpoint_seconds = 0
[tasks.digits]
num_active = 6
buffer_size = 2
test_every = 4
samples_per_client = 20
"""
GRID = ["--grid", "tasks.digits.buffer_size=1,3", "--seeds", 3]
SCRIPT = Path(__file__).with_name("lost_worker.py")

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason='pip install "fedast-jax[ray]"'
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)
    return path


def assert_same_study(ours: Path, theirs: Path) -> None:
    for file in ("evaluations.parquet", "allocations.parquet", "summary.json", "config.toml"):
        assert (ours / file).read_bytes() == (theirs / file).read_bytes(), file
    manifest = json.loads((ours / "manifest.json").read_text())
    expected = json.loads((theirs / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["counts"]["arrivals"] == expected["counts"]["arrivals"]
    assert not partial(ours).exists()


@needs_ray
@pytest.mark.slow
def test_a_lost_worker_costs_nothing_but_time(monkeypatch, tmp_path, config):
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(monkeypatch, "sweep", config, *GRID, "--out", whole) == 0
    process = python(SCRIPT, "worker", "sweep", config, *GRID, "--out", out, "--ray", "auto")
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    assert said.count("a worker has got SIGKILL") == 1
    assert [said.count(f"block {number} done") for number in (1, 2, 3)] == [1, 1, 1], said
    assert_same_study(out, whole)


@needs_ray
@pytest.mark.slow
def test_the_block_of_a_worker_that_hangs_is_given_to_another(monkeypatch, tmp_path, config):
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(monkeypatch, "sweep", config, *GRID, "--out", whole) == 0
    given = ["sweep", config, *GRID, "--out", out, "--ray", "auto", "--ray-patience", 20]
    process = python(SCRIPT, "hang", *given)
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    assert said.count("a worker has got SIGSTOP") == 1
    assert "it is given to another worker" in said
    assert_same_study(out, whole)


@needs_ray
@pytest.mark.slow
def test_a_killed_sweep_goes_on_with_the_blocks_that_were_done(monkeypatch, tmp_path, config):
    out, whole = tmp_path / "out", tmp_path / "whole"
    assert run(monkeypatch, "sweep", config, *GRID, "--out", whole) == 0
    process = python(SCRIPT, "driver", "sweep", config, *GRID, "--out", out, "--ray", "auto")
    said = process.communicate(timeout=600)[0]
    assert process.returncode == -signal.SIGKILL, said
    assert not out.exists()
    process = python("-m", "fedast_jax.cli", "resume", out)
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 0, said
    assert said.count(" done on ") == 2, said  # of three
    assert_same_study(out, whole)


@needs_ray
@pytest.mark.slow
def test_ctrl_c_leaves_what_was_done(tmp_path, config):
    out = tmp_path / "out"
    process = python("-m", "fedast_jax.cli", "sweep", config, *GRID, "--out", out, "--ray", "auto")
    assert process.stdout is not None
    for line in process.stdout:
        if " done on " in line:
            break
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=600)[0]
    assert process.returncode == 130, said
    assert f"'fedast resume {out}' goes on" in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["status"] == "interrupted"
    done = sum(one["algorithms"]["fedast"]["num_finished"] for one in summary["settings"])
    assert 0 < done < 6


def test_blocks_hold_every_replicate_once():
    """Settings side by side, full batches where that is possible, work for every worker."""
    table = {"num_clients": 50, "num_seeds": 30, "max_updates": 1, "tasks": {"digits": {}}}
    configs = [fx.make_config(table), fx.make_config(table | {"num_seeds": 7})]
    for num_workers in (1, 2, 5, 100):
        blocks = make_blocks(configs, num_workers)
        assert sorted(job for block in blocks for job in block) == sorted(jobs_of(configs))
        assert len(blocks) >= min(num_workers, 37)
        assert [block for block in blocks if not block] == []


def test_a_block_fills_batches():
    table = {
        "max_updates": 1,
        "tasks": {"mnist": {}},
        "num_seeds": 64,
        "machine": {"batch_width": 128},
    }
    blocks = make_blocks([fx.make_config(table)], 4)
    assert len(blocks[0]) * 96 / 3 >= 128


def test_a_worker_of_another_version_is_named(monkeypatch):
    """The function that is sent needs nothing of the package to say so."""
    from fedast_jax.run.cluster.ray_tasks import check_versions

    found = make_task({"fedast-jax": "9.9", "jax": "9.8"})([], [], {})
    assert "share" not in found
    with pytest.raises(ClusterError, match=r"has fedast-jax .*, jax .*, but .* fedast-jax 9\.9, "):
        check_versions(found)


def refused(monkeypatch, capsys, *arguments: object) -> str:
    """What the command says when it refuses: one sentence."""
    assert run(monkeypatch, *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


def test_without_ray_there_is_a_way_to_get_it(monkeypatch, tmp_path, config, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    out = tmp_path / "out"
    said = refused(monkeypatch, capsys, "sweep", config, *GRID, "--out", out, "--ray", "auto")
    assert 'pip install "fedast-jax[ray]"' in said
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


@needs_ray
@pytest.mark.parametrize("form", ["{}", "ray://{}"])
def test_an_address_where_nobody_is(monkeypatch, tmp_path, config, capsys, form):
    monkeypatch.setattr(ray_cluster, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
    given = ["sweep", config, *GRID, "--out", tmp_path / "out", "--ray", form.format(place)]
    said = refused(monkeypatch, capsys, *given)
    assert f"the Ray cluster at {place} cannot be reached" in said
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


@needs_ray
def test_an_address_where_something_else_is(monkeypatch, tmp_path, config, capsys):
    monkeypatch.setattr(ray_cluster, "LOG_IN_SECONDS", 3.0)
    start = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", place)
        given = ["sweep", config, *GRID, "--out", tmp_path / "out", "--ray", "auto"]
        said = refused(monkeypatch, capsys, *given)
    assert f"there is no Ray cluster for this program at {place}: no answer" in said
    assert time.monotonic() - start < 20.0


def test_options_that_cannot_be(monkeypatch, tmp_path, config, capsys):
    given = ["sweep", config, *GRID, "--out", tmp_path / "out"]
    assert "got 'head'" in refused(monkeypatch, capsys, *given, "--ray", "head")
    said = refused(monkeypatch, capsys, *given, "--ray", "auto", "--ray-cpus", "0")
    assert "got 0 and 0" in said
    several = ["--coordinator", "a:1", "--num-processes", 2, "--process-id", 0]
    assert "two ways to run" in refused(monkeypatch, capsys, *given, "--ray", "auto", *several)


def test_more_than_any_machine_has(monkeypatch):
    class Cluster:
        def nodes(self):
            return [{"Alive": True, "Resources": {"CPU": 2.0}}, {"Alive": False, "Resources": {}}]

    assert ray_cluster.count_workers(Cluster(), {"CPU": 1.0}) == 2
    with pytest.raises(ClusterError, match=r"2 CPU and 1 GPU .*\(there are: 2 CPU, 0 GPU\)"):
        ray_cluster.count_workers(Cluster(), RayTasks(None, 2.0, 1.0).needs)


def test_the_reason_is_the_first_error():
    said = (
        "a warning\nRuntimeError: no connection: Traceback (most recent call last):\n  File ...\n"
        "ray.exceptions.AuthenticationError: the token is missing\n\nTraceback ...\n"
        "ConnectionError: failed to connect\n"
    )
    expected = "ray.exceptions.AuthenticationError: the token is missing"
    assert ray_cluster.first_error(said) == expected
    assert ray_cluster.first_error("") == "no reason given"


def test_blocks_of_another_run_are_refused(tmp_path):
    store = fx.Checkpoints(tmp_path)
    progress = Progress([{"seed": 1}], {"keep_models": False})
    progress.blocks, progress.finished = [[(0, 0)], [(0, 1)]], {1: NOTHING}
    store.write(progress.content())
    again = Progress.find(fx.Checkpoints(tmp_path), [{"seed": 1}], {"keep_models": False})
    assert (again.blocks, again.finished, again.waiting) == (
        progress.blocks,
        {1: NOTHING},
        [0],
    )
    with pytest.raises(fx.ResumeError, match="belong to other settings"):
        Progress.find(fx.Checkpoints(tmp_path), [{"seed": 2}], {"keep_models": False})
