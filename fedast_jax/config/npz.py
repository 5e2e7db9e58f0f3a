"""NPZ files read with care: no pickle, and no more memory than the file has bytes."""

from __future__ import annotations

import io
import math
import zipfile
from typing import IO

import numpy as np
from numpy.lib import format as npy

HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(file: IO[bytes]) -> dict[str, np.ndarray]:
    """Every array of a file that ``np.savez`` wrote.

    Raises:
        Exception: of whatever kind; there is no end to what damaged bytes raise. A file that would
            take more memory than it has bytes is among them: a packed one, or one whose entries
            lie over each other or claim more than they have.
    """
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        is_packed = any(one.compress_type != zipfile.ZIP_STORED for one in members)
        if is_packed or sum(one.file_size for one in members) > file.seek(0, io.SEEK_END):
            raise ValueError("its arrays are packed, or lie over each other")
        return {one.filename.removesuffix(".npy"): _read(archive, one) for one in members}


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as stream:
        shape, _, dtype = HEADERS[npy.read_magic(stream)](stream)
        claimed = math.prod(shape) * dtype.itemsize
        if (
            dtype.hasobject
            or min(shape, default=0) < 0
            or stream.tell() + claimed != member.file_size
        ):
            raise ValueError(f"the array {member.filename!r} is not what its head says")
    with archive.open(member) as stream:
        return npy.read_array(stream, allow_pickle=False)
