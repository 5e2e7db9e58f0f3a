"""``fedast figure``: the paper's figures, run where they are not there yet, drawn and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from ..config import disk
from ..config.errors import ConfigError
from ..config.grid import parse_value
from ..config.sheet import Row, Sheet
from ..study.paper.experiments import EXPERIMENTS
from ..study.paper.folder import check_same, check_scale
from ..study.paper.page import PAGE, write_page
from ..study.paper.quadratic import use_quadratic
from ..study.paper.rates import predicted
from ..study.paper.registry import FIGURES, get_figure
from ..study.variants import make_variants
from .finish import begin
from .job import Job
from .verdicts import draw_figure

PLACE = Path("runs") / "paper"


def figure(name: str, scale: str, seeds: str | None, out: Path | None) -> None:
    """Run a figure's study unless its folder is there; draw all figures of it and judge them."""
    use_quadratic()
    experiment = get_figure(name).experiment
    table = experiment.table(check_scale(scale))
    label = f"{experiment.name}-{scale}"
    if seeds is not None:
        table["num_seeds"] = _parsed(seeds)
        label += f"-{seeds}seeds"
    configs = [variant.config for variant in make_variants(table)]
    folder = out or PLACE / label
    if disk.exists(folder):
        check_same(folder, table)
        draw_figure({"figure": name, "scale": scale}, folder, Console())
        return
    options = {"save": list(experiment.save), "figure": name, "scale": scale}
    begin(Job("figure", configs, options, table), folder, None)


def list_figures(scale: str, console: Console) -> None:
    """Every figure with what the paper says of it and the time it would take here."""
    use_quadratic()
    check_scale(scale)
    times = {one.name: predicted(one, scale) for one in EXPERIMENTS}
    rows = [
        Row([one.id, one.shows, one.says, times[one.experiment.name]]) for one in FIGURES.values()
    ]
    words = ["id", "shows", "the paper says", f"{scale}"]
    caption = (
        "Time: of training, at the rate of a short measurement on this machine, without compiling "
        "and tests; until the time limit, or until targets are guessed to be met."
    )
    console.print(Sheet("figures of the paper", words, [], rows, caption).to_rich())


def page(folders: list[Path], out: Path | None) -> None:
    """Write the page of some figures."""
    print(write_page(folders, out or PAGE))


def _parsed(seeds: str) -> Any:
    try:
        return parse_value(seeds)
    except ValueError as error:
        raise ConfigError(f"--seeds: {error}") from None
