"""Every operation on files that the package asks for, in one place: a test can let each one fail.

No other module opens, makes, renames, removes or looks for a file by itself. Failures are those of
the system, OSError; what libraries do inside (a TFDS reader, a font cache) is theirs.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

BUFFER = 1 << 18  # bytes that are read or written at a time
Way = Callable[..., Any]
"""``way(verb, do, *arguments)``: how an operation is done, by default ``do(*arguments)``."""


def _straight(verb: str, do: Callable[..., Any], *arguments: Any) -> Any:
    return do(*arguments)


_way: Way = _straight


@contextmanager
def by_way_of(way: Way) -> Iterator[None]:
    """Let every operation go through a function, which may fail: for tests."""
    global _way
    before, _way = _way, way
    try:
        yield
    finally:
        _way = before


class _File(io.FileIO):
    """A file each of whose reads and writes is an operation of its own."""

    def write(self, data: Any) -> int:
        return _way("write", super().write, data)

    def readinto(self, buffer: Any) -> int:
        return _way("read", super().readinto, buffer)

    def readall(self) -> bytes:
        return _way("read", super().readall)

    def close(self) -> None:
        if not self.closed:
            _way("close", super().close)


def reading(path: str | Path) -> io.BufferedReader:
    """A file to be read, as bytes."""
    return io.BufferedReader(_way("open", _File, path, "rb"), BUFFER)


def writing(path: Path, *, is_new: bool = False) -> io.BufferedWriter:
    """A file to be written, as bytes; a new one must not be there, not even as a link."""
    return io.BufferedWriter(_way("open", _File, path, "xb" if is_new else "wb"), BUFFER)


def read_bytes(path: str | Path, at_most: int = -1) -> bytes:
    """All that is in a file, or its first bytes."""
    with reading(path) as file:
        return file.read(at_most)


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """All that is in a file, lines ended as Python ends them."""
    with io.TextIOWrapper(reading(path), encoding) as file:
        return file.read()


def write_text(text: str, path: Path, *, is_new: bool = False) -> None:
    """A file of this text in UTF-8; a new one is on the disk, not on its way there."""
    with writing(path, is_new=is_new) as file:
        file.write(text.encode())
        if is_new:
            sync(file)


def sync(file: io.BufferedWriter) -> None:
    """Wait until all that was written is on the disk: a full one is met here, not later."""
    file.flush()
    _way("sync", os.fsync, file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename last: on POSIX that is up to the folder's own entry."""
    number = _way("open", os.open, folder, os.O_RDONLY)
    try:
        _way("sync", os.fsync, number)
    finally:
        os.close(number)


def sync_tree(folder: Path) -> None:
    """Wait until all that a folder holds is on the disk."""
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        with reading(path) as file:
            _way("sync", os.fsync, file.fileno())
    for path in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync_folder(path)


def rename(old: Path, new: Path) -> None:
    """Give a file or folder another name; a file there is replaced."""
    _way("rename", os.replace, old, new)


def make_folder(folder: Path) -> None:
    """A folder that must not be there."""
    _way("make folder", os.mkdir, folder)


def make_folders(folder: Path) -> None:
    """A folder, with those above it, where it is not there."""
    _way("make folder", lambda: folder.mkdir(parents=True, exist_ok=True))


def remove(path: Path) -> None:
    """Remove a file, if it is there."""
    _way("remove", lambda: path.unlink(missing_ok=True))


def remove_folder(folder: Path) -> None:
    """Remove an empty folder."""
    _way("remove", os.rmdir, folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all in it as far as that can be done, never through a link."""
    with suppress(OSError):
        _way("remove tree", shutil.rmtree, folder, True)


def copy(old: Path, new: Path) -> None:
    """The bytes of a file as another."""
    with reading(old) as source, writing(new) as target:
        shutil.copyfileobj(source, target, BUFFER)


def let_read(path: Path, mode: int) -> None:
    """Say who may read it."""
    _way("mode", os.chmod, path, mode)


def temporary_folder(parent: Path) -> Path:
    """A new folder, for its owner alone, in another one."""
    return Path(_way("make folder", lambda: tempfile.mkdtemp(prefix=".fedast-", dir=parent)))


def temporary_file(parent: Path) -> Path:
    """A new file, for its owner alone, in a folder."""
    number, name = _way("open", lambda: tempfile.mkstemp(prefix=".fedast-", dir=parent))
    os.close(number)
    return Path(name)


def scratch() -> Path:
    """The system's folder for what nobody has to keep."""
    return Path(tempfile.gettempdir())


def stamp(path: str | Path) -> os.stat_result:
    """What the system knows of a file, of a link what it leads to."""
    return _way("look", os.stat, path)


def real(path: Path) -> Path:
    """The same without links."""
    return Path(os.path.realpath(path))


def is_there(path: Path) -> bool:
    """Whether there is anything of this name, be it a link to nowhere."""
    return _mode(path, os.lstat) is not None


def exists(path: Path) -> bool:
    """Whether there is a file or folder, by links if need be."""
    return _mode(path) is not None


def is_file(path: Path) -> bool:
    """Whether it is a plain file."""
    return stat.S_ISREG(_mode(path) or 0)


def is_folder(path: Path) -> bool:
    """Whether it is a folder."""
    return stat.S_ISDIR(_mode(path) or 0)


def is_link(path: Path) -> bool:
    """Whether it is a symbolic link."""
    return stat.S_ISLNK(_mode(path, os.lstat) or 0)


def is_plain(path: Path) -> bool:
    """Whether it is a file, a folder or nothing: neither a link nor a pipe nor a device."""
    mode = _mode(path, os.lstat)
    return mode is None or stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _mode(path: Path, look: Callable[[Path], os.stat_result] = os.stat) -> int | None:
    """The kind of a file; None where there is none, nor can be one of this name."""
    try:
        return _way("look", look, path).st_mode
    except ValueError:  # a zero character: no file has such a name
        return None
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return None


def entries(folder: Path) -> list[Path]:
    """What is in a folder, by name."""
    return [folder / name for name in sorted(_way("list", os.listdir, folder))]


def find(folder: Path, pattern: str) -> list[Path]:
    """What in a folder has names of a pattern, by name; none where there is no folder."""
    return _way("list", lambda: sorted(folder.glob(pattern)))


def may_write(folder: Path) -> bool:
    """Whether files can be made in a folder."""
    return _way("look", os.access, folder, os.W_OK | os.X_OK)


def room(folder: Path) -> int | None:
    """Free bytes where a folder is; None: the file system does not say."""
    usage = _way("look", shutil.disk_usage, folder)
    return usage.free if usage.total else None


def lock(path: Path) -> FileLock:
    """A lock that is held until ``unlock``, or the process ends; its file is not emptied.

    Raises:
        filelock.Timeout: another process holds it.
        OSError: it cannot be made, or is a link.
    """
    held = FileLock(path, timeout=0, fallback_to_soft=False)
    _way("lock", held.acquire)
    return held


def unlock(held: FileLock) -> None:
    """Let go."""
    _way("unlock", lambda: held.release(force=True))
