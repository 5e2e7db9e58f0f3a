"""One file, whole or not there; what is there already stays unless that is wanted otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..config import disk
from ..config.errors import OutputError
from ..results.output import reason_of


def check_output(path: Path, *, force: bool) -> None:
    """Raise OutputError where a file may not be written, before anything is worked out."""
    if disk.is_folder(path):
        raise OutputError(f"{str(path)!r} is a folder; name a file with --out")
    if not path.name:
        raise OutputError(f"{str(path)!r} has no name; name a file with --out")
    if disk.is_there(path) and not force:
        raise OutputError(
            f"{str(path)!r} exists already; replace it with --force, or name another file with "
            f"--out"
        )


def write_whole(path: Path, write: Callable[[Path], None]) -> Path:
    """Let a file be written beside its place and take it at the end.

    Raises:
        OutputError: it cannot be written; what was there before is as it was.
    """
    beside = None
    try:
        disk.make_folders(path.parent)
        beside = disk.temporary_file(path.parent)
        write(beside)
        disk.let_read(beside, 0o644)
        disk.rename(beside, path)
    except OSError as error:
        raise OutputError(
            f"cannot write {str(path)!r}: {reason_of(error)}; free some space, or name another "
            f"file with --out"
        ) from error
    finally:
        if beside is not None:
            disk.remove(beside)
    return path
