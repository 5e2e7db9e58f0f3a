"""``fedast show``, ``report`` and ``trace``: a look inside runs that have ended."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

Force = Annotated[bool, typer.Option("--force", help="Replace a file that is there.")]


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of runs.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file.")] = None,
    force: Force = False,
) -> None:
    """Write finished runs as one HTML page that opens anywhere; several side by side."""
    from ..views.report import write_report

    print(write_report(folders, out, force=force))


def trace(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with saved requests.")],
    out: Annotated[
        Path | None, typer.Option(help="The file; .gz: compressed. Default: DIR/trace.json.")
    ] = None,
    replicate: Annotated[int, typer.Option(metavar="NUMBER", help="Which seed, from 0.")] = 0,
    clients: Annotated[
        str | None, typer.Option(metavar="0-19,40", help="Only these clients.")
    ] = None,
    start: Annotated[
        float | None, typer.Option("--from", metavar="TIME", help="Simulated time.")
    ] = None,
    stop: Annotated[
        float | None, typer.Option("--to", metavar="TIME", help="Simulated time.")
    ] = None,
    gantt: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw a picture instead, as PNG and as PDF."),
    ] = None,
    force: Force = False,
) -> None:
    """Write the simulated timeline of one seed, to be opened in https://ui.perfetto.dev."""
    from ..config.errors import ConfigError
    from ..results.output import warn
    from ..views.trace import write_gantt, write_trace

    if gantt is not None and out is not None:
        raise ConfigError("--gantt and --out are two files for two things; leave one out")
    wanted = {"replicate": replicate, "clients": clients, "start": start, "stop": stop}
    if gantt is not None:
        written = write_gantt(folder, gantt, **wanted, force=force)
    else:
        written = write_trace(folder, out, **wanted, force=force)
    for path in written.paths:
        print(path)
    if written.note:
        warn(written.note)


def show(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of runs.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the figures.")] = None,
) -> None:
    """Print the table and draw the figures of finished runs again; several side by side."""
    from .show import show as show_folders

    console = Console()
    for path in show_folders(folders, out, console):
        console.print(str(path), highlight=False, soft_wrap=True, markup=False)
