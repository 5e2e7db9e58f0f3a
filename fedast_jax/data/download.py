"""Fetch the original files of a data set, and verify every byte of them.

Addresses, sizes and check sums are those that the installed tensorflow-datasets package ships.
"""

from __future__ import annotations

import http.client
import time
import urllib.request
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from ..config import disk
from .errors import DataError
from .paths import download_folder
from .sources import get_entry
from .text_sources import NAME as TEXT
from .text_sources import how_to_get_text

TIMEOUT = 20.0  # seconds without a byte before a download counts as failed
DEADLINE = 3600.0  # seconds that one file may take
BLOCK = 1 << 20

OpenUrl = Callable[[str], IO[bytes]]
Progress = Callable[[str, int, int], None]  # file name, bytes so far, bytes in all


class RemoteFile(NamedTuple):
    """A file to fetch, and how to know that it is the right one."""

    url: str
    num_bytes: int
    sha256: str
    file_name: str


def prepare(
    name: str,
    directory: str | Path | None = None,
    open_url: OpenUrl | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Download the files of a data set to where ``load_dataset`` finds them.

    Files that are there and verified are not fetched again; a file is put in place only when its
    size and SHA-256 are right.

    Args:
        name: a key of ``DATASETS``.
        directory: put them in ``directory/<name>`` instead (then set FEDAST_DATA_DIR to it).
        open_url: how to open an address; by default over the network.
        progress: told how far each file is.
    Returns:
        The files; none for a data set that needs none.
    Raises:
        DataError: unknown name, no network, or files that are not the right ones.
    """
    if name == TEXT:
        raise DataError(f"{name} is not fetched; {how_to_get_text()}")
    if get_entry(name).layout is None:
        return []
    folder = (Path(directory).expanduser() if directory else download_folder()) / name
    files = remote_files(name)
    try:
        return [
            fetch(file, folder / file.file_name, open_url or open_remote, progress or no_progress)
            for file in files
        ]
    except (OSError, http.client.HTTPException) as error:
        raise DataError(
            f"could not fetch {name} ({error}): put {', '.join(file.file_name for file in files)} "
            f"in {folder}, or in a folder {name} of the folder that FEDAST_DATA_DIR names"
        ) from error


def remote_files(name: str) -> list[RemoteFile]:
    """The original files of a data set, as the tensorflow-datasets package lists them."""
    package = Path(str(resources.files("tensorflow_datasets")))
    tables = (("url_checksums", f"{name}.txt"), ("datasets", name, "checksums.tsv"))
    present = [table for parts in tables if disk.is_file(table := package.joinpath(*parts))]
    if not present:
        raise DataError(
            f"the installed tensorflow-datasets does not say where {name} is: "
            f"put {wanted_files(name)} in a folder {name} and set FEDAST_DATA_DIR to its parent"
        )
    lines = disk.read_text(present[0]).splitlines()
    return [parse_line(line) for line in lines if line.strip() and not line.startswith("#")]


def parse_line(line: str) -> RemoteFile:
    """``url <tab> size <tab> sha256 [<tab> file name]``."""
    url, num_bytes, sha256, *rest = line.split("\t")
    file_name = Path(rest[0] if rest else url).name
    return RemoteFile(url, int(num_bytes), sha256, file_name)


def wanted_files(name: str) -> str:
    """The files of a data set in words."""
    layout = get_entry(name).layout
    return layout.wanted if layout else "nothing"


def fetch(remote: RemoteFile, path: Path, open_url: OpenUrl, progress: Progress) -> Path:
    """Bring one file to ``path``, unless it is there already.

    Raises:
        DataError: what came is not the file.
        OSError, http.client.HTTPException: nothing came, or not all of it.
    """
    import pooch  # with its own: only who prepares waits for them

    def download(url: str, file: Any, _: object) -> None:
        disk.remove(Path(file))  # made by pooch for its owner alone
        with open_url(url) as source, disk.writing(Path(file), is_new=True) as target:
            copy(remote, source, target, progress)

    pooch.get_logger().setLevel("WARNING")
    known = f"sha256:{remote.sha256}"
    try:
        pooch.retrieve(remote.url, known, path.name, path.parent, downloader=cast(Any, download))
    except ValueError as error:  # the check sum
        raise DataError(
            f"{remote.url} is not the expected file of {remote.num_bytes:,} bytes with SHA-256 "
            f"{remote.sha256}, and is not kept; try again, or put {remote.file_name} from "
            f"elsewhere in a folder under FEDAST_DATA_DIR"
        ) from error
    progress(remote.file_name, remote.num_bytes, remote.num_bytes)
    return path


def copy(remote: RemoteFile, source: IO[bytes], target: IO[bytes], progress: Progress) -> None:
    """Copy a download, no further than one block beyond its size; TimeoutError if it drags on."""
    stop_time = time.monotonic() + DEADLINE
    while target.tell() <= remote.num_bytes and (block := source.read(BLOCK)):
        target.write(block)
        if target.tell() < remote.num_bytes:  # its end is told when it has been verified
            progress(remote.file_name, target.tell(), remote.num_bytes)
        if time.monotonic() > stop_time:
            raise TimeoutError(f"not done after {DEADLINE:.0f} seconds")


def open_remote(url: str) -> IO[bytes]:
    """Open an address over the network, with a time-out."""
    return urllib.request.urlopen(url, timeout=TIMEOUT)


def no_progress(file_name: str, num_bytes: int, total: int) -> None:
    """Tell nobody."""
