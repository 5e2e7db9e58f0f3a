"""The files of a run's own folder, made and opened so that no link leads elsewhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from filelock import FileLock, Timeout

from ..config.errors import ResumeError


class Lock:
    """The lock of a run's folder, held until it is closed or the process ends."""

    def __init__(self, folder: Path) -> None:
        """Take it; what the file holds, if it is there, stays.

        Raises:
            ResumeError: another process holds it.
            OSError: it cannot be made, or is a link.
        """
        self._lock = FileLock(folder / "lock", timeout=0, fallback_to_soft=False)
        try:
            self._lock.acquire()
        except Timeout:
            raise ResumeError(
                f"{str(folder)!r} is in use: another process works on this run"
            ) from None

    def close(self) -> None:
        """Let go."""
        self._lock.release(force=True)


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there, down to the disk: a full one is met here, not later."""
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def missing_parents(path: Path) -> list[Path]:
    """The folders above a path that are not there, outermost first."""
    return [parent for parent in reversed(path.absolute().parents) if not parent.exists()]


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
        mode = path.lstat().st_mode if os.path.lexists(path) else stat.S_IFREG
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "no plain file"
            raise ResumeError(
                f"{str(path)!r} is {kind}, which a run does not write: put back what it wrote, or "
                f"start a new run"
            )


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []
