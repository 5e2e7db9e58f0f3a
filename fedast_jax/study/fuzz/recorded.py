"""Small files of recorded durations and hours, which a case names by a word instead of a path."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ...config import disk
from ...config.errors import ConfigError
from ...config.words import show

WORDS = ("classes", "devices", "hours")
MOST_CLIENTS = 10_000
CLASSES = """device_class,duration
old,3
old,4
new,1
new,1.5
new,1
older,9.25
"""


def with_files(table: dict[str, Any]) -> dict[str, Any]:
    """A table of settings with the paths of the files that its traces name.

    Args:
        table: where ``delays.trace`` is ``"classes"`` or ``"devices"``, and
            ``availability.trace`` is ``"hours"``.
    """
    placed = dict(table)
    for part in ("delays", "availability"):
        name = table[part].get("trace") if isinstance(table.get(part), dict) else None
        if name in WORDS:
            path = str(recorded(name, _number(table.get("num_clients", 1000))))
            placed[part] = {**table[part], "trace": path}
    return placed


def _number(num_clients: Any) -> int:
    """For whom there is a file."""
    if not isinstance(num_clients, int) or not 0 < num_clients <= MOST_CLIENTS:
        raise ConfigError(f"a case has 1 to {MOST_CLIENTS:,} clients, got {show(num_clients)}")
    return num_clients


@cache
def recorded(name: str, num_clients: int) -> Path:
    """The path of a file, written once in a process."""
    path = _folder() / f"{name}_{num_clients}.csv"
    text = CLASSES if name == "classes" else "\n".join(_LINES[name](num_clients)) + "\n"
    disk.write_text(text, path)
    return path


@cache
def _folder() -> Path:
    return Path(mkdtemp(prefix="fedast_fuzz_"))


def _devices(num_clients: int) -> Iterable[str]:
    """How fast each client computes and sends."""
    yield "client,seconds_per_sample,bytes_per_second"
    for one in range(num_clients):
        yield f"{one},{0.001 * (1 + one % 7)},{4000 + 1000 * (one % 5)}"


def _hours(num_clients: int) -> Iterable[str]:
    """Three hours of twelve, in four shifts; some come a second time, at midnight."""
    yield "client,start,end"
    for one in range(num_clients):
        yield f"{one},{one % 4 * 2.0},{one % 4 * 2.0 + 3.0}"
    for one in range(0, num_clients, 3):
        yield f"{one},11.5,12.0"


_LINES = {"devices": _devices, "hours": _hours}
