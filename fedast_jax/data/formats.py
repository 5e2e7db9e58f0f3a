"""Bytes of the classical file formats -> arrays: IDX (MNIST) and the CIFAR binary records.

Sources:
    IDX: "The MNIST database of handwritten digits", LeCun, Cortes, Burges, section "File formats".
    CIFAR: "The CIFAR-10 and CIFAR-100 datasets", Krizhevsky, section "Binary version".
"""

from __future__ import annotations

import gzip
import io
import lzma
import math
import tarfile
import zlib
from collections.abc import Collection
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from ..config import disk
from .dataset import check_labels
from .errors import DataError

BLOCK = 1 << 24  # bytes decompressed at a time
MAX_BLOCKS = 64  # more than any file of these formats holds; stops decompression bombs
IDX_UBYTE = 0x08  # the type code of unsigned bytes
CIFAR_SHAPE = (3, 32, 32)  # the planes red, green, blue, each by rows
CIFAR_PIXELS = math.prod(CIFAR_SHAPE)
UNPACKERS = {".gz": lambda file: gzip.GzipFile(fileobj=file), ".xz": lzma.LZMAFile}
READ_ERRORS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, tarfile.TarError)


def read_file(path: Path) -> bytes:
    """The contents of a file, decompressed where its name ends in ``.gz`` or ``.xz``.

    Raises:
        DataError: it cannot be read, is cut short, or is damaged.
    """
    try:
        with disk.reading(path) as file, _unpacked(file, path.suffix) as stream:
            blocks = list(islice(iter(partial(stream.read, BLOCK), b""), MAX_BLOCKS + 1))
    except READ_ERRORS as error:
        raise unreadable(path, error) from error
    if len(blocks) > MAX_BLOCKS:
        raise DataError(f"{path} holds over {MAX_BLOCKS * BLOCK:,} bytes: it is no such data set")
    return b"".join(blocks)


def _unpacked(file: IO[bytes], suffix: str) -> IO[bytes]:
    """Its bytes, decompressed where the ending says so."""
    return UNPACKERS[suffix](file) if suffix in UNPACKERS else file  # type: ignore[return-value]


def read_tar(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """The wanted files of an archive ``.tar[.gz|.xz]``, by their names without folders.

    Nothing is unpacked to disk.

    Raises:
        DataError: the archive is damaged, or lacks one of the files.
    """
    unpacked = io.BytesIO(read_file(path))  # to its end: the check sum comes last
    try:
        with tarfile.open(fileobj=unpacked, mode="r:") as archive:
            contents = {
                Path(member.name).name: member_bytes(archive, member)
                for member in archive
                if member.isreg() and Path(member.name).name in wanted
            }
    except READ_ERRORS as error:
        raise unreadable(path, error) from error
    missing = sorted(set(wanted) - set(contents))
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}: fetch the binary version again")
    return contents


def member_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """The contents of one regular file of an archive."""
    stream = archive.extractfile(member)
    if stream is None or member.size > MAX_BLOCKS * BLOCK:
        raise tarfile.ReadError(f"member {member.name!r} of {member.size:,} bytes")
    data = stream.read()
    if len(data) != member.size:
        raise tarfile.ReadError(f"member {member.name!r} is cut short")
    return data


def unreadable(path: Path, error: BaseException) -> DataError:
    """The error for a file whose bytes cannot be had."""
    reason = str(error) or type(error).__name__
    return DataError(f"cannot read {path} ({reason}): check it, or fetch the file again")


def parse_idx(data: bytes, num_dims: int, where: str) -> np.ndarray:
    """Parse an IDX file of unsigned bytes.

    Args:
        data: the file: two zero bytes, the type code, the number of dimensions, each dimension
            as a big-endian 32-bit integer, then the values in row-major order.
        num_dims: the dimensions expected: 3 for images, 1 for labels.
        where: what to call the file in messages.
    Returns:
        ``uint8`` with ``num_dims`` dimensions (read-only).
    Raises:
        DataError: wrong magic number, or a length other than the header announces.
    """
    magic = bytes([0, 0, IDX_UBYTE, num_dims])
    if data[:4] != magic:
        raise DataError(
            f"{where} is not an IDX file of {num_dims}-dimensional bytes: "
            f"expected it to start with {magic.hex()}, found {data[:4].hex() or 'nothing'}"
        )
    header = 4 + 4 * num_dims
    if len(data) < header:
        raise DataError(f"{where} ends in its header: expected {header} bytes, found {len(data)}")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", num_dims, offset=4))
    expected = header + math.prod(shape)
    if len(data) != expected:
        raise DataError(
            f"{where} has the wrong length: its header {shape} needs {expected:,} bytes, "
            f"found {len(data):,}"
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def parse_cifar(
    data: bytes, num_label_bytes: int, num_classes: int, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Parse CIFAR binary records.

    Args:
        data: records of ``num_label_bytes`` labels and 3,072 pixels (planes red, green, blue).
        num_label_bytes: 1 for CIFAR-10; 2 for CIFAR-100 (coarse, fine: the last one counts).
        num_classes: labels must be below it.
        where: what to call the file in messages.
    Returns:
        Images ``uint8[n, 32, 32, 3]`` and labels ``int32[n]``.
    Raises:
        DataError: no whole number of records, none at all, or a label out of range.
    """
    record = num_label_bytes + CIFAR_PIXELS
    if len(data) == 0 or len(data) % record:
        raise DataError(
            f"{where} has the wrong length: expected one or more records of {record} bytes, "
            f"found {len(data):,} bytes ({len(data) % record} too many)"
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    labels = records[:, num_label_bytes - 1].astype(np.int32)
    check_labels(labels, num_classes, f"file {where}")
    planes = records[:, num_label_bytes:].reshape(-1, *CIFAR_SHAPE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
