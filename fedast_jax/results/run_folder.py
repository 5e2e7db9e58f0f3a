"""What a run leaves on disk: one folder, complete or not there at all."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..config import disk
from ..config.errors import OutputError
from .checksums import CHECKSUMS, write_checksums
from .figures import allocation_figure
from .output import attempt, reason_of, warn
from .pictures import write_pictures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Files = Mapping[str, Callable[[Path], None]]
"""By its name in the folder: what writes a file."""
Pictures = Sequence[Callable[[], "Mapping[str, Figure | None]"]]
"""What draws some figures, by name; each is tried by itself."""


class Written(Protocol):
    """What a run folder is written from: ``Result``."""

    @property
    def config(self) -> Any:
        """What was run."""
        ...

    @property
    def status(self) -> str:
        """``"finished"`` or ``"interrupted"``."""
        ...

    @property
    def evaluations(self) -> Any:
        """One row per test."""
        ...

    @property
    def lanes(self) -> Any:
        """One row per replicate and task."""
        ...

    def allocations(self) -> Any:
        """R_m and b_m whenever they changed."""
        ...

    def requests(self) -> Any:
        """One row per request."""
        ...

    def partition(self) -> Iterable[Any]:
        """Who holds which sample."""
        ...

    def models(self) -> Mapping[str, np.ndarray]:
        """Every leaf by its name."""
        ...

    def summary(self) -> dict[str, Any]:
        """Means and spreads over the seeds."""
        ...

    def manifest(self) -> dict[str, Any]:
        """What the run was made with and what it cost."""
        ...

    def plot(self) -> Figure:
        """Accuracy over simulated time."""
        ...


class Work(Protocol):
    """Where a run in progress keeps its checkpoints."""

    @property
    def has_checkpoints(self) -> bool:
        """Whether there are any."""
        ...

    def keep(self, write: Callable[[Path], None]) -> None:
        """Let results be written beside them; the run is interrupted."""
        ...

    def finish(self, write: Callable[[Path], None]) -> None:
        """Let results be written in place of them; the run has ended."""
        ...


def default_folder(name: str) -> Path:
    """``runs/NAME-TIMESTAMP``, with a number behind it where that exists."""
    base = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = base, 1
    while disk.exists(folder) or disk.exists(folder.with_name(folder.name + ".partial")):
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def check_folder(folder: Path) -> None:
    """Raise OutputError where the folder exists or cannot be made, before anything is computed."""
    if disk.is_there(folder):
        raise OutputError(f"{str(folder)!r} exists already; name another folder with --out")
    check_writable(next(parent for parent in folder.absolute().parents if disk.exists(parent)))


def check_writable(parent: Path) -> None:
    """Raise OutputError where nothing can be made in a folder."""
    if not disk.is_folder(parent) or not disk.may_write(parent):
        raise OutputError(f"cannot write into {str(parent)!r}; name another folder with --out")


def save(
    result: Written, folder: Path, extras: Iterable[str] = (), work: Work | None = None
) -> Path:
    """Write the run folder; where that fails, into the system's temporary directory.

    The data come first, and the folder is complete with them; a figure that cannot be drawn then
    is a warning.

    Args:
        result: what was measured.
        folder: must not exist.
        extras: of ``EXTRAS``, tables beyond the usual ones.
        work: where the run has kept its checkpoints; they go with the results of an interrupted
            run, else they are removed.
    Returns:
        The folder.
    Raises:
        OutputError: the folder could not be written; the message says where the results are.
    """

    files = _result_files(result) | dict(_extra_file(extra, result) for extra in extras)
    files["manifest.json"] = lambda path: write_json(result.manifest(), path)
    place(files, folder, work, is_interrupted=result.status == "interrupted")
    draw(
        [lambda: {"accuracy": result.plot()}, lambda: {"allocations": allocation_figure(result)}],
        folder,
    )
    return folder


def place(files: Files, folder: Path, work: Work | None, *, is_interrupted: bool) -> None:
    """As ``save``, for whatever files; their sums come last."""
    summed = {**files, CHECKSUMS: write_checksums}
    try:
        if work is None:
            _write_folder(summed, folder)
        elif is_interrupted and work.has_checkpoints:
            work.keep(lambda staging: _write_all(summed, staging))
        else:
            work.finish(lambda staging: _write_all(summed, staging))
    except OSError as error:
        reason, rescued = reason_of(error), _rescue(summed, folder)
        if rescued is None:
            rescued = "the results are lost, free some space"
            if work is not None and work.has_checkpoints:
                rescued += f" and let 'fedast resume {folder}' compute the rest again"
        raise OutputError(f"cannot write {str(folder)!r}: {reason}; {rescued}") from error


def _rescue(files: Files, folder: Path) -> str | None:
    """Write what can be written somewhere else; in words, where it is. None: nowhere."""
    lost: list[str] = []
    rescue = disk.scratch() / f"{folder.name[:64]}-{os.getpid()}"
    try:
        _write_folder({name: _forgiving(write, lost) for name, write in files.items()}, rescue)
    except OSError:
        return None
    if {*lost, CHECKSUMS} >= {Path(name).name for name in files}:
        disk.remove_tree(rescue)
        return None
    without = f", without {', '.join(lost)}" if lost else ""
    return f"the results are in {str(rescue)!r}{without}"


def _forgiving(write: Callable[[Path], None], lost: list[str]) -> Callable[[Path], None]:
    """A file that may be missing in the end; its name is then in the list."""

    def try_to(path: Path) -> None:
        try:
            write(path)
        except OSError:
            disk.remove(path)
            lost.append(path.name)

    return try_to


def _write_folder(files: Files, folder: Path) -> None:
    disk.make_folders(folder.parent)
    staging = disk.temporary_folder(folder.parent)
    try:
        disk.let_read(staging, 0o755)
        _write_all(files, staging)
        if disk.is_there(folder):
            raise OutputError(f"{str(folder)!r} appeared during the run")
        disk.rename(staging, folder)
    finally:
        disk.remove_tree(staging)


def _write_all(files: Files, folder: Path) -> None:
    """Write every file; what fails for any reason but the disk's is told and left out.

    Raises:
        OSError: the disk is full, or the like.
    """
    for name, write in files.items():
        disk.make_folders((folder / name).parent)
        try:
            write(folder / name)
        except OSError:
            raise
        except Exception as error:
            disk.remove(folder / name)
            warn(f"cannot write {name} ({reason_of(error)}): going on without")


def draw(pictures: Pictures, folder: Path) -> None:
    """Draw what can be drawn into a folder that is complete without."""
    disk.remove_tree(folder / "figures")  # those of an earlier interruption
    for make in pictures:
        with attempt(f"draw the figures in {str(folder)!r}"):
            for name, figure in make().items():
                with attempt(f"draw {name}"):
                    write_pictures({name: figure}, folder / "figures")


def _result_files(result: Written) -> dict[str, Callable[[Path], None]]:
    return {
        "config.toml": lambda path: write_text(result.config.to_toml(), path),
        "evaluations.parquet": lambda path: write_table(result.evaluations, path),
        "allocations.parquet": lambda path: write_table(result.allocations(), path),
        "lanes.parquet": lambda path: write_table(result.lanes, path),
        "summary.json": lambda path: write_json(result.summary(), path),
    }


def _extra_file(name: str, result: Written) -> tuple[str, Callable[[Path], None]]:
    return {
        "requests": ("requests.parquet", lambda path: write_table(result.requests(), path)),
        "models": ("models.npz", lambda path: write_models(result.models(), path)),
        "partition": ("partition.parquet", lambda path: write_blocks(result.partition(), path)),
    }[name]


def write_text(text: str, path: Path) -> None:
    """In UTF-8."""
    disk.write_text(text, path)


def write_models(leaves: Mapping[str, np.ndarray], path: Path) -> None:
    """Every leaf under its name, as NPZ."""
    with disk.writing(path) as file:
        np.savez(file, **leaves)  # type: ignore[arg-type]


def write_blocks(blocks: Iterable[Any], path: Path) -> None:
    """Write tables of the same columns one after the other, without holding them all."""
    with disk.writing(path) as file:
        writer = None
        for block in blocks:
            table = as_table(block)
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)
        if writer:
            writer.close()


def write_table(frame: Any, path: Path) -> None:
    """A table as Parquet."""
    with disk.writing(path) as file:
        pq.write_table(as_table(frame), file)


def as_table(frame: Any) -> pa.Table:
    """Without pandas' metadata, so that equal data are equal bytes under every version of it."""
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Numbers that are no number are refused."""
    write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", path)
