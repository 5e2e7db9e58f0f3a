"""``fedast verify``: a finished folder checked."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Imports

if TYPE_CHECKING:
    from ..study.audit.findings import Audit

WRONG = 4  # exit code


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a finished run.")],
    deep: Annotated[
        bool, typer.Option("--deep", help="Train every request anew, not only a sample.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Draws the sample.")] = 0,
    imports: Imports = None,
) -> None:
    """Check a finished folder: sums, every event, models, tests and summaries."""
    from ..study.audit.verify import verify as check

    audit = check(folder, deep=deep, seed=seed)
    _show(audit)
    if not audit.is_sound:
        print(f"error: {folder} is not as its run left it", file=sys.stderr)
        raise typer.Exit(WRONG)


def _show(audit: Audit) -> None:
    parts = {
        "checked": audit.checked,
        "not checked": audit.unchecked,
        "WRONG": audit.differences,
    }
    for word, sentences in parts.items():
        for sentence in sentences:
            print(f"{word}: {sentence}")
