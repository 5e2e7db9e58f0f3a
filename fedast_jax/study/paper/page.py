"""``fedast figure page``: one page that says of each figure what came out, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ...config import disk
from ...config.errors import OutputError, RecordError
from ...results.run_folder import check_writable
from ...results.summary import spread
from .folder import FigureFolder, read_figure
from .measures import task_time
from .notes import NOTES
from .rates import in_words
from .registry import FIGURES, PUBLISHED
from .scales import SCALES
from .words import numbers

PAGE = Path("docs") / "reproduction.md"
MARK = "<!-- made by 'fedast figure page' from the folders of figures: change nothing here -->"
HEAD = """# The paper's figures, run again

Every figure is one command, `fedast figure ID --scale smoke|laptop|paper`; this page is made from
what they leave by `fedast figure page DIR...`. *smoke* is the same experiment on scikit-learn's
digits and shows that everything runs; what it says of the paper is little. *laptop* is real data,
reduced where two cores would take hours (what was changed stands at each figure). *paper* has the
paper's settings. Times are simulated, as in the paper, where nothing else is said.

A claim *holds* where the whole 95% interval (bootstrap over paired seeds) lies where the paper
says, *does not hold* where none of it does, and else the seeds *cannot tell*: then the number of
seeds stands there that would, from the spread seen. The interval of three seeds is about their
range, so a verdict of three seeds is a weak one. The paper's own numbers are asked for at its own
settings alone.
"""


def write_page(folders: Sequence[Path], out: Path) -> Path:
    """Write the page, and beside it a folder with the pictures and small tables.

    Raises:
        RecordError: a folder is not that of a figure.
        OutputError: the page cannot be written, or is something else.
    """
    if not folders:
        raise RecordError("name the folders of figures: fedast figure page runs/paper/*")
    check_page(out)
    found = sorted((read_figure(path) for path in folders), key=_place)
    _check_different(found)
    parts = [MARK, HEAD, _overview(found), *(_section(one, out) for one in found)]
    disk.make_folders(out.parent)
    for one in found:
        _copy(one, _assets(out) / one.content.study.name)
    disk.write_text("\n\n".join(part.strip() for part in parts) + "\n", out)
    return out


def check_page(out: Path) -> None:
    """Raise OutputError where a page would take the place of something else."""
    if disk.is_folder(out):
        raise OutputError(f"{str(out)!r} is a folder; name the page's file with --out")
    if disk.exists(out) and not disk.read_bytes(out, len(MARK.encode())).startswith(MARK.encode()):
        raise OutputError(f"{str(out)!r} exists and is no such page; name another file with --out")
    check_writable(next(parent for parent in out.absolute().parents if disk.exists(parent)))


def _check_different(found: Sequence[FigureFolder]) -> None:
    names = [one.content.study.name for one in found]
    for one, name in zip(found, names, strict=True):
        if names.count(name) > 1:
            raise RecordError(f"{name!r} is there twice ({str(one.path)!r}); leave one out")


def _place(one: FigureFolder) -> tuple[int, int]:
    """Figures in the paper's order, of one figure the smallest scale first."""
    return list(FIGURES).index(one.experiment.figures[0]), SCALES.index(one.scale)


def _assets(out: Path) -> Path:
    return out.with_suffix("")


def _copy(one: FigureFolder, folder: Path) -> None:
    """The pictures, the claims, and how each seed's tasks ended."""
    disk.make_folders(folder)
    for name in one.experiment.figures:
        disk.copy(one.path / "figures" / f"{name}.png", folder / f"{name}.png")
    disk.copy(one.path / "claims.json", folder / "claims.json")
    text = one.content.study.lanes.to_csv(index=False, float_format="%.6g")
    disk.write_text(text, folder / "lanes.csv")


def _overview(found: Sequence[FigureFolder]) -> str:
    rows = (
        [
            f"[{claim['figure']}](#{claim['figure']}-{one.scale})", one.scale, claim["words"],
            claim["paper"], numbers(claim), f"**{claim['verdict']}**",
        ]
        for one in found
        for claim in one.claims
    )  # fmt: skip
    head = ["figure", "scale", "claim", "the paper", "here (95% interval)", "verdict"]
    return f"## All claims\n\n{_table(head, rows)}"


def _section(one: FigureFolder, out: Path) -> str:
    """All figures of one study."""
    return "\n\n".join(_figure(one, name, out) for name in one.experiment.figures)


def _figure(one: FigureFolder, name: str, out: Path) -> str:
    figure = FIGURES[name]
    picture = f"{_assets(out).name}/{one.content.study.name}/{name}.png"
    claims = [claim for claim in one.claims if claim["figure"] == name]
    parts = [
        f"## {name} {one.scale}",
        f"{figure.shows[0].upper()}{figure.shows[1:]}. The paper: {figure.says}.",
        f'<img src="{picture}" width="480" alt="{name}: {figure.shows}">',
        _made(one),
        *(f"- {claim['words']}: **{claim['verdict']}**, {numbers(claim)}" for claim in claims),
        *_published(one, name),
        *([f"Why it may differ: {NOTES[name]}"] if name in NOTES else []),
    ]
    return "\n\n".join(parts).replace("\n\n- ", "\n- ").replace("\n- ", "\n\n- ", 1)


def _made(one: FigureFolder) -> str:
    """With what, in which time, and what was changed."""
    manifest = one.content.manifest
    device, versions = manifest["device"], manifest["versions"]
    seeds = one.content.study.seeds_in_words
    where = f"{device['kind']}, {one.num_cores} cores" if one.num_cores else device["kind"]
    words = (
        f"{seeds[0].upper()}{seeds[1:]}; {in_words(manifest['seconds']['wall'])} of wall time on "
        f"{where}, jax {versions['jax']}, fedast-jax {versions['fedast-jax']}; "
        f"`fedast figure {one.experiment.figures[0]} --scale {one.scale}`."
    )
    if one.experiment.make:
        return f"{words} The paper has no run of this; the settings are ours."
    changed = "; ".join(one.changed)
    return f"{words} Changed: {changed}." if changed else f"{words} The settings are the paper's."


def _published(one: FigureFolder, name: str) -> Iterator[str]:
    """Of Figure 7: the times that the authors have published, beside ours."""
    study = one.content.study
    if name != "fig7" or one.changed or not set(PUBLISHED).issubset(study.methods):
        return
    rows = [
        [method, task, f"{time:g}", _mean(task_time(study.result(method), task))]
        for method, times in PUBLISHED.items()
        for task, time in times.items()
        if task in study.tasks
    ]
    yield _table(["method", "task", "time to target, published", "here"], rows)


def _mean(times: Any) -> str:
    found = spread(times)
    if found["mean"] is None:
        return "not met"
    return f"{found['mean']:.0f}" + (f" ± {found['std']:.0f}" if found["std"] is not None else "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
