"""What a folder says of how it was made: seconds, versions, the commands that make it again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ..config import disk
from ..results.extras import EXTRAS
from ..study.recorded import Folder
from .claims import figure_commands

FILES = {"requests": "requests.parquet", "models": "models.npz", "partition": "partition.parquet"}
PHASES = ("plan", "compile", "train", "test")


def device_seconds(folder: Folder) -> dict[str, float]:
    """Where the wall-clock time went; ``other`` is loading, sizing and writing."""
    seconds = folder.manifest.get("seconds") or {}
    parts = {phase: float(seconds.get(phase) or 0.0) for phase in PHASES}
    wall = float(seconds.get("wall") or 0.0)
    return parts | {"other": max(0.0, wall - sum(parts.values()))}


def work_done(folder: Folder) -> Iterator[tuple[str, str]]:
    """What the seconds were spent on, in words."""
    counts, memory = folder.manifest.get("counts") or {}, folder.manifest.get("memory") or {}
    updates, empty = int(counts.get("updates") or 0), int(counts.get("empty_slots") or 0)
    seconds = folder.manifest.get("seconds") or {}
    train = float(seconds.get("train") or 0.0)
    yield "in all", f"{float(seconds.get('wall') or 0.0):,.1f} s"
    yield (
        "updates trained",
        f"{updates:,}" + (f", {updates / train:,.0f} a second" if train else ""),
    )
    yield (
        "batches",
        f"{int(counts.get('batches') or 0):,}"
        + (f", {updates / (updates + empty):.1%} full" if updates + empty else ""),
    )
    yield "batch width", str(folder.manifest.get("batch_width", "unknown"))
    for key, words in (("estimated_bytes", "estimated"), ("peak_bytes", "peak of the process")):
        if memory.get(key):
            yield f"memory, {words}", f"{int(memory[key]) / 2**30:.2f} GiB"


def versions(folder: Folder) -> Iterator[tuple[str, str]]:
    """Of the programs, the device and the numbers, in words."""
    manifest = folder.manifest
    yield "status", str(manifest["status"])
    for name, number in _table(manifest.get("versions")).items():
        yield str(name), str(number)
    for name, value in _table(manifest.get("device")).items():
        yield f"device {name}", str(value)
    for name in ("precision", "fidelity"):
        if manifest.get(name) is not None:
            yield name, str(manifest[name])


def commands(folder: Folder) -> list[tuple[str, str]]:
    """What to do, and the command that does it."""
    place = shlex.quote(str(folder.path))
    config = shlex.quote(str(folder.path / "config.toml"))
    saved = [name for name in EXTRAS if disk.exists(folder.path / FILES[name])]
    save = f" --save {','.join(saved)}" if saved else ""
    found = list(figure_commands(folder))
    found.append(("run it again, to the same bits", f"fedast run {config} --out NEW_FOLDER{save}"))
    if folder.manifest["status"] == "interrupted":
        found.append(("go on where it was interrupted", f"fedast resume {place}"))
    found.append(("print its table and draw its figures", f"fedast show {place}"))
    if "requests" in saved:
        found.append(("write its timeline for Perfetto", f"fedast trace {place}"))
    return found


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
