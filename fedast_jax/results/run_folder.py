"""What a run leaves on disk: one folder, complete or not there at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tomli_w

from .figures import allocation_figure
from .result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cli.work_folder import WorkFolder
    from ..study.study import Study

EXTRAS = ("requests", "models", "partition")


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
    parent = next(one for one in folder.absolute().parents if one.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write into {str(parent)!r}; name another folder with --out")


def save(
    result: Result, folder: Path, extras: Iterable[str] = (), work: WorkFolder | None = None
) -> Path:
    """Write the run folder; where that fails, into the system's temporary directory.

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

    def write(staging: Path) -> None:
        _write_files(result, staging)
        for extra in extras:
            _WRITERS[extra](result, staging)
        _write_json(result.manifest(), staging / "manifest.json")

    return place(write, folder, work, is_interrupted=result.status == "interrupted")


def save_study(study: Study, folder: Path, work: WorkFolder | None = None) -> Path:
    """Write the folder of a comparison or a sweep; otherwise as ``save``."""

    def write(staging: Path) -> None:
        _write_study(study, staging)

    return place(write, folder, work, is_interrupted=study.status == "interrupted")


def place(
    write: Callable[[Path], None], folder: Path, work: WorkFolder | None, *, is_interrupted: bool
) -> Path:
    """As ``save``, whatever it is that ``write`` puts into a folder."""
    try:
        if work is not None and is_interrupted and work.checkpoints.paths:
            work.keep(write)
            return folder
        _write_folder(write, folder)
        if work is not None:
            work.remove()
        return folder
    except OSError as error:
        reason = error.strerror or str(error)
        rescue = Path(tempfile.gettempdir()) / f"{folder.name}-{os.getpid()}"
        try:
            _write_folder(write, rescue)
        except OSError:
            raise OutputError(
                f"cannot write {str(folder)!r}: {reason}; the results are lost, free some space"
            ) from error
        raise OutputError(
            f"cannot write {str(folder)!r}: {reason}; the results are in {str(rescue)!r}"
        ) from error


def _write_folder(write: Callable[[Path], None], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        staging.chmod(0o755)
        write(staging)
        if folder.exists():
            raise OutputError(f"{str(folder)!r} appeared during the run")
        staging.rename(folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _write_files(result: Result, folder: Path) -> None:
    (folder / "config.toml").write_text(result.config.to_toml())
    pq.write_table(_table(result.evaluations), folder / "evaluations.parquet")
    pq.write_table(_table(result.allocations()), folder / "allocations.parquet")
    _write_json(result.summary(), folder / "summary.json")
    _write_figures({"accuracy": result.plot(), "allocations": allocation_figure(result)}, folder)


def _write_study(study: Study, folder: Path) -> None:
    (folder / "config.toml").write_text(tomli_w.dumps(study.table))
    (folder / "configs").mkdir()
    for number, variant in enumerate(study.variants):
        name = f"{number}-{variant.method.replace(':', '-')}.toml"
        (folder / "configs" / name).write_text(variant.config.to_toml())
    pq.write_table(_table(study.evaluations), folder / "evaluations.parquet")
    pq.write_table(_table(study.allocations), folder / "allocations.parquet")
    _write_json(study.summary(), folder / "summary.json")
    _write_figures(study.figures(), folder)
    _write_json(study.manifest(), folder / "manifest.json")


def _write_figures(figures: Mapping[str, Figure | None], folder: Path) -> None:
    (folder / "figures").mkdir()
    for name, figure in figures.items():
        if figure is not None:
            figure.savefig(folder / "figures" / f"{name}.png", dpi=150)


def _write_requests(result: Result, folder: Path) -> None:
    pq.write_table(_table(result.requests()), folder / "requests.parquet")


def _write_models(result: Result, folder: Path) -> None:
    np.savez(folder / "models.npz", **result.models())  # type: ignore[arg-type]


def _write_partition(result: Result, folder: Path) -> None:
    writer = None
    for block in result.partition():
        table = _table(block)
        writer = writer or pq.ParquetWriter(folder / "partition.parquet", table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def _table(frame: Any) -> pa.Table:
    """Without pandas' metadata, so that equal data are equal bytes under every version of it."""
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()


def _write_json(content: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


_WRITERS = {
    "requests": _write_requests,
    "models": _write_models,
    "partition": _write_partition,
}
