"""The sums of a folder's files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ...config import disk
from ...results.checksums import CHECKSUMS, digest, read_checksums
from .findings import Audit, Difference


def check_sums(folder: Path, audit: Audit) -> None:
    """Note every file whose bytes are not those that were written."""
    try:
        sums = read_checksums(folder / CHECKSUMS)
    except FileNotFoundError:
        audit.unchecked.append(f"the files' sums: there is no {CHECKSUMS}")
        return
    except (OSError, ValueError) as error:
        audit.differences.append(Difference(CHECKSUMS, "a table of sums", error))
        return
    wrong = list(_wrong(folder, sums))
    audit.differences += wrong
    if not wrong:
        audit.checked.append(f"the SHA-256 sums of {len(sums)} files")


def _wrong(folder: Path, sums: dict[str, str]) -> Iterator[Difference]:
    for name, expected in sums.items():
        path, place = folder / name, PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            yield Difference(CHECKSUMS, "names of files in the folder", repr(name))
        elif disk.is_link(path) or not disk.is_file(path):
            yield Difference(name, "a file", "none")
        elif (found := digest(path)) != expected:
            yield Difference(name, f"bytes of SHA-256 {expected[:16]}", f"{found[:16]}")
