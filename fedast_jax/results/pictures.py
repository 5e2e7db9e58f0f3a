"""Figures as files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import disk
from .checksums import add_checksums

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METADATA = {
    "png": {},
    "pdf": {"CreationDate": None},
}  # of each format: the same picture, same bytes


def write_pictures(
    figures: Mapping[str, Figure | None], folder: Path, dpi: int = 150
) -> list[Path]:
    """Write each figure as PNG, to look at, and as PDF, to print; what is None is left out.

    Those of a folder inside that of a finished run get their sums there.
    """
    paths = []
    for name, figure in figures.items():
        for suffix in METADATA if figure is not None else ():
            assert figure is not None
            paths.append(folder / f"{name}.{suffix}")
            _write(figure, paths[-1], suffix, dpi)
    try:
        add_checksums(folder.parent, paths)
    except OSError:
        for path in paths:  # with sums or not at all
            _remove(path)
        raise
    return paths


def write_picture(figure: Figure, path: Path, kind: str, dpi: int = 150) -> None:
    """A figure as one file of a kind of ``METADATA``."""
    with disk.writing(path) as file:
        figure.savefig(file, format=kind, dpi=dpi, metadata=dict(METADATA[kind]))


def _write(figure: Figure, path: Path, kind: str, dpi: int) -> None:
    """A file that is whole or not there."""
    disk.make_folders(path.parent)
    try:
        write_picture(figure, path, kind, dpi)
    except BaseException:
        _remove(path)
        raise


def _remove(path: Path) -> None:
    """And its folder, unless another file is in it."""
    disk.remove(path)
    with suppress(OSError):
        disk.remove_folder(path.parent)
