"""The files of a run's own folder, made and opened so that no link leads elsewhere."""

from __future__ import annotations

from pathlib import Path

from filelock import Timeout

from ..config import disk
from ..config.errors import ResumeError


class Lock:
    """The lock of a run's folder, held until it is closed or the process ends."""

    def __init__(self, folder: Path) -> None:
        """Take it; what the file holds, if it is there, stays.

        Raises:
            ResumeError: another process holds it.
            OSError: it cannot be made, or is a link.
        """
        try:
            self._held = disk.lock(folder / "lock")
        except Timeout:
            raise ResumeError(
                f"{str(folder)!r} is in use: another process works on this run"
            ) from None

    def close(self) -> None:
        """Let go."""
        disk.unlock(self._held)


def missing_parents(path: Path) -> list[Path]:
    """The folders above a path that are not there, outermost first."""
    return [parent for parent in reversed(path.absolute().parents) if not disk.exists(parent)]


def check_plain(folder: Path, *inner: str) -> None:
    """Raise ResumeError where a folder, or something in it, is neither file nor folder.

    Args:
        folder: a run's; it may be missing.
        inner: folders in it that are looked into as well.
    """
    for path in [
        folder,
        *_entries(folder),
        *(entry for name in inner for entry in _entries(folder / name)),
    ]:
        if not disk.is_plain(path):
            kind = "a symbolic link" if disk.is_link(path) else "no plain file"
            raise ResumeError(
                f"{str(path)!r} is {kind}, which a run does not write: put back what it wrote, or "
                f"start a new run"
            )


def _entries(folder: Path) -> list[Path]:
    return disk.entries(folder) if disk.is_folder(folder) and not disk.is_link(folder) else []
