"""What nobody would write on purpose: one sentence and exit code 2, from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fedast_jax.cli import commands as cli
from fedast_jax.clients.trace import read_trace
from fedast_jax.data.errors import DataError
from fedast_jax.data.text_sources import read_leaf
from fedast_jax.run.cluster.errors import ClusterError
from fedast_jax.run.cluster.ray_tasks import RayTasks

SMALL = "num_clients = 20\nmax_updates = 4\n[tasks.softmax]\n"


@pytest.fixture
def said(monkeypatch, tmp_path, capsys):
    """What ``fedast ARGUMENTS`` says where it is refused."""
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(SMALL)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["fedast", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        message = capsys.readouterr().err
        assert ended.value.code == 2
        assert message.startswith("error: ")
        assert message.count("\n") == 1
        assert len(message) < 400
        return message

    return run


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", ""], "no configuration file ''"),
        (["run", "/"], "'/' is a folder"),
        (["run", "x" * 5000], "no configuration file 'xxx"),
        (["resume", "/"], "'/' is not the folder of a run"),
        (["resume", ""], "is not the folder of a run"),
        (["resume", ".partial"], "'.partial' is not the folder of a run"),
        (["run", "small.toml", "--out", ""], "'.' exists already"),
        (["run", "small.toml", "--seeds", "x"], "num_seeds must be a whole number, got 'x'"),
        (["run", "small.toml", "--seeds", "9" * 20], "num_seeds must be at most 1,000,000, got"),
        (["run", "small.toml", "--seeds", "9" * 5000], "thousands of digits"),
        (["run", "small.toml", "--devices", "99999999"], "num_devices must be at most 1,024"),
        (["sweep", "small.toml", "--grid", "num_clients=" + "[" * 3000], "--grid: its lists"),
    ],
)
def test_arguments(said, arguments, says):
    assert says in said(*arguments)


DEEP = "[" * 100_000 + "]" * 100_000


def test_a_deep_run_json_or_manifest_is_refused(said):
    folder = Path("a.partial/checkpoints")
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(DEEP)
    assert "it is not JSON" in said("resume", "a")
    Path("b").mkdir()
    Path("b/manifest.json").write_text(DEEP)
    assert "is not the folder of a run" in said("resume", "b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (DEEP, "lie too deep in each other"),
        ("9" * 6000, "thousands of digits"),
        ("{", "it is no JSON file"),
        ('{"users": [[1]], "user_data": {}}', "users of .* must be texts, got"),
    ],
)
def test_odd_leaf_files(tmp_path, text, says):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=says):
        list(read_leaf(path))


def test_a_leaf_file_that_is_too_large_for_the_memory(tmp_path):
    path = tmp_path / "a.json"
    with path.open("wb") as file:
        file.truncate(2**42)  # of zeros that take no room
    with pytest.raises(DataError, match=r"4,398,046,511,104 bytes.*divide it"):
        list(read_leaf(path))


def test_odd_traces(tmp_path):
    with pytest.raises(DataError, match="no file has such a name"):
        read_trace("a\0b.csv")
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match="over 1,000,000,000 bytes"):
        read_trace(str(path))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1.0])
def test_a_block_of_a_ray_cluster_needs_a_number_of_cpus(number):
    with pytest.raises(ClusterError, match="above 0, got"):
        RayTasks.parse("", number, 0.0)
