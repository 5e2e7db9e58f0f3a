"""``checksums.json``: the SHA-256 sum of every file that a finished folder holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from ..config import disk

CHECKSUMS = "checksums.json"


def digest(path: Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""
    with disk.reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_checksums(path: Path) -> None:
    """Write the sums of all files beside a file and below; it is the last that is written."""
    files = sorted(
        one for one in disk.find(path.parent, "**/*") if disk.is_file(one) and one != path
    )
    _write({_name(one, path.parent): digest(one) for one in files}, path)


def add_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Let files that were drawn into a finished folder have their sums; others keep theirs."""
    path = folder / CHECKSUMS
    with suppress(FileNotFoundError, ValueError):  # no finished folder, or a damaged one
        sums = read_checksums(path)
        _write(sums | {_name(one, folder): digest(one) for one in files}, path)


def read_checksums(path: Path) -> dict[str, str]:
    """By a file's name in the folder.

    Raises:
        ValueError: it is not what was written.
    """
    content = json.loads(disk.read_text(path))
    sums = content.get("sha256") if isinstance(content, dict) else None
    if not isinstance(sums, dict) or not all(isinstance(one, str) for one in sums.values()):
        raise ValueError("it has no table of sums, sha256")
    return sums


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _write(sums: Mapping[str, str], path: Path) -> None:
    """As a whole or not at all."""
    staging = path.with_suffix(".tmp")
    text = json.dumps({"sha256": dict(sorted(sums.items()))}, indent=2) + "\n"
    try:
        disk.write_text(text, staging)
        disk.rename(staging, path)
    except BaseException:
        disk.remove(staging)
        raise
