"""Folders of runs that are odd, edited or hostile: refused in one sentence, and nothing else is
touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import fedast_jax as fx
from fedast_jax.cli import work_folder
from fedast_jax.cli.job import COMMANDS, Job
from fedast_jax.cli.work_folder import WorkFolder
from fedast_jax.config.errors import OutputError

TABLE = {
    "name": "study",
    "max_updates": 4,
    "study": {"compare": ["fedast", "fedbuff"]},
    "tasks": {"digits": {}},
}
RUN = {"name": "run", "max_updates": 4, "tasks": {"digits": {}}}


def run_job() -> Job:
    return Job("run", [fx.make_config(RUN)], {"save": ["models"]})


def study_job() -> Job:
    from fedast_jax.study.variants import make_variants

    return Job("study", [one.config for one in make_variants(TABLE)], {"save": []}, TABLE)


def begun(target: Path, job: Job | None = None) -> Path:
    """The folder of a run that was killed at once."""
    with WorkFolder.begin(target, job or run_job()) as work:
        return work.path


def interrupted(target: Path) -> Path:
    """As Ctrl-C leaves it, with a file that stands for a checkpoint."""
    path = begun(target)
    (path / "manifest.json").write_text('{"status": "interrupted"}')
    (path / "lock").unlink()
    path.rename(target)
    return target


def refused(folder: Path) -> str:
    with pytest.raises(fx.ResumeError) as error:
        WorkFolder.reopen(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("job", [run_job, study_job])
def test_a_job_comes_back(tmp_path, job):
    path = begun(tmp_path / "out", job())
    with WorkFolder.reopen(path) as work:
        assert work.job == job()


def test_every_command_can_be_finished():
    from fedast_jax.cli.finish import FINISH

    assert set(FINISH) == set(COMMANDS)


def change(key: str, value: Any) -> Callable[[dict], None]:
    return lambda content: content.update({key: value})


EDITS = {
    "no command": (lambda content: content.pop("command"), "it must have command, options"),
    "a key too many": (change("more", 1), "and nothing else"),
    "unknown command": (change("command", "rm"), "one of run, study, ray, figure, got 'rm'"),
    "command of another type": (change("command", ["run"]), "got ['run']"),
    "no configuration": (change("configs", []), "configs must be a list of at least one, got []"),
    "configs of another type": (change("configs", {}), "configs must be a list"),
    "a configuration that is none": (change("configs", [1]), "configs[0] must be a table, got 1"),
    "two": (lambda one: one["configs"].append(one["configs"][0]), "a run has one configuration"),
    "a wrong setting": (lambda one: one["configs"][0].update(num_seeds=0), "configs[0]: num_seeds"),
    "a table": (change("table", {}), "table must be null for 'run', got {}"),
    "no options": (change("options", {}), "the options of 'run' are save, got []"),
    "options of another type": (change("options", []), "options must be a table, got []"),
    "an unknown option": (change("options", {"save": [], "x": 1}), "got ['save', 'x']"),
    "unknown save": (change("options", {"save": ["all"]}), "models, partition, got ['all']"),
    "save of another type": (change("options", {"save": "models"}), "got 'models'"),
    "ray without options": (
        lambda one: one.update(command="ray", table={}),
        "the options of 'ray' are save, tasks, got ['save']",
    ),
    "ray with another type": (
        lambda one: one.update(
            command="ray",
            table={},
            options={
                "save": [],
                "tasks": {"address": 1, "num_cpus": 1, "num_gpus": 0, "patience": None},
            },
        ),
        "the option address cannot be 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_job_is_refused(tmp_path, edit):
    do, words = EDITS[edit]
    path = begun(tmp_path / "out") / "checkpoints" / "run.json"
    content = json.loads(path.read_text())
    do(content)
    path.write_text(json.dumps(content))
    said = refused(tmp_path / "out")
    assert said.startswith(f"{str(path)!r} is not as the run wrote it: ")
    assert words in said


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '"\\ud800"', "\x00"])
def test_a_job_that_is_none(tmp_path, text):
    path = begun(tmp_path / "out") / "checkpoints" / "run.json"
    path.write_text(text)
    assert "is not as the run wrote it" in refused(tmp_path / "out")


def test_bytes_that_are_no_text(tmp_path):
    path = begun(tmp_path / "out") / "checkpoints" / "run.json"
    path.write_bytes(b"\xff")
    assert "cannot read" in refused(tmp_path / "out")


def test_configurations_of_a_study_that_are_not_those_of_its_table(tmp_path):
    path = begun(tmp_path / "out", study_job()) / "checkpoints" / "run.json"
    content = json.loads(path.read_text())
    content["configs"].pop()
    path.write_text(json.dumps(content))
    assert "configs are not those that its table stands for" in refused(tmp_path / "out")


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    path, mine = begun(tmp_path / "out"), tmp_path / "mine"
    mine.write_text("mine")
    (path / "lock").unlink()
    (path / "lock").symlink_to(mine)
    assert f"{str(path / 'lock')!r} is a symbolic link" in refused(tmp_path / "out")
    with pytest.raises(OSError, match="symbolic links"):
        work_folder.Lock(path)
    assert mine.read_text() == "mine"


def test_a_lock_is_held_once_and_its_file_is_never_emptied(tmp_path):
    mine = tmp_path / "lock"
    mine.write_text("mine")
    with closing(work_folder.Lock(tmp_path)), pytest.raises(fx.ResumeError, match="is in use"):
        work_folder.Lock(tmp_path)
    with closing(work_folder.Lock(tmp_path)):
        assert mine.read_text() == "mine"
    assert mine.read_text() == "mine"


def test_checkpoints_that_are_a_link_are_not_written_through(tmp_path):
    path, other = begun(tmp_path / "out"), tmp_path / "other"
    (path / "checkpoints").rename(other)
    (path / "checkpoints").symlink_to(other)
    assert f"{str(path / 'checkpoints')!r} is a symbolic link" in refused(tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["config.toml", "checkpoints/run.json", "checkpoints/00000001.npz"]
)
def test_neither_links_nor_pipes_are_opened(tmp_path, name):
    path = begun(tmp_path / "out") / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert f"{str(path)!r} is no plain file" in refused(tmp_path / "out")
    path.unlink()
    path.symlink_to("/dev/zero")
    assert f"{str(path)!r} is a symbolic link" in refused(tmp_path / "out")


def test_a_checkpoint_is_not_written_through_a_link(tmp_path):
    mine, store = tmp_path / "mine", tmp_path / "store"
    mine.write_text("mine")
    store.mkdir()
    (store / "00000001.tmp").symlink_to(mine)
    fx.Checkpoints(store).write({})
    assert mine.read_text() == "mine"
    assert [path.name for path in store.iterdir()] == ["00000001.npz"]


def test_a_link_to_a_folder_is_resumed_where_it_leads(tmp_path):
    target, link = interrupted(tmp_path / "out"), tmp_path / "link"
    link.symlink_to(target)
    with WorkFolder.reopen(link) as work:
        assert (work.target, work.path) == (target, tmp_path / "out.partial")
        assert {path.name for path in tmp_path.iterdir()} == {"link", "out.partial"}
    with WorkFolder.reopen(link):  # killed meanwhile: the link dangles
        pass


def test_a_partial_that_is_a_link(tmp_path):
    begun(tmp_path / "other")
    (tmp_path / "out.partial").symlink_to(tmp_path / "other.partial")
    assert "out.partial' is a symbolic link" in refused(tmp_path / "out")


@pytest.mark.parametrize("folder", ["/", ".partial"])
def test_what_has_no_name(monkeypatch, tmp_path, folder):
    monkeypatch.chdir(tmp_path)
    assert "is not the folder of a run" in refused(Path(folder))


@pytest.mark.parametrize("name", ["out.partial", ".partial", "missing/.."])
def test_names_that_a_run_cannot_have(tmp_path, name):
    with pytest.raises(OutputError, match="name another folder with --out"):
        WorkFolder.begin(tmp_path / name, run_job())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_in_the_way_of_its_own(tmp_path):
    target = interrupted(tmp_path / "out")
    (tmp_path / "out.partial").symlink_to("nowhere")
    assert "hold an unfinished run; move one away" in refused(target)
    assert not (target / "lock").exists()
    assert (target / "manifest.json").exists()


@pytest.mark.parametrize("is_ours", [True, False])
def test_beside_a_finished_folder_only_a_rest_of_the_run_is_removed(tmp_path, is_ours):
    target = interrupted(tmp_path / "out")
    (target / "manifest.json").write_text('{"status": "finished"}')
    rest = tmp_path / "out.partial"
    if is_ours:
        shutil.copytree(target, rest)
    else:
        rest.mkdir()
        (rest / "mine").write_text("mine")
    assert "is already finished" in refused(target)
    assert rest.exists() != is_ours


def test_results_outlive_checkpoints_that_are_gone(tmp_path):
    target = interrupted(tmp_path / "out")
    with pytest.raises(ZeroDivisionError), WorkFolder.reopen(target):
        raise ZeroDivisionError
    assert (target / "manifest.json").exists()


def test_a_full_disk_at_the_start_leaves_nothing_and_says_what_it_takes(monkeypatch, tmp_path):
    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    out = tmp_path / "a" / "b" / "out"
    with pytest.raises(OutputError, match=r"b/out.partial': No space left on device; it needs 1,0"):
        WorkFolder.begin(out, run_job())
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_seen_before(monkeypatch, tmp_path):
    usage = shutil.disk_usage(tmp_path)._replace(free=work_folder.LEAST_BYTES)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match="No space left on device; it needs"):
        WorkFolder.begin(tmp_path / "a" / "out", run_job())
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_leaves_no_folders_above_it(tmp_path):
    with pytest.raises(ZeroDivisionError), WorkFolder.begin(tmp_path / "a" / "out", run_job()):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [[], ["lock"], ["lock", "config.toml", "run.tmp"]])
def test_a_run_killed_before_it_had_begun_is_no_obstacle(tmp_path, left):
    path = tmp_path / "out.partial"
    (path / "checkpoints").mkdir(parents=True)
    for name in left:
        (path / name).touch()
    assert "there is no run to resume" in refused(tmp_path / "out")
    assert begun(tmp_path / "out") == path


@pytest.mark.parametrize("mine", ["mine", "checkpoints/mine"])
def test_what_is_not_of_a_run_is_not_removed(tmp_path, mine):
    path = tmp_path / "out.partial" / mine
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(OutputError, match="holds a run that has not ended"):
        WorkFolder.begin(tmp_path / "out", run_job())
    assert path.read_text() == "mine"
