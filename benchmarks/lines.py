"""Measurements as lines of JSON: each is on the disk once it is made, and is not made again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
