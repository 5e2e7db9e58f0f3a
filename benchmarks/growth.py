"""How do rate, time and memory grow with a run: width, replicates, clients, requests, tasks?

One thing grows at a time, the others stay: 1000 clients, R = 96, b = 3, W = 16, one replicate, one
task, 20,000 updates in all however many share them (of MNIST 1,600).  The width alone is measured
with 16 replicates, since one cannot fill a wide batch.  Every point is a process of its own, so
that its peak memory is its own (the imports, some 350 MiB, are part of it): it plans the run with
nothing trained, then simulates it, tests included.  Compilation is left out of rates and seconds.

A point is a line in OUT/growth.jsonl once it is measured: the same command goes on where it was
stopped, and OUT/growth.png is drawn from what is there.  Points take turns, repeat by repeat; the
chart shows all repeats as dots and their medians as lines.  "others" says how many cores other
programs kept busy meanwhile.

Hardware: any CPU; digits needs no files, other kinds their data.

Command: python benchmarks/growth.py --out DIR [--kind digits] [--repeats 3] [--axes width ...]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lines import Line, append_line, elsewhere, machine, measured, read_lines
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullLocator

BASE = {"width": 16, "replicates": 1, "clients": 1000, "requests": 96, "tasks": 1}
UPDATES = {"digits": 20_000, "mnist": 1600}


class Axis(NamedTuple):
    """What grows, and what else differs from ``BASE``."""

    title: str
    values: tuple[int, ...]
    beside: dict[str, int]


AXES = {
    "width": Axis("batch width W\n(16 replicates)", (8, 16, 32, 64, 128, 256), {"replicates": 16}),
    "replicates": Axis("replicates", (1, 4, 16, 64), {}),
    "clients": Axis("clients N", (100, 1000, 10_000, 100_000, 1_000_000), {}),
    "requests": Axis("requests in flight R", (12, 96, 300, 1000, 3000), {}),
    "tasks": Axis("tasks", (1, 2, 3, 6, 12), {}),
}


class Row(NamedTuple):
    """A row of the chart: its lines by their keys."""

    title: str
    shown: dict[str, str]
    unit: float
    scale: str


ROWS = (
    Row("updates per second", {"plan_rate": "planned", "rate": "trained and tested"}, 1, "log"),
    Row("seconds", {"plan_seconds": "planned", "seconds": "trained and tested"}, 1, "log"),
    Row("peak memory, MiB", {"peak_bytes": "the process"}, 2**20, "linear"),
)
COLOURS = {True: "#D55E00", False: "#0072B2"}  # of what is planned; of what is trained


def config_of(axis: str, value: int, kind: str, updates: int) -> dict[str, Any]:
    """The configuration of a point."""
    point = BASE | AXES[axis].beside | {axis: value}
    task = {
        "copies": point["tasks"],
        "num_active": point["requests"],
        "buffer_size": 3,
        "target_accuracy": "none",
    }
    return {
        "num_clients": point["clients"],
        "num_seeds": point["replicates"],
        "max_updates": updates // point["replicates"],
        "machine": {"batch_width": point["width"]},
        "tasks": {kind: task},
    }


def measure_here(config: dict[str, Any], plan_only: bool) -> Line:
    """A point, in this process."""
    import fedast_jax as fx
    from fedast_jax.run.machine import peak_bytes

    made = fx.make_config(config)
    report = fx.plan(made)
    found = {
        "plan_rate": report.events_per_second,
        "plan_seconds": report.seconds,
        "fill": report.fill,
        "estimated_bytes": report.memory_bytes,
    }
    if not plan_only:
        result = fx.simulate(made, keep_requests=False)
        seconds = result.wall_seconds - result.seconds.compile
        found |= {"rate": result.counts.updates / seconds, "seconds": seconds}
        found |= {"compile": result.seconds.compile, "versions": result.manifest()["versions"]}
    return found | {"peak_bytes": peak_bytes()}


def measure_apart(config: dict[str, Any], plan_only: bool) -> Line:
    """A point, in a new process."""
    command = [sys.executable, __file__, "--point", json.dumps([config, plan_only])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)


def measure_all(
    points: Iterable[tuple[str, int]],
    settings: Line,
    path: Path,
    measure: Callable[[dict[str, Any], bool], Line] = measure_apart,
) -> None:
    """Measure what is not in the file yet.

    Args:
        points: axis and value of each.
        settings: ``kind``, ``updates``, ``plan_only`` and ``repeat``, part of each line.
        path: of the file.
        measure: how.
    """
    for axis, value in points:
        key = {"axis": axis, "value": value} | settings
        if not measured(read_lines(path), key):
            config = config_of(axis, value, settings["kind"], settings["updates"])
            start, before = time.perf_counter(), elsewhere()
            line = key | measure(config, settings["plan_only"])
            others = (elsewhere() - before) / (time.perf_counter() - start)
            append_line(path, line | machine() | {"others": others})
            print(f"{axis} = {value:,}, repeat {settings['repeat'] + 1}", file=sys.stderr)


def draw(lines: Sequence[Line], title: str) -> Figure:
    """A column for each axis, a row for rates, seconds and memory; a row shares its scale."""
    figure = Figure(figsize=(13, 7), layout="constrained")
    names = [name for name in AXES if any(line["axis"] == name for line in lines)]
    panels = figure.subplots(len(ROWS), len(names), sharey="row", sharex="col", squeeze=False)
    for row, beside in zip(ROWS, panels, strict=True):
        for name, panel in zip(names, beside, strict=True):
            draw_panel(panel, row, [line for line in lines if line["axis"] == name])
        beside[0].set_ylabel(row.title)
        if row.scale == "linear":
            most = max(line[key] for line in lines for key in row.shown) / row.unit
            beside[0].set_ylim(0, 1.1 * most)
    for name, panel in zip(names, panels[-1], strict=True):
        name_column(panel, AXES[name])
    panels[0][0].legend()
    figure.suptitle(title)
    return figure


def name_column(last: Axes, axis: Axis) -> None:
    """What grows, with a tick at every point."""
    last.set_xlabel(axis.title)
    last.set_xticks(axis.values)
    last.xaxis.set_major_formatter(EngFormatter(sep=""))  # 1k, 1M
    last.xaxis.set_minor_locator(NullLocator())


def draw_panel(panel: Axes, row: Row, lines: Sequence[Line]) -> None:
    """One axis: a dot for each measurement, a line through the medians."""
    panel.set_xscale("log")
    panel.set_yscale(row.scale)
    panel.grid(alpha=0.3)
    for key, label in row.shown.items():
        found = [(line["value"], line[key] / row.unit) for line in lines if key in line]
        xs, colour = sorted({x for x, _ in found}), COLOURS[key.startswith("plan")]
        medians = [statistics.median(y for at, y in found if at == x) for x in xs]
        panel.plot(xs, medians, color=colour, label=label)
        panel.plot([x for x, _ in found], [y for _, y in found], ".", color=colour)


def main() -> None:
    """Measure, then draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--kind", default="digits")
    parser.add_argument("--updates", type=int, help="of all replicates and tasks together")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--axes", nargs="+", default=list(AXES), choices=AXES)
    parser.add_argument("--plan-only", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    path, kind = arguments.out / "growth.jsonl", arguments.kind
    updates = arguments.updates or UPDATES.get(kind, 1000)
    settings = {"kind": kind, "updates": updates, "plan_only": arguments.plan_only}
    points = [(axis, value) for axis in arguments.axes for value in AXES[axis].values]
    for repeat in range(arguments.repeats):
        measure_all(points, settings | {"repeat": repeat}, path)
    lines = [line for line in read_lines(path) if settings.items() <= line.items()]
    draw(lines, f"{kind}, {updates:,} updates a run").savefig(arguments.out / "growth.png", dpi=110)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--point"]:
        print(json.dumps(measure_here(*json.loads(sys.argv[2]))))
    else:
        main()
