"""Figures as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METADATA = {
    "png": {},
    "pdf": {"CreationDate": None},
}  # of each format: the same picture, same bytes


def write_pictures(figures: Mapping[str, Figure | None], folder: Path) -> list[Path]:
    """Write each figure as PNG, to look at, and as PDF, to print; what is None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        for suffix in METADATA if figure is not None else ():
            assert figure is not None
            paths.append(folder / f"{name}.{suffix}")
            figure.savefig(paths[-1], dpi=150, metadata=METADATA[suffix])
    return paths
