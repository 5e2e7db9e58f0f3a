"""Every reader of files that a user may have from others, each with a file as it should be."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hostile import (
    Reader,
    mutate_bytes,
    mutate_json,
    mutate_npz,
    mutate_parquet,
    mutate_toml,
    mutate_tree,
)
from made_folders import make_folder

from fedast_jax.cli.work_folder import Job, WorkFolder
from fedast_jax.clients.devices import read_devices
from fedast_jax.clients.on_trace import read_on_trace
from fedast_jax.clients.trace import read_trace
from fedast_jax.data.cache import read_entry
from fedast_jax.data.formats import parse_cifar, read_file, read_tar
from fedast_jax.data.layouts import read_idx_images, read_idx_labels
from fedast_jax.data.text_sources import load_leaf, load_plays
from fedast_jax.results.run_folder import write_models
from fedast_jax.run.checkpoint import Checkpoints, write_file
from fedast_jax.run.checkpoint import read_file as read_checkpoint
from fedast_jax.run.resolve import load_config, make_config
from fedast_jax.run.saved import SavedRun
from fedast_jax.study.load import load_result, load_study
from fedast_jax.views import report
from fedast_jax.views.trace import write_trace

CONFIGS = Path(__file__).parents[1] / "configs"
CLIENTS = 5


def write_page(folder: Path) -> None:
    """Without the drawing library's script, which takes longest to write."""
    with patch.object(report, "_drawing_library", lambda: ""):
        report.write_report([folder], force=True)


def all_readers(place: Path) -> dict[str, tuple[Path, Reader]]:
    """By name: a folder, and what is read in it."""
    made = {**_configs(), **_data(), **_traces()}
    readers = {name: (_laid(place / name, reader), reader) for name, reader in made.items()}
    return {**readers, **_runs(place), **_studies(place), **_jobs(place), **_checkpoints(place)}


def _laid(folder: Path, reader: Reader) -> Path:
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(reader.data)
    return folder


def _configs() -> dict[str, Reader]:
    names = ["quickstart", "methods", "paper/fig5", "paper/fig12"]
    return {
        f"config {name}": Reader(
            "a.toml",
            (CONFIGS / f"{name}.toml").read_bytes(),
            mutate_toml,
            lambda folder: load_config(folder / "a.toml"),
        )
        for name in names
    }


def _idx(*shape: int) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in shape)
    return bytes([0, 0, 8, len(shape)]) + sizes + bytes(int(np.prod(shape)))


def _packed(
    mutate: Callable[[bytes, random.Random], bytes],
) -> Callable[[bytes, random.Random], bytes]:
    """A mutation of a packed file: of its bytes, or of what is packed in it, or a bomb."""

    def change(data: bytes, chance: random.Random) -> bytes:
        kind = chance.random()
        if kind < 0.01:
            return gzip.compress(bytes(3 * 10**8), 1)
        return (
            gzip.compress(mutate(gzip.decompress(data), chance), 1)
            if kind < 0.6
            else mutate(data, chance)
        )

    return change


def _tar() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("a.bin", "b.bin"):
            info = tarfile.TarInfo(f"folder/{name}")
            info.size = 2 * 3073
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return packed.getvalue()


def _leaf() -> bytes:
    window = "a" * 80
    users = {user: {"x": [window] * 3, "y": list("abc")} for user in ("ann", "bob")}
    return json.dumps({"users": list(users), "num_samples": [3, 3], "user_data": users}).encode()


def _data() -> dict[str, Reader]:
    packed, array = io.BytesIO(), np.zeros((4, 2), np.uint8)
    np.savez(packed, train_images=array, train_labels=array, test_images=array, test_labels=array)
    play = b"ANN:\n" + b"to be or not to be that is the question\n" * 9 + b"\nBOB:\n" + b"why " * 99
    read_bin = lambda folder: parse_cifar(read_file(folder / "a.bin"), 1, 10, "a.bin")  # noqa: E731
    label_file, archive, names = gzip.compress(_idx(30)), gzip.compress(_tar()), ["a.bin", "b.bin"]
    return {
        "idx images": Reader("a", _idx(3, 4, 4), mutate_bytes, _images),
        "idx labels": Reader("a.gz", label_file, _packed(mutate_bytes), _labels),
        "cifar": Reader("a.bin", bytes(3073 * 3), mutate_bytes, read_bin),
        "cifar tar": Reader(
            "a.tar.gz", archive, _packed(mutate_bytes), lambda at: read_tar(at / "a.tar.gz", names)
        ),
        "leaf": Reader("a.json", _leaf(), mutate_json, _users),
        "play": Reader("a.txt", play, mutate_bytes, lambda at: load_plays([at / "a.txt"], "plays")),
        "cache": Reader(
            "a.npz", packed.getvalue(), mutate_npz, lambda at: read_entry(at / "a.npz")
        ),
    }


def _images(folder: Path) -> object:
    return read_idx_images(folder / "a", (4, 4))


def _labels(folder: Path) -> object:
    return read_idx_labels(folder / "a.gz", 10)


