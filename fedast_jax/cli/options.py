"""Options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..results.extras import EXTRAS


def _import(modules: list[str] | None) -> list[str]:
    """Let modules register what they have."""
    from ..config.plugins import import_modules

    import_modules(modules or [])
    return list(modules or [])


ConfigPath = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A TOML file, or the name of a shipped one.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")
]
Seeds = Annotated[  # a text: the configuration says what a wrong one must be
    str | None, typer.Option(metavar="NUMBER", help="Number of seeds (replicates).")
]
Devices = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Devices that share every batch.")
]
Out = Annotated[Path | None, typer.Option(help="Folder for the results.")]
Coordinator = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Of a run in several processes: where process 0 is."),
]
NumProcesses = Annotated[int | None, typer.Option(help="How many processes.")]
ProcessId = Annotated[int | None, typer.Option(help="Which of them this is, from 0.")]
Ray = Annotated[
    str | None,
    typer.Option(metavar="auto|local|HOST:PORT", help="On a Ray cluster; auto: RAY_ADDRESS."),
]
RayCpus = Annotated[float, typer.Option(help="CPUs for each block of replicates.")]
RayGpus = Annotated[float, typer.Option(help="GPUs for each block of replicates.")]
RayPatience = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS", help="Without a sign of a block, until another worker gets it."
    ),
]
Extras = Annotated[str, typer.Option("--save", help=f"More tables, of {','.join(EXTRAS)}.")]
Imports = Annotated[  # done while the options are read, so before the configuration is
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Import a module that registers own tasks, methods or delays first.",
        callback=_import,
        is_eager=True,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
