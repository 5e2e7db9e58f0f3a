"""The page of a report: its sections, its controls, and the data that its script draws."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from ..config import disk
from ..results.palette import TASKS
from ..results.result_sheet import result_sheet
from ..study.report import explanations
from ..study.sheets import study_sheet
from .claims import claims_section
from .curves import Room, all_curves, notes
from .facts import PHASES, commands, device_seconds, versions, work_done
from .load import Load, Work, work_of
from .markup import checkbox, json_text, panels, paragraph, scrolling, section, table
from .settings import settings_of
from .shown import Shown
from .thin import plain_numbers

FIRST_TASKS = 12  # picked when the page opens
MOST_LINES = 20  # single seeds that are drawn when the page opens
MOST_BANDS = 3  # results whose bands and single seeds are
MOST_ROWS = 400  # of a table
NEEDS_REQUESTS = "This needs every request, which `--save requests` keeps when a run is made; "
SECTIONS = {
    "summary": "Summary",
    "accuracy": "Accuracy over time",
    "allocation": "Allocation over time",
    "progress": "Arrivals and rounds over time",
    "requests": "Staleness, durations and waiting",
    "clients": "The clients' load",
    "seconds": "Where the device's seconds went",
    "settings": "Configuration",
    "versions": "Versions",
    "again": "Commands",
}


def make_page(shown: Shown, plotly: str) -> str:
    """The whole page; nothing in it is fetched from elsewhere.

    Args:
        shown: the folders.
        plotly: the drawing library's script.
    """
    room = Room.of(shown)
    curves, work = all_curves(shown, room), work_of(shown)
    left_out = notes(shown, room, curves)
    curves |= work.distributions | {"lorenz": _lorenz(work.loads)}
    scripts = [plotly, _own("page.js")]
    title = escape(f"{shown.study.name}: {shown.study.seeds_in_words}")
    parts = "".join(_sections(shown, work, left_out))
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">'
        f"<style>{_own('page.css')}</style></head><body>"
        f"<header><h1>{title}</h1>{_contents()}</header>"
        f'<div class="frame">{_controls(shown, room)}<main>{parts}</main></div>'
        f'<script type="application/json" id="data">{json_text(_data(shown, curves))}</script>'
        f"{''.join(f'<script>{script}</script>' for script in scripts)}</body></html>\n"
    )


def _own(name: str) -> str:
    return disk.read_text(Path(__file__).with_name(name))


def _policy(scripts: list[str]) -> str:
    """What a browser lets the page do: run these very scripts, and fetch nothing."""
    sums = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in sums)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"
    )


def _data(shown: Shown, curves: dict[str, Any]) -> dict[str, Any]:
    targets = shown.study.tasks
    return {
        "curves": curves,
        "dimensions": [one._asdict() for one in shown.dimensions],
        "variants": [
            {
                "name": shown.name_of(number),
                "places": shown.places(number),
                "seeds": result.config.num_seeds,
            }
            for number, result in enumerate(shown.results)
        ],
        "tasks": shown.tasks,
        "targets": [
            plain_numbers([100 * target for target in sorted(_known(targets[task]))])
            for task in shown.tasks
        ],
        "seeds": shown.seeds,
        "taskColours": list(TASKS),
    }


def _known(targets: set[float | None]) -> set[float]:
    return {target for target in targets if target is not None}


def _lorenz(loads: dict[int, Load]) -> list[dict[str, Any]]:
    return [{"v": number, "y": plain_numbers(100 * load.curve)} for number, load in loads.items()]


def _contents() -> str:
    links = "".join(f'<li><a href="#h-{key}">{escape(SECTIONS[key])}</a></li>' for key in SECTIONS)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'


def _controls(shown: Shown, room: Room) -> str:
    """Native boxes for what is drawn; their swatches are the legend of every panel."""
    is_few = len(shown.results) <= MOST_BANDS
    modes = {
        "mean": ("mean of all seeds", True),
        "band": ("± standard deviation (3 or more seeds)", is_few),
        "single": ("single seeds", is_few and room.num_seeds <= MOST_LINES),
    }
    boxes = "".join(
        checkbox(text, f'id="{key}"' + (" checked" if is_on else ""))
        for key, (text, is_on) in modes.items()
    )
    parts = [f'<fieldset class="modes"><legend>Curves</legend>{boxes}</fieldset>']
    for place, dimension in enumerate(shown.dimensions):
        if len(dimension.values) > 1:
            name, swatch = f"dimension-{place}", f'data-dimension="{place}"'
            parts.append(_choices(dimension.name, name, dimension.values, swatch))
    parts.append(_choices("task", "task", shown.tasks, "data-task", FIRST_TASKS))
    parts.append(_choices("seed", "seed", shown.seeds[: room.num_seeds]))
    return (
        f'<form id="pick" aria-label="What is drawn"><details open><summary>What is drawn'
        f"</summary>{''.join(parts)}</details></form>"
    )


def _choices(
    legend: str, name: str, values: list[str], swatch: str = "", first: int | None = None
) -> str:
    boxes = []
    for place, value in enumerate(values):
        picked = " checked" if first is None or place < first else ""
        line = f'{swatch}="{place}"' if swatch == "data-task" else swatch
        line = f'{line} data-value="{place}"' if line else ""
        boxes.append(checkbox(value, f'name="{name}" value="{place}"{picked}', line))
    every = "".join(
        f'<button type="button" data-every="{which}" aria-label="{which} of {escape(legend)}">'
        f"{which}</button>"
        for which in ("all", "none")
    )
    return (
        f"<fieldset><legend>{escape(legend)}</legend>{every if len(values) > 3 else ''}"
        f'<div class="choices">{"".join(boxes)}</div></fieldset>'
    )


def _sections(shown: Shown, work: Work, left_out: list[str]) -> Iterator[str]:
    yield _section("summary", _summary(shown))
    yield from claims_section(shown.folders)
    yield _section("accuracy", _accuracy(left_out))
    yield _section("allocation", _allocation())
    yield _section("progress", _progress())
    yield _section("requests", _requests(shown, work))
    yield _section("clients", _clients(shown, work))
    yield _section("seconds", _seconds(shown))
    yield _section("settings", _settings(shown))
    yield _section("versions", _versions(shown))
    yield _section("again", _commands(shown))


def _section(name: str, parts: Iterable[str]) -> str:
    return section(name, SECTIONS[name], *parts)


def _accuracy(left_out: list[str]) -> Iterator[str]:
    yield _select("measure", "Shown is the", {"a": "test accuracy", "l": "test loss"})
    yield paragraph(
        "Thick lines are means over the seeds, dots where a seed meets its target. "
        "Drag to zoom, double-click to go back.",
        "muted",
    )
    yield from (paragraph(note, "muted") for note in left_out)
    yield panels("accuracy")


def _allocation() -> Iterator[str]:
    amounts = {"R": "requests in flight, R", "b": "buffer size, b"}
    yield _select("amount", "Shown are the", amounts)
    yield paragraph("A line is a task; the first seed picked is thick.", "muted")
    yield panels("allocation")


def _progress() -> Iterator[str]:
    yield paragraph("Means over the seeds, as the tests have seen them.", "muted")
    yield panels("progress")


def _select(name: str, label: str, options: dict[str, str]) -> str:
    choices = "".join(
        f'<option value="{value}">{escape(text)}</option>' for value, text in options.items()
    )
    return f'<p><label for="{name}">{label}</label> <select id="{name}">{choices}</select></p>'


def _summary(shown: Shown) -> Iterator[str]:
    study, folders = shown.study, shown.folders
    if len(folders) == 1 and not folders[0].is_study:
        yield scrolling("summary", result_sheet(study.results[0].summary()).to_html())
    else:
        yield scrolling("summary", study_sheet(study).to_html())
        yield "".join(map(paragraph, explanations(study)))


def _requests(shown: Shown, work: Work) -> Iterator[str]:
    yield _needs(work, shown)
    if len(work.missing) == len(shown.folders):
        return
    yield paragraph(work.note, "muted")
    yield paragraph("A line says which share of the requests has at most so much.", "muted")
    yield paragraph("Staleness: rounds of its task between an update's dispatch and its use.")
    yield panels("staleness")
    yield paragraph("Duration: from the start of a training to the arrival of its update.")
    yield panels("duration")
    yield paragraph("Waiting: from a request's dispatch to its start, while its client is busy.")
    yield panels("wait")
    rows = [
        row for name in ("staleness", "duration", "wait") for row in _numbers(shown, work, name)
    ]
    shown_rows = f"the first {MOST_ROWS} of {len(rows)} rows" if len(rows) > MOST_ROWS else "all"
    headers = ["result", "task", "of", "requests", "mean", "median", "95%", "most"]
    numbers = table(f"In numbers, {shown_rows}", headers, rows[:MOST_ROWS], numbers=3)
    yield f"<details><summary>In numbers</summary>{numbers}</details>"


def _numbers(shown: Shown, work: Work, name: str) -> Iterator[list[str]]:
    for row in work.distributions[name]:
        values = [f"{value:.4g}" for value in row["stats"]]
        yield [shown.name_of(row["v"]), shown.tasks[row["m"]], name, f"{row['n']:,}", *values]


def _clients(shown: Shown, work: Work) -> Iterator[str]:
    yield _needs(work, shown)
    if len(work.missing) == len(shown.folders):
        return
    yield paragraph(
        "A line on the diagonal is work that lies evenly on all clients; the further below, the "
        "more of it lies on few. Gini's coefficient is 0 where it is even and 1 where one client "
        "does all. Work is the simulated time that a client trains, until the end of the run."
    )
    yield panels("lorenz")
    headers = ["result", "never asked", "fewest", "median", "most", "busy", "Gini"]
    rows = [[shown.name_of(number), *_load_cells(load)] for number, load in work.loads.items()]
    yield table("Requests of a client", headers, rows[:MOST_ROWS], numbers=1)


def _load_cells(load: Load) -> list[str]:
    return [
        f"{load.idle / max(1, load.clients):.1%}",
        f"{load.fewest:,}",
        f"{load.median:,.1f}",
        f"{load.most:,}",
        f"{load.busy:.1%}",
        f"{load.gini:.3f}",
    ]


def _needs(work: Work, shown: Shown) -> str:
    if not work.missing:
        return ""
    is_all = len(work.missing) == len(shown.folders)
    which = "here it has not." if is_all else f"it has not in {', '.join(work.missing)}."
    return paragraph(NEEDS_REQUESTS + which)


def _seconds(shown: Shown) -> Iterator[str]:
    names = [*PHASES, "other"]
    yield (
        "<p>"
        + " ".join(f'<span class="key phase-{name}"></span>{name}&emsp;' for name in names)
        + "</p>"
    )
    yield paragraph("Other is loading, sizing and writing. Of several devices or processes: sums.")
    for folder in shown.folders:
        parts = device_seconds(folder)
        whole = sum(parts.values()) or 1.0
        words = ", ".join(f"{name} {value:.1f} s" for name, value in parts.items())
        bar = "".join(
            f'<i class="phase-{name}" style="width:{100 * value / whole:.2f}%"></i>'
            for name, value in parts.items()
        )
        yield f"<h3>{escape(str(folder.path))}</h3>{paragraph(words)}"
        yield f'<div class="bar" role="img" aria-label="{escape(words)}">{bar}</div>'
        yield table("What was done in them", ["", ""], list(map(list, work_done(folder))))


def _settings(shown: Shown) -> Iterator[str]:
    lines, unknown = settings_of(shown)
    num_changed = sum(line.is_changed for line in lines)
    yield from map(paragraph, unknown)
    yield paragraph(f"{num_changed} of {len(lines)} settings differ from their defaults.")
    only = checkbox("only what differs from the defaults", 'id="only-changed"')
    yield f'<div class="modes">{only}</div>'
    rows = "".join(
        f'<tr class="{"changed" if line.is_changed else "same"}">'
        f'<th scope="row">{escape(line.key)}</th><td>{escape(line.value)}</td>'
        f"<td>{escape(line.default)}</td><td>{'differs' if line.is_changed else ''}</td></tr>"
        for line in lines
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in ("setting", "value", "default", ""))
    yield scrolling(
        "configuration",
        f'<table class="wide" id="settings"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table>",
    )


def _versions(shown: Shown) -> Iterator[str]:
    by_folder = [dict(versions(folder)) for folder in shown.folders]
    names = dict.fromkeys(name for found in by_folder for name in found)
    rows = [[name, *(found.get(name, "") for found in by_folder)] for name in names]
    yield table("As written by the run", ["", *(str(one.path) for one in shown.folders)], rows)


def _commands(shown: Shown) -> Iterator[str]:
    for folder in shown.folders:
        for words, command in commands(folder):
            box = f'<pre tabindex="0" aria-label="{escape(words)}">{escape(command)}</pre>'
            yield paragraph(f"To {words}:") + box