def _users(folder: Path) -> object:
    return load_leaf(folder, [folder / "a.json"], [folder / "a.json"])


def _table(columns: dict[str, list]) -> tuple[bytes, bytes]:
    """As CSV and as Parquet."""
    text, packed = io.StringIO(), io.BytesIO()
    csv.writer(text).writerows([list(columns), *zip(*columns.values(), strict=True)])
    pq.write_table(pa.table(columns), packed)
    return text.getvalue().encode(), packed.getvalue()


def _traces() -> dict[str, Reader]:
    clients = list(range(CLIENTS))
    tables = {
        "delays": ({"device_class": ["a", "b"] * 20, "duration": [1.0, 2.5] * 20}, read_trace),
        "on": (
            {"client": clients * 2, "start": [0.0] * 5 + [5.0] * 5, "end": [4.0] * 5 + [9.0] * 5},
            lambda path: read_on_trace(path, 10.0, CLIENTS),
        ),
        "devices": (
            {"client": clients, "seconds_per_sample": [0.1] * 5, "bytes_per_second": [1e6] * 5},
            lambda path: read_devices(path, CLIENTS),
        ),
    }
    readers = {}
    for name, (columns, read) in tables.items():
        for suffix, data, mutate in zip(
            ("csv", "parquet"), _table(columns), (mutate_bytes, mutate_parquet), strict=True
        ):
            readers[f"{name} {suffix}"] = Reader(
                f"a.{suffix}",
                data,
                mutate,
                lambda at, read=read, suffix=suffix: read(str(at / f"a.{suffix}")),
            )
    return readers


def _look(folder: Path) -> None:
    """All that ``show``, ``report`` and ``trace`` ask of a folder, but for the drawing."""
    write_page(folder)
    write_trace(folder, force=True)
    loaded = (load_study if (folder / "configs").is_dir() else load_result)(folder)
    loaded.summary()


MUTATORS = {
    ".parquet": mutate_parquet,
    ".json": mutate_json,
    ".toml": mutate_toml,
    ".npz": mutate_npz,
}


def _files_of(
    folder: Path, read: Callable[[Path], object], prefix: str
) -> dict[str, tuple[Path, Reader]]:
    """A reader for each file of a folder."""
    files = [path for path in folder.rglob("*") if path.suffix in MUTATORS]
    return {
        f"{prefix} {path.name}": (
            folder,
            Reader(str(path.relative_to(folder)), path.read_bytes(), MUTATORS[path.suffix], read),
        )
        for path in sorted(files)
    }


def _runs(place: Path) -> dict[str, tuple[Path, Reader]]:
    folder = make_folder(place / "run", num_tests=5, with_requests=True)
    write_models({"0/digits/w": np.zeros((3, 2), np.float32)}, folder / "models.npz")
    return _files_of(folder, _look, "run")


def _studies(place: Path) -> dict[str, tuple[Path, Reader]]:
    study = {
        "compare": ["fedast", "fedast_nobuffer"],
        "sweep": {"tasks.digits.buffer_size": [1, 3]},
    }
    folder = make_folder(place / "study", study, num_tests=3, with_requests=True)
    return _files_of(folder, _look, "study")


def _jobs(place: Path) -> dict[str, tuple[Path, Reader]]:
    table = {"max_updates": 9, "tasks": {"digits": {}}, "study": {"compare": ["fedast", "fedbuff"]}}
    from fedast_jax.study.variants import make_variants

    configs = [variant.config for variant in make_variants(table)]
    folder = place / "job"
    job = Job("study", configs, {"save": ["requests"]}, table)
    with WorkFolder.begin(folder / "out", job):
        pass

    def reopen(folder: Path) -> None:
        with WorkFolder.reopen(folder / "out"):
            pass

    return _files_of(folder, reopen, "job")


def _checkpoints(place: Path) -> dict[str, tuple[Path, Reader]]:
    from failing import quick_runs

    from fedast_jax.run.simulate import simulate

    machine = {"checkpoint_seconds": 0, "batch_width": 4}
    tasks = {"digits": {"num_active": 4, "buffer_size": 2}}
    config = make_config({"max_updates": 60, "machine": machine, "tasks": tasks})
    folder = place / "checkpoint"
    store = Checkpoints(folder)
    with quick_runs():
        simulate(config, checkpoints=store)
    (path, *rest) = store.paths
    for one in rest:
        one.unlink()

    def read(folder: Path) -> None:
        with (folder / path.name).open("rb") as file:
            read_checkpoint(file, "checkpoint")

    def reseal(data: bytes, chance: random.Random) -> bytes:
        packed = io.BytesIO()
        content = mutate_tree(read_checkpoint(io.BytesIO(data), ""), chance)
        write_file(packed, content)
        return packed.getvalue()

    def find(folder: Path) -> None:
        keeps = {"keep_models": False, "keep_requests": False}
        SavedRun.find(Checkpoints(folder, lambda text: None), [config], keeps)

    data = path.read_bytes()
    return {
        "checkpoint": (folder, Reader(path.name, data, mutate_npz, read)),
        "sealed": (folder, Reader(path.name, data, reseal, find)),
    }
