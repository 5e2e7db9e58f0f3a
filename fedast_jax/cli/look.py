"""``fedast report`` and ``fedast trace``: a look inside runs that have ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of runs.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file.")] = None,
    force: Force = False,
) -> None:
    """Write finished runs as one HTML page that opens anywhere; several side by side."""
    from ..views.report import write_report

    print(write_report(folders, out, force=force))
