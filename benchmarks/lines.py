"""Measurements as lines of JSON: each is on the disk once it is made, and is not made again.

What they are made on, and how busy others kept it meanwhile.
"""

from __future__ import annotations

import json
import os
import platform
import resource
from pathlib import Path
from typing import Any

import psutil

Line = dict[str, Any]


def read_lines(path: Path) -> list[Line]:
    """What was measured so far; a line that was cut off is left out."""
    if not path.exists():
        return []
    whole = path.read_text().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def append_line(path: Path, line: Line) -> None:
    """Add one measurement, behind whatever a stopped process left of its last."""
    lines = [*read_lines(path), line]
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text("".join(json.dumps(line) + "\n" for line in lines))
    fresh.replace(path)


def measured(lines: list[Line], key: Line) -> bool:
    """Whether a line has all that the key has."""
    return any(key.items() <= line.items() for line in lines)


def elsewhere() -> float:
    """Seconds that cores worked so far for others than this process's children.

    Ray's servers count as others: nobody waits for them.
    """
    times, own = psutil.cpu_times(), resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = times.user + times.nice + times.system
    return busy - own.ru_utime - own.ru_stime


def machine() -> Line:
    """What it was measured on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.processor(), "cores": num_cores()}


def num_cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))
