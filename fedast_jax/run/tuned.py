"""What ``fedast tune`` has measured, kept in the cache folder by machine and versions.

The file only ever saves time: one that is damaged, or that something else has written, is as none.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import jax
from pydantic import Field, ValidationError

from ..config import disk
from ..config.bounds import SideBySide
from ..config.tables import Table
from ..config.versions import package_version
from ..data.cache import atomic_write
from ..data.paths import cache_folder
from ..results.output import reason_of, warn
from ..tasks import get_kind

LARGEST_FILE = 10**6  # bytes
CPUS = Path("/proc/cpuinfo")

Words = Annotated[str, Field(max_length=200)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Where(Table):
    """What a measurement holds for, and nothing else."""

    machine: Words  # the CPU's model or the accelerator's
    num_devices: SideBySide
    jax: Words  # its version
    package: Words  # the version of this one


class Kept(Table):
    """What was measured of one kind."""

    where: Where
    kind: Words
    digest: Words  # of an own task's data and model; of a kind of this package none
    shipped: SideBySide  # clients side by side on a device where nothing is measured
    best: SideBySide
    rates: Annotated[dict[SideBySide, Rate], Field(max_length=20)]  # updates/s by that number

    @property
    def is_compared(self) -> bool:
        """Whether there was time for another number than the shipped one."""
        return len(self.rates) > 1

    @property
    def key(self) -> tuple[Where, str, str]:
        """There is at most one of each."""
        return self.where, self.kind, self.digest


class _File(Table):
    format: Literal[1] = 1
    kept: Annotated[list[Kept], Field(max_length=1000)]


def kept_file() -> Path:
    """Where it is, or would be."""
    return cache_folder() / "tuned.json"


def kept_numbers(kinds: Iterable[str], num_devices: int) -> dict[str, int]:
    """Clients side by side, by kind, where another number than the shipped one was faster here."""
    kept = {one.key: one for one in read_kept()}
    if not kept:
        return {}
    where = here(num_devices)
    found = {kind: kept.get((where, kind, digest_of(kind))) for kind in kinds}
    return {kind: one.best for kind, one in found.items() if one and one.best != one.shipped}


def read_kept() -> list[Kept]:
    """All that is kept, of other machines and versions too; nothing of a file that is damaged."""
    path = kept_file()
    try:
        if not disk.is_there(path):
            return []
        if not disk.is_file(path):
            raise ValueError("it is no plain file")
        content = disk.read_bytes(path, LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ValueError(f"it has over {LARGEST_FILE:,} bytes")
        return _File.model_validate_json(content).kept
    except (OSError, ValueError) as error:
        is_other = isinstance(error, ValidationError)
        reason = "'fedast tune' has not written it so" if is_other else reason_of(error)
        _warn_once(f"cannot use {str(path)!r} ({reason}): going on without; remove it")
        return []


def keep(measured: Sequence[Kept]) -> None:
    """Put measurements in the place of earlier ones of the same.

    Raises:
        OSError: the file cannot be written; the one before is as it was.
    """
    new = {one.key: one for one in measured}
    _write([*(one for one in read_kept() if one.key not in new), *new.values()])


def forget(kinds: Collection[str]) -> int:
    """Drop what is kept of these kinds, of all where none is named, and say how much that was.

    Raises:
        OSError: the file cannot be written or removed.
    """
    kept = read_kept()
    left = [one for one in kept if kinds and one.kind not in kinds]
    if left:
        _write(left)
    else:
        disk.remove(kept_file())
    return len(kept) - len(left)


def here(num_devices: int) -> Where:
    """This machine, with so many devices."""
    return Where(
        machine=machine_name()[:200],
        num_devices=num_devices,
        jax=package_version("jax"),
        package=package_version("fedast-jax"),
    )


def digest_of(kind: str) -> str:
    """Of an own task; else nothing."""
    digest = get_kind(kind).digest
    return digest() if digest else ""


def machine_name() -> str:
    """The model of the CPU, or of the accelerator."""
    if jax.default_backend() != "cpu":
        return jax.local_devices()[0].device_kind
    with suppress(OSError, UnicodeDecodeError):
        for line in disk.read_text(CPUS).splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _write(kept: list[Kept]) -> None:
    with atomic_write(kept_file()) as stream:
        stream.write(_File(kept=kept).model_dump_json(indent=1).encode())


@cache
def _warn_once(message: str) -> None:
    warn(message)
