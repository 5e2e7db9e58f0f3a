"""Sweeps in one process for hours: memory, speed, files and descriptors, written down as it goes.

``python benchmarks/long_haul.py --minutes 120 --out FOLDER`` leaves ``long_haul.csv``, a line
for every sweep, and a chart of it as PNG and SVG. What grows with the hours would leak.
"""

from __future__ import annotations

import argparse
import csv
import gc
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import matplotlib
import psutil

import fedast_jax as fx

TABLE: dict[str, Any] = {
    "num_clients": 50,
    "num_seeds": 2,
    "max_updates": 200,
    "tasks": {"digits": {"num_active": 12, "copies": 2}},
}
GRID = {"tasks.digits.buffer_size": [1, 2, 4]}
COLUMNS = ["minute", "sweep", "seconds", "resident_mib", "descriptors", "threads", "temp_files"]
CHARTED = {
    "resident_mib": "resident memory (MiB)",
    "seconds": "seconds of a sweep",
    "descriptors": "open descriptors",
    "temp_files": "files in the temporary folder",
}


def measure(process: psutil.Process, start: float, number: int, seconds: float) -> list[float]:
    """One line of the file."""
    gc.collect()
    resident = process.memory_info().rss / 2**20
    files = sum(1 for _ in Path(tempfile.gettempdir()).iterdir())
    minute = (time.monotonic() - start) / 60
    threads = threading.active_count()
    return [minute, number, seconds, resident, process.num_fds(), threads, files]


def run(minutes: float, path: Path) -> None:
    """Sweep after sweep until the time is up; every line is in the file once it is measured."""
    process, start, number = psutil.Process(), time.monotonic(), 0
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        while time.monotonic() - start < 60 * minutes:
            begun = time.monotonic()
            fx.sweep({**TABLE, "seed": number}, GRID)
            number += 1
            line = measure(process, start, number, time.monotonic() - begun)
            writer.writerow([f"{value:.6g}" for value in line])
            file.flush()


def draw(path: Path) -> None:
    """The chart beside the file."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    minutes = [float(row["minute"]) for row in rows]
    figure, axes = plt.subplots(len(CHARTED), 1, figsize=(7, 8), sharex=True)
    for panel, (name, words) in zip(axes, CHARTED.items(), strict=True):
        panel.plot(minutes, [float(row[name]) for row in rows], ".-", linewidth=0.8)
        panel.set_ylabel(words, fontsize=8)
        panel.set_ylim(bottom=0)
    axes[-1].set_xlabel("minutes")
    figure.tight_layout()
    for suffix in ("png", "svg"):
        figure.savefig(path.with_suffix(f".{suffix}"), dpi=120)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--out", type=Path, default=Path("long_haul"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "long_haul.csv"
    run(options.minutes, path)
    draw(path)
    print(path)


if __name__ == "__main__":
    main()
