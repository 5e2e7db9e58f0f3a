"""Figures as files."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

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
            _write(figure, paths[-1], METADATA[suffix], dpi)
    add_checksums(folder.parent, paths)
    return paths


def _write(figure: Figure, path: Path, metadata: Mapping[str, None], dpi: int) -> None:
    """A file that is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(path, dpi=dpi, metadata=dict(metadata))
    except BaseException:
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()  # unless another one is in it
        raise
