"""Checkpoints on disk: two files, each complete or not there, with a check sum; no pickle."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..config import disk
from ..config.errors import ResumeError
from ..config.npz import read_npz
from ..config.versions import package_version
from ..results.plain import flatten, unflatten

FORMAT = 3  # raise it whenever what a checkpoint holds changes its meaning
PACKAGE = "fedast-jax"
NUM_KEPT = 2
COST_SHARE = 0.02  # of the wall time, at most, unless a checkpoint is wanted after every segment


class Damaged(Exception):
    """A file that is not what was written."""


def _say(message: str) -> None:
    print(message, file=sys.stderr)


class Checkpoints:
    """The last two checkpoints of a run, in a folder of their own."""

    def __init__(self, folder: str | Path, say: Callable[[str], None] = _say) -> None:
        """Name the folder; nothing is touched.

        Args:
            folder: made when the first checkpoint is written.
            say: is told in one line what went wrong without ending the run.
        """
        self.folder, self.say = Path(folder), say
        self._good: list[Path] = []  # written or read by this object, newest last

    @property
    def paths(self) -> list[Path]:
        """The files that are there, oldest first."""
        files = (path for path in disk.find(self.folder, "*.npz") if path.stem.isdecimal())
        return sorted(path for path in files if disk.is_file(path))

    def write(self, content: Any) -> Path:
        """Write a checkpoint and drop all but the newest ``NUM_KEPT`` that are known to be good.

        A process that is killed at any moment leaves the earlier ones as they are.

        Raises:
            OSError: it could not be written, for example because the disk is full.
            TypeError: the content holds what ``plain.flatten`` does not know.
        """
        disk.make_folders(self.folder)
        number = max((int(path.stem) for path in self.paths), default=0) + 1
        path = self.folder / f"{number:08d}.npz"
        temporary = path.with_suffix(".tmp")
        disk.remove(temporary)
        try:
            with disk.writing(
                temporary, is_new=True
            ) as file:  # a link of this name is not followed
                write_file(file, content)
                disk.sync(file)
            disk.rename(temporary, path)
        finally:
            disk.remove(temporary)
        disk.sync_folder(self.folder)
        self._good = [*self._good, path][-NUM_KEPT:]
        for file in [*self.paths, *disk.find(self.folder, "*.tmp")]:
            if file not in self._good:
                disk.remove(file)
        return path

    def newest(self) -> Any | None:
        """The content of the newest checkpoint that is whole; None where there is no file.

        Raises:
            ResumeError: no file is whole, or another version has written the newest that is.
        """
        paths = self.paths
        for path in reversed(paths):
            try:
                with disk.reading(path) as file:
                    content = read_file(file, f"checkpoint {str(path)!r}")
            except (OSError, Damaged) as damage:
                self.say(f"checkpoint {path.name} is damaged ({damage}): trying the one before")
            else:
                self._good = [path]
                return content
        if paths:
            raise ResumeError(
                f"every checkpoint in {str(self.folder)!r} is damaged; start the run again"
            )
        return None


class Keeper:
    """Writes a checkpoint whenever one is due."""

    def __init__(
        self, checkpoints: Checkpoints | None, content: Callable[[], Any], every_seconds: float
    ) -> None:
        """Start the clock.

        Args:
            checkpoints: where to; None: nowhere.
            content: makes the content; its time counts as the checkpoint's.
            every_seconds: 0: after every segment. Else at least so long apart, longer where one
                would cost more than ``COST_SHARE`` of the time.
        """
        self._checkpoints, self._content, self._every = checkpoints, content, every_seconds
        self.seconds = 0.0  # spent on checkpoints
        self._due = time.monotonic() + every_seconds

    def tick(self) -> None:
        """To be called between two segments."""
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Write one now; a failure is told and does not end the run."""
        if self._checkpoints is None:
            return
        start = time.monotonic()
        try:
            self._checkpoints.write(self._content())
        except OSError as error:
            reason = error.strerror or str(error)
            self._checkpoints.say(f"cannot write a checkpoint ({reason}): going on without")
        now = time.monotonic()
        self.seconds += now - start
        self._due = now + (max(self._every, (now - start) / COST_SHARE) if self._every else 0.0)


def write_file(file: Any, content: Any) -> None:
    """Write a content as an NPZ file: the header is JSON in bytes, all else plain arrays."""
    tree, entries = flatten(content)
    text = json.dumps(tree)
    header = {
        "format": FORMAT,
        "package": package_version(PACKAGE),
        "sha256": _digest(text, entries),
    }
    texts = {"header": _bytes(json.dumps(header)), "tree": _bytes(text)}
    np.savez(file, **texts, **entries)  # type: ignore[arg-type]


def read_file(file: Any, name: str) -> Any:
    """The content of a file.

    Args:
        file: open, in binary.
        name: what it is, for messages.
    Raises:
        Damaged: it is not what was written.
        ResumeError: another version of the package or of the format has written it.
    """
    try:
        arrays = read_npz(file)
        header = json.loads(arrays.pop("header").tobytes())
        _check_version(name, header)
        text = arrays.pop("tree").tobytes().decode()
        if _digest(text, arrays) != header["sha256"]:
            raise Damaged("the check sum is wrong")
        return unflatten(json.loads(text), arrays)
    except (ResumeError, Damaged):
        raise
    except Exception as error:  # there is no end to what readers raise on damaged bytes
        raise Damaged("it cannot be read") from error


def _check_version(name: str, header: Mapping[str, Any]) -> None:
    present = package_version(PACKAGE)
    if header["format"] != FORMAT:
        raise ResumeError(
            f"{name} has format {header['format']}, this version reads {FORMAT}; "
            f"resume with {PACKAGE} {header['package']}, which wrote it"
        )
    if header["package"] != present:
        raise ResumeError(
            f"{name} was written by {PACKAGE} {header['package']}, this is {present}"
            f"; resume with the version that wrote it"
        )


def _digest(text: str, entries: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(entries):
        values = entries[name]
        digest.update(f"{name} {values.dtype.str} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)
