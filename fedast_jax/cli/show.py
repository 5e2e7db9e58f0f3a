"""``fedast show``: the table and the figures of runs that have ended, from their folders alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ..results.console import show_costs, show_summary
from ..results.pictures import write_pictures
from ..study.beside import side_by_side
from ..study.recorded import Folder, Recorded, read_folder, showing
from ..study.report import show_tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show(paths: Sequence[Path], out: Path | None, console: Console) -> list[Path]:
    """Print the table of one or several folders and draw their figures.

    Args:
        paths: of a run, a comparison or a sweep each; several are shown side by side.
        out: where the figures go; None: of one folder into its own ``figures``, of several into
            ``runs/shown-TIMESTAMP``.
        console: where the table goes.
    Returns:
        The files.
    Raises:
        RecordError: a folder is not what a run leaves, or they cannot be shown together.
        OSError: the figures cannot be written.
    """
    with showing(paths):
        folders = [read_folder(path) for path in paths]
        figures = _print(folders, console)
        for folder in folders:
            show_costs(folder.manifest, console)
        return write_pictures(figures, out or _place(folders))


def _print(folders: Sequence[Folder], console: Console) -> dict[str, Figure]:
    (first, *others), study = folders, side_by_side(folders)
    if others or first.is_study:
        show_tables(study, console)
        return study.figures()
    (result,) = study.results
    show_summary(result.summary(), console)
    return _figures(result)


def _figures(result: Recorded) -> dict[str, Figure]:
    from ..results.figures import accuracy_figure, allocation_figure

    allocations = allocation_figure(result)
    figures = {"accuracy": accuracy_figure(result)}
    return figures if allocations is None else figures | {"allocations": allocations}


def _place(folders: Sequence[Folder]) -> Path:
    if len(folders) == 1:
        return folders[0].path / "figures"
    return Path("runs") / time.strftime("shown-%Y%m%d-%H%M%S")
