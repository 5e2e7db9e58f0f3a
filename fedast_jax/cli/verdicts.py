"""A figure's pictures and verdicts, once its study has been run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from ..config.sheet import Row, Sheet
from ..study.paper.folder import VERDICTS, read_figure, write_figures
from ..study.paper.registry import get_figure
from ..study.paper.words import numbers


def draw_figure(options: Mapping[str, Any], folder: Path, console: Console) -> None:
    """Draw all figures of a study, judge them, and say what and where.

    Args:
        options: ``figure`` and ``scale``, as of a job.
        folder: of the study.
        console: where the table goes.
    """
    experiment = get_figure(options["figure"]).experiment
    paths = write_figures(folder, experiment, options["scale"])
    _show(read_figure(folder).claims, console)
    for path in paths:
        if path.suffix == ".png" or path.name == VERDICTS:
            console.print(str(path), highlight=False, soft_wrap=True, markup=False)


def _show(claims: Any, console: Console) -> None:
    rows = [Row([one["figure"], one["words"], one["verdict"], numbers(one)]) for one in claims]
    words = ["figure", "what the paper says", "verdict", "number (95% interval)"]
    console.print(Sheet("claims", words, [], rows).to_rich())
