"""Decoded data sets on disk, keyed by the content of the files they were decoded from.

The cache only ever saves time: a damaged entry is made again, and where nothing can be written
the data set is decoded each time.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from ..config import disk
from ..config.npz import read_npz
from .dataset import Splits
from .errors import DataError
from .paths import cache_folder

FORMAT_VERSION = 1  # to be raised whenever the decoding or the entries change


def cached(name: str, files: Iterable[Path], decode: Callable[[], Splits]) -> Splits:
    """The arrays of a data set: from the cache, or else decoded and put there.

    Args:
        name: of the data set; part of the key.
        files: everything that ``decode`` reads; their content is the rest of the key.
        decode: makes the arrays.
    Raises:
        DataError: a file cannot be read, or ``decode`` raises it.
    """
    folder = cache_folder()
    entry = folder / f"{name.replace('/', '-')}-{content_key(name, files)}.npz"
    splits = read_entry(entry)
    if splits is None:
        splits = decode()
        write_entry(entry, splits)
    return splits


def content_key(name: str, files: Iterable[Path]) -> str:
    """SHA-256 (its first 128 bits, in hex) over the version, the name and each file's bytes."""
    key = hashlib.sha256(f"{FORMAT_VERSION} {name}".encode())
    for path in files:
        key.update(file_sha256(path))
    return key.hexdigest()[:32]


def file_sha256(path: Path) -> bytes:
    """SHA-256 of a file as it is on disk."""
    try:
        with disk.reading(path) as stream:
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): check its permissions") from error


def read_entry(entry: Path) -> Splits | None:
    """The arrays of an entry; None if it is not there or damaged (zip keeps check sums)."""
    try:
        with disk.reading(entry) as stream:
            return Splits(**read_npz(stream))
    except Exception:  # damaged bytes can raise nearly anything here, and all of it means the same
        return None


def write_entry(entry: Path, splits: Splits) -> None:
    """Write an entry, all or nothing; where that fails, warn once and go on."""
    try:
        with atomic_write(entry) as stream:
            np.savez(stream, **splits._asdict())
    except OSError as error:
        warn_once(str(entry.parent), error.strerror or str(error))


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A stream whose bytes become the file ``path`` when the block ends without an error.

    Readers see the old file or the new one, never a part; a failure leaves nothing behind.
    """
    disk.make_folders(path.parent)
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with disk.writing(part, is_new=True) as stream:
            yield stream
        disk.rename(part, path)
    except BaseException:
        disk.remove(part)
        raise


@functools.cache
def warn_once(folder: str, reason: str) -> None:
    """Say, once for each folder and reason, that nothing can be cached."""
    warnings.warn(
        f"cannot keep decoded data in {folder} ({reason}): loading goes on, but decodes again "
        "every time; set FEDAST_CACHE_DIR to a folder with room that can be written",
        stacklevel=2,
    )
