"""How many cores of this machine the process may use, and a CPU divided into devices by them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import jax

from . import disk

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
FLAG = "xla_force_host_platform_device_count"  # of XLA_FLAGS: how a user may have divided the CPU


def usable_cores() -> int:
    """Whole cores that the affinity of the process and its cgroup's quota leave it; at least 1."""
    return max(1, int(min([_affine_cores(), *quotas(ROOT, OWN)])))


def _affine_cores() -> int:
    """Those that the process may be scheduled on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def quotas(root: Path, own: Path) -> Iterator[float]:
    """Cores that a cgroup and those around it are limited to; nothing where there is no limit.

    Args:
        root: where the control groups are mounted (version 2, or version 1 with its ``cpu``).
        own: the file that says which of them are the process's.
    """
    for line in _words(own, "\n"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            folder = root / path.lstrip("/")
        elif "cpu" in controllers.split(","):
            folder = root / "cpu" / path.lstrip("/")
        else:
            continue
        for level in (folder, *folder.parents):
            if level.is_relative_to(root):
                yield from _quota(level)


def _quota(folder: Path) -> Iterator[float]:
    """Of one control group: time on the cores in a period of the clock."""
    limit = _words(folder / "cpu.max") or [
        *_words(folder / "cpu.cfs_quota_us"),
        *_words(folder / "cpu.cfs_period_us"),
    ]
    if len(limit) == 2 and limit[0].isdecimal() and int(limit[1]):
        yield int(limit[0]) / int(limit[1])


def _words(path: Path, separator: str | None = None) -> list[str]:
    """Of a file; none where it cannot be read."""
    try:
        return [word for word in disk.read_text(path).split(separator) if word]
    except OSError:
        return []


def divide_cpu(num_devices: int) -> None:
    """Let JAX see so many devices in a CPU, if it has not begun to compute yet."""
    if num_devices > 1:
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", num_devices)


def is_told() -> bool:
    """Whether somebody has said how many devices a CPU is to be."""
    number = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
    return number >= 0 or FLAG in os.getenv("XLA_FLAGS", "")


def offer_cores() -> None:
    """Let JAX, which is about to begin, see a device for each core, unless it was told a number."""
    if not is_told():
        divide_cpu(usable_cores())
