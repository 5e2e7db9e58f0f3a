"""``fedast trace``: the simulated timeline of one seed, for Perfetto or as a picture."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from ..config import disk
from ..config.errors import ConfigError, RecordError
from ..results.pictures import METADATA, write_picture
from ..study.recorded import showing
from ..study.recorded_requests import has_requests, read_requests
from .events import UNITS, Clock, Entry, Tracks, as_json, events_of
from .output import check_output, write_whole
from .shown import Shown
from .timeline import Timeline, make_timeline
from .window import Window

NAME = "trace.json"
MOST_BYTES = 100 * 10**6  # of a trace, before it is compressed


class Written(NamedTuple):
    """What was written, and what it leaves out ("": nothing)."""

    paths: list[Path]
    note: str


def write_trace(
    folder: Path,
    out: Path | None = None,
    *,
    replicate: int = 0,
    clients: str | None = None,
    start: float | None = None,
    stop: float | None = None,
    force: bool = False,
) -> Written:
    """Write the timeline of one replicate as a trace that https://ui.perfetto.dev opens.

    Args:
        folder: of a run, a comparison or a sweep, with saved requests.
        out: the file; one that ends in ``.gz`` is compressed. None: ``trace.json`` in the folder.
        replicate: which, from 0.
        clients: numbers and ranges such as ``"0-19,40"``; None: all.
        start, stop: simulated time.
        force: replace a file that is there.
    Raises:
        RecordError: the folder is not what a run leaves, or its requests were not saved.
        ConfigError: there is no such replicate, client or time.
        OutputError: the file exists or cannot be written.
    """
    path = out or folder / NAME
    check_output(path, force=force)
    with showing([folder]):
        shown, window = _read(folder, replicate, clients, start, stop)
        tracks, clock = Tracks(), Clock.of(_last_time(shown))
        entries = [
            entry for one in shown for entry in events_of(one, window, clock, tracks)
        ]  # fmt: skip
    kept, note = _capped(sorted(entries, key=itemgetter(0)), clock, tracks)
    told = {
        "simulated time": f"one unit is shown as {UNITS[clock.unit]}",
        "replicate": replicate,
        "left out": note or "nothing",
    }
    texts = [*tracks.names, *(text for _, text in kept)]
    write_whole(path, lambda beside: _write(texts, told, beside, is_packed=path.suffix == ".gz"))
    return Written([path], note)


def write_gantt(
    folder: Path,
    out: Path,
    *,
    replicate: int = 0,
    clients: str | None = None,
    start: float | None = None,
    stop: float | None = None,
    force: bool = False,
) -> Written:
    """Draw the first clients' trainings and queues as PNG and PDF; arguments as ``write_trace``."""
    from .gantt import gantt_figure

    paths = [out.with_suffix(f".{kind}") for kind in METADATA]
    for path in paths:
        check_output(path, force=force)
    with showing([folder]):
        timelines, window = _read(folder, replicate, clients, start, stop)
        figure = gantt_figure(timelines, window)
    for path, kind in zip(paths, METADATA, strict=True):
        write_whole(
            path,
            lambda beside, kind=kind: write_picture(figure, beside, kind),
        )
    return Written(paths, "")


def _read(
    folder: Path, replicate: int, clients: str | None, start: float | None, stop: float | None
) -> tuple[list[Timeline], Window]:
    """A timeline of each result, and what is shown of them."""
    shown = Shown.read([folder])
    content = shown.folders[0]
    if not has_requests(content):
        raise RecordError(
            f"{str(folder)!r} has no requests.parquet: a trace needs every request; run it again "
            f"with --save requests"
        )
    num_seeds = content.study.num_seeds
    if not 0 <= replicate < num_seeds:
        raise ConfigError(f"there are replicates 0 to {num_seeds - 1}; got --replicate {replicate}")
    results = content.study.results
    num_clients = max(int(result.config.table["num_clients"]) for result in results)
    window = Window.parse(clients, start, stop, num_clients)
    tables = read_requests(content, replicate, replicate)
    timelines = [
        make_timeline(shown.name_of(number), result, table, replicate)
        for number, (result, table) in enumerate(zip(results, tables, strict=True))
        if len(table)
    ]
    if not timelines:
        raise RecordError(f"{str(folder)!r} has no request of replicate {replicate}")
    return timelines, window


def _last_time(timelines: Sequence[Timeline]) -> float:
    return max(
        max(one.end_time, *one.requests[["dispatched_at", "end"]].max().tolist())
        for one in timelines
    )


def _capped(entries: Sequence[Entry], clock: Clock, tracks: Tracks) -> tuple[Sequence[Entry], str]:
    """As many events as fit, from the first on, and what is left out in words."""
    num_bytes = sum(len(text) + 2 for text in tracks.names)
    for place, (ns, text) in enumerate(entries):
        num_bytes += len(text) + 2
        if num_bytes > MOST_BYTES:
            note = (
                f"a trace has at most {MOST_BYTES / 1e6:g} MB: it ends at simulated time "
                f"{ns / clock.unit:g}; for the rest give --from {ns / clock.unit:g}, or fewer "
                f"--clients"
            )
            return entries[:place], note
    return entries, ""


def _write(texts: Sequence[str], told: dict[str, object], path: Path, *, is_packed: bool) -> None:
    with disk.writing(path) as file:
        packed = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6) if is_packed else file
        with packed as target:
            target.writelines(line.encode() for line in _lines(texts, told))


def _lines(texts: Sequence[str], told: dict[str, object]) -> Iterator[str]:
    yield f'{{"displayTimeUnit":"ms","otherData":{as_json(told)},"traceEvents":[\n'
    for place, text in enumerate(texts):
        yield text + (",\n" if place + 1 < len(texts) else "\n")
    yield "]}\n"
