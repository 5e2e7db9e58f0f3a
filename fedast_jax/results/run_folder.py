"""What a run leaves on disk: one folder, complete or not there at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from ..cli.job import EXTRAS as EXTRAS
from .figures import allocation_figure
from .output import attempt, reason_of, warn
from .result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cli.work_folder import WorkFolder
    from ..study.study import Study

Files = Mapping[str, Callable[[Path], None]]
"""By its name in the folder: what writes a file."""
Pictures = Sequence[Callable[[], "Mapping[str, Figure | None]"]]
"""What draws some figures, by name; each is tried by itself."""


class OutputError(OSError):
    """The results could not be written where they were wanted; one sentence."""


def default_folder(name: str) -> Path:
    """``runs/NAME-TIMESTAMP``, with a number behind it where that exists."""
    base = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = base, 1
    while folder.exists() or folder.with_name(folder.name + ".partial").exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def check_folder(folder: Path) -> None:
    """Raise OutputError where the folder exists or cannot be made, before anything is computed."""
    if folder.exists() or folder.is_symlink():
        raise OutputError(f"{str(folder)!r} exists already; name another folder with --out")
    check_writable(next(one for one in folder.absolute().parents if one.exists()))


def check_writable(parent: Path) -> None:
    """Raise OutputError where nothing can be made in a folder."""
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write into {str(parent)!r}; name another folder with --out")


def save(
    result: Result, folder: Path, extras: Iterable[str] = (), work: WorkFolder | None = None
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

    files = _result_files(result) | dict(_extra_file(one, result) for one in extras)
    files["manifest.json"] = lambda path: _write_json(result.manifest(), path)
    place(files, folder, work, is_interrupted=result.status == "interrupted")
    draw(
        [lambda: {"accuracy": result.plot()}, lambda: {"allocations": allocation_figure(result)}],
        folder,
    )
    return folder


def save_study(study: Study, folder: Path, work: WorkFolder | None = None) -> Path:
    """Write the folder of a comparison or a sweep; otherwise as ``save``."""

    place(_study_files(study), folder, work, is_interrupted=study.status == "interrupted")
    draw([study.figures], folder)
    return folder


def place(files: Files, folder: Path, work: WorkFolder | None, *, is_interrupted: bool) -> None:
    """As ``save``, for whatever files."""
    try:
        if work is not None and is_interrupted and work.checkpoints.paths:
            work.keep(lambda staging: _write_all(files, staging))
            return
        _write_folder(files, folder)
        if work is not None:
            work.remove()
    except OSError as error:
        reason, rescued = reason_of(error), _rescue(files, folder)
        if rescued is None:
            rescued = "the results are lost, free some space"
            if work is not None and work.checkpoints.paths:
                rescued += f" and let 'fedast resume {folder}' compute the rest again"
        raise OutputError(f"cannot write {str(folder)!r}: {reason}; {rescued}") from error


def _rescue(files: Files, folder: Path) -> str | None:
    """Write what can be written somewhere else; in words, where it is. None: nowhere."""
    lost: list[str] = []
    rescue = Path(tempfile.gettempdir()) / f"{folder.name[:64]}-{os.getpid()}"
    try:
        _write_folder({name: _forgiving(one, lost) for name, one in files.items()}, rescue)
    except OSError:
        return None
    if len(lost) == len(files):
        shutil.rmtree(rescue, ignore_errors=True)
        return None
    without = f", without {', '.join(lost)}" if lost else ""
    return f"the results are in {str(rescue)!r}{without}"


def _forgiving(write: Callable[[Path], None], lost: list[str]) -> Callable[[Path], None]:
    """A file that may be missing in the end; its name is then in the list."""

    def try_to(path: Path) -> None:
        try:
            write(path)
        except OSError:
            path.unlink(missing_ok=True)
            lost.append(path.name)

    return try_to


def _write_folder(files: Files, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".fedast-", dir=folder.parent))
    try:
        staging.chmod(0o755)
        _write_all(files, staging)
        if os.path.lexists(folder):
            raise OutputError(f"{str(folder)!r} appeared during the run")
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_all(files: Files, folder: Path) -> None:
    """Write every file; what fails for any reason but the disk's is told and left out.

    Raises:
        OSError: the disk is full, or the like.
    """
    for name, write in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        try:
            write(folder / name)
        except OSError:
            raise
        except Exception as error:
            (folder / name).unlink(missing_ok=True)
            warn(f"cannot write {name} ({reason_of(error)}): going on without")


def draw(pictures: Pictures, folder: Path) -> None:
    """Draw what can be drawn into a folder that is complete without."""
    shutil.rmtree(folder / "figures", ignore_errors=True)  # those of an earlier interruption
    for make in pictures:
        with attempt(f"draw the figures in {str(folder)!r}"):
            for name, figure in make().items():
                _save_figure(figure, folder / "figures" / f"{name}.png")


def _save_figure(figure: Figure | None, path: Path) -> None:
    if figure is None:
        return
    with attempt(f"draw {path.name}"):
        path.parent.mkdir(exist_ok=True)
        try:
            figure.savefig(path, dpi=150)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _result_files(result: Result) -> dict[str, Callable[[Path], None]]:
    return {
        "config.toml": lambda path: _write_text(result.config.to_toml(), path),
        "evaluations.parquet": lambda path: _write_table(result.evaluations, path),
        "allocations.parquet": lambda path: _write_table(result.allocations(), path),
        "summary.json": lambda path: _write_json(result.summary(), path),
    }


def _study_files(study: Study) -> Files:
    return {
        "config.toml": lambda path: _write_text(tomli_w.dumps(study.table), path),
        **{
            f"configs/{number}-{one.method.replace(':', '-')}.toml": _text_file(one.config.to_toml)
            for number, one in enumerate(study.variants)
        },
        "evaluations.parquet": lambda path: _write_table(study.evaluations, path),
        "allocations.parquet": lambda path: _write_table(study.allocations, path),
        "summary.json": lambda path: _write_json(study.summary(), path),
        "manifest.json": lambda path: _write_json(study.manifest(), path),
    }


def _extra_file(name: str, result: Result) -> tuple[str, Callable[[Path], None]]:
    return {
        "requests": ("requests.parquet", lambda path: _write_table(result.requests(), path)),
        "models": ("models.npz", lambda path: _write_models(result, path)),
        "partition": ("partition.parquet", lambda path: _write_partition(result, path)),
    }[name]


def _text_file(make: Callable[[], str]) -> Callable[[Path], None]:
    return lambda path: _write_text(make(), path)


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def _write_models(result: Result, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **result.models())  # type: ignore[arg-type]


def _write_partition(result: Result, path: Path) -> None:
    writer = None
    for block in result.partition():
        table = _table(block)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _write_table(frame: Any, path: Path) -> None:
    pq.write_table(_table(frame), path)


def _table(frame: Any) -> pa.Table:
    """Without pandas' metadata, so that equal data are equal bytes under every version of it."""
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()


def _write_json(content: dict[str, Any], path: Path) -> None:
    _write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", path)
