"""Checkpoint files: two are kept, each whole or not there; damage and other versions are told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import assert_identical

from fedast_jax.config.errors import ResumeError
from fedast_jax.run import checkpoint
from fedast_jax.run.checkpoint import COST_SHARE, FORMAT, Checkpoints, Keeper

CONTENT = {"heap": [(0.1, 3), (float("inf"), 4)], "rows": np.arange(300.0).reshape(3, 100)}


def content_of(number: int) -> dict[str, Any]:
    return {**CONTENT, "number": number}


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, said: list[str]) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints", said.append)


def again(store: Checkpoints) -> Checkpoints:
    """The same folder, seen by another process."""
    return Checkpoints(store.folder, store.say)


def names(store: Checkpoints) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def test_the_newest_is_read_and_two_are_kept(store, said):
    assert store.newest() is None
    for number in range(5):
        store.write(content_of(number))
    assert names(store) == ["00000004.npz", "00000005.npz"]
    assert_identical(again(store).newest(), content_of(4))
    assert said == []


def test_the_file_is_plain_arrays(store):
    path = store.write(CONTENT)
    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "uif" for name in file.files)
        header = json.loads(file["header"].tobytes())
    assert set(header) == {"format", "package", "sha256"}


def test_a_damaged_file_gives_way_to_the_one_before_and_is_told(store, said):
    store.write(content_of(0))
    path = store.write(content_of(1))
    path.write_bytes(path.read_bytes()[:-100])
    other = again(store)
    assert_identical(other.newest(), content_of(0))
    assert said == ["checkpoint 00000002.npz is damaged (it cannot be read): trying the one before"]
    other.write(content_of(2))  # the damaged one makes room, not the good one
    assert names(store) == ["00000001.npz", "00000003.npz"]
    assert_identical(again(store).newest(), content_of(2))


def test_nothing_but_damaged_files(store):
    for number in range(2):
        store.write(content_of(number)).write_bytes(b"nothing")
    with pytest.raises(ResumeError, match=r"^every checkpoint in '.*' is damaged; start the run"):
        again(store).newest()


def test_every_changed_byte_is_noticed_or_changes_nothing(store, said):
    """Whatever byte is hit (the file has about 5,000), what is read is what was written."""
    store.write(content_of(0))
    path = store.write(content_of(1))
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    for place in random.choice(len(whole), 400, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        found = again(store).newest()
        assert found is not None
        assert_identical(found, content_of(found["number"]))
    assert len(said) > 100


@pytest.mark.parametrize("length", [0, 1, 100, 2000])
def test_a_short_file_is_damaged(store, length):
    store.write(content_of(0))
    path = store.write(content_of(1))
    os.truncate(path, length)
    assert_identical(again(store).newest(), content_of(0))


def test_a_wrong_check_sum_is_damage(store, said, monkeypatch):
    store.write(content_of(0))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_digest", lambda text, entries: "0" * 64)
        store.write(content_of(1))
    assert_identical(again(store).newest(), content_of(0))
    assert "the check sum is wrong" in said[0]


def test_another_format_is_refused(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORMAT", 99)
        store.write(CONTENT)
    with pytest.raises(ResumeError, match=f"99, this version reads {FORMAT}; resume with"):
        again(store).newest()


def test_another_version_of_the_package_is_refused(store, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "package_version", lambda name: "0.0.7")
        store.write(CONTENT)
    with pytest.raises(ResumeError, match=r"was written by fedast-jax 0\.0\.7, this is "):
        again(store).newest()


def fill_up(file, content):
    file.write(b"half")
    raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_the_earlier_ones(store, said, monkeypatch):
    store.write(content_of(0))
    keeper = Keeper(store, lambda: content_of(1), 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_file", fill_up)
        keeper.tick()
    assert said == ["cannot write a checkpoint (No space left on device): going on without"]
    assert names(store) == ["00000001.npz"]
    keeper.tick()
    assert_identical(again(store).newest(), content_of(1))


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(checkpoint, "time", clock)
    return clock


@pytest.mark.parametrize(("cost", "gap"), [(0.5, 60.0), (3.0, 3.0 / COST_SHARE)])
def test_checkpoints_keep_their_distance_and_their_share_of_the_time(store, clock, cost, gap):
    times = []

    def content():
        times.append(clock.now)
        clock.now += cost
        return CONTENT

    keeper = Keeper(store, content, 60.0)
    for _ in range(1000):
        clock.now += 1.0
        keeper.tick()
    assert len(times) > 4
    assert all(gap <= one - cost <= gap + 1.0 for one in np.diff(times))
    assert keeper.seconds == pytest.approx(cost * len(times))


def test_with_zero_seconds_every_segment_leaves_one(store, clock):
    keeper = Keeper(store, lambda: CONTENT, 0.0)
    for _ in range(7):
        keeper.tick()
    assert names(store) == ["00000006.npz", "00000007.npz"]


def test_without_a_folder_nothing_is_written(tmp_path):
    Keeper(None, lambda: pytest.fail("nothing is wanted"), 0.0).tick()
