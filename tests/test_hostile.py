"""Mutated files of every kind: taken or refused in a sentence, in bounds (see ``hostile.py``)."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import hostile
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hostile_readers import all_readers

from fedast_jax.clients.trace import read_trace
from fedast_jax.config import parquet
from fedast_jax.config.npz import read_npz
from fedast_jax.config.parquet import read_parquet
from fedast_jax.data.errors import DataError


def test_a_thousand_mutations(tmp_path):
    faults = [
        (one, name, repr(error)[:300])
        for name, _, one, error in hostile.try_many(all_readers(tmp_path), 1000, seed=10**6)
        if error is not None
    ]
    assert faults == []


@pytest.mark.parametrize("seed", [15404, 22763])
def test_what_was_found_once(tmp_path, seed):
    """A checkpoint with other options than the run's, of any length, was told in full."""
    ((_, _, _, error),) = hostile.try_many(all_readers(tmp_path), 1, seed=seed)
    assert error is None


@pytest.mark.slow
def test_fifty_thousand_mutations(tmp_path):
    readers = all_readers(tmp_path)
    tries = hostile.try_many(readers, 50_000, seed=0)
    assert [(one, name, error) for name, _, one, error in tries if error is not None] == []


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (lambda folder: (folder.parent / "b").write_text("x"), "outside of the folder"),
        (lambda folder: (folder / "a").rename(folder.parent / "a"), "outside of the folder"),
        (lambda folder: np.load(folder / "a", allow_pickle=True), "pickle.find_class"),
    ],
)
def test_the_watch_sees(tmp_path, do, says):
    folder = tmp_path / "in"
    folder.mkdir()
    with (folder / "a").open("wb") as file:
        np.save(file, np.array([io.BytesIO]), allow_pickle=True)
    with pytest.raises(AssertionError, match=says), hostile.watched(folder):
        do(folder)


def packed(name: str, content: bytes, way: int = zipfile.ZIP_STORED, times: int = 1) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", way) as archive:
        for number in range(times):
            archive.writestr(f"{name}{number}.npy", content)
    return file


def test_arrays_take_no_more_memory_than_their_file_has_bytes():
    whole = io.BytesIO()
    np.save(whole, np.arange(9))
    assert read_npz(packed("a", whole.getvalue()))["a0"].tolist() == list(range(9))
    with pytest.raises(ValueError, match="packed"):
        read_npz(packed("a", whole.getvalue(), zipfile.ZIP_DEFLATED))
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    )
    with pytest.raises(ValueError, match="not what its head says"):
        read_npz(packed("a", head.getvalue()))
    np.save(pickled := io.BytesIO(), np.array([None]), allow_pickle=True)
    with pytest.raises(ValueError, match="not what its head says"):
        read_npz(packed("a", pickled.getvalue()))


def test_a_table_that_stands_for_more_than_there_is_memory(monkeypatch):
    file = io.BytesIO()
    pq.write_table(pa.table({"a": ["x" * 10**6] * 1000}), file)
    assert len(file.getvalue()) < 2 * 10**6
    monkeypatch.setattr(parquet, "SHARE", 1e-9)
    with pytest.raises(ValueError, match="are free for it"):
        read_parquet(file)
    monkeypatch.setattr(parquet, "SHARE", 10**8 / parquet.psutil.virtual_memory().available)
    with pytest.raises(ValueError, match=r"it takes 1,000,000,000 bytes"):
        read_parquet(file)


def test_a_trace_whose_bytes_are_no_text(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"device_class,duration,\xff\na,1,1\n")
    with pytest.raises(DataError, match="cannot read the trace"):
        read_trace(str(path))


def test_a_long_cell_is_cut_short(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("device_class,duration\na," + "9" * 9999 + "x\n")
    with pytest.raises(DataError) as refused:
        read_trace(str(path))
    assert len(str(refused.value)) < 400
