"""How fast is planning, does its cost grow with the number of clients, how full are the batches?

Planning lays out events and batches on the host and trains nothing.  Every measurement is a process
of its own, so that its peak memory is its own (the imports are part of it); one thousand and one
million clients alternate, and the medians are compared.  The model plays no part: the small digits
task stands in for all, with R = 96, b = 3 as in the paper.

Hardware: any CPU; planning uses one core.

Command: python benchmarks/planning.py [--events 400000] [--repeats 5], or with ``--loops`` for the
plain and the compiled loops beside one another.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from typing import Any

CLIENTS = (1000, 1_000_000)
WIDTHS = (16, 32, 64, 128, 256, 512)
PAPER = {"num_active": 96, "buffer_size": 3}
SIX = {"num_active": 64, "buffer_size": 2, "copies": 6}
LANES: dict[str, tuple[int, dict[str, int]]] = {
    "1": (1, PAPER),
    "3": (3, PAPER),
    "16": (16, PAPER),
    "6 (one seed of six tasks, R = 64, b = 2)": (1, SIX),
    "96 (sixteen seeds of these six)": (16, SIX),
}
"""Row of the table -> number of seeds, settings of the task."""

ON_OFF = {"law": "on_off", "mean_on": 500.0, "mean_off": 500.0}
DIURNAL = {"law": "diurnal", "share_on": 0.5, "period": 1000.0}
TWO = {"max_active_clients": 192, "tasks": {"digits": {"copies": 2}}}
CASES: dict[str, dict[str, Any]] = {
    "option S": {},
    "option S, W = 64": {"machine": {"batch_width": 64}},
    "option D, two tasks": {**TWO, "allocation": "dynamic"},
    "on_off, loss 0.05": {"availability": {**ON_OFF, "loss": 0.05}},
    "diurnal, loss 0.05": {"availability": {**DIURNAL, "loss": 0.05}},
    "on_off, loss 0.05, N = 100,000": {
        "availability": {**ON_OFF, "loss": 0.05},
        "num_clients": 100_000,
    },
}
"""Row of the table of loops -> what differs from option S of one task with N = 1,000, W = 16."""


def plan_once(config: dict[str, Any]) -> dict[str, Any]:
    """Plan in this process: the report's numbers and the peak memory."""
    import fedast_jax as fx

    report = fx.plan(fx.make_config(config))
    return {
        "rate": report.events_per_second,
        "seconds": report.seconds,
        "fill": report.fill,
        "wave": report.mean_wave_width,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def measure(num_clients: int, events: int, num_seeds: int, task: dict[str, int], width: int):
    """Plan in a new process."""
    config = {
        "num_clients": num_clients,
        "num_seeds": num_seeds,
        "max_updates": events,  # of each seed
        "machine": {"batch_width": width},
        "tasks": {"digits": {**task, "target_accuracy": "none"}},
    }
    command = [sys.executable, __file__, "--plan", json.dumps(config)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def growth(events: int, repeats: int) -> None:
    """Print the table over the number of clients."""
    found: dict[int, list[dict[str, Any]]] = {clients: [] for clients in CLIENTS}
    for _ in range(repeats):
        for clients in CLIENTS:
            found[clients].append(measure(clients, events, 1, PAPER, 16))
    print("| clients | events/s | seconds | peak memory, MiB |\n|---|---|---|---|")
    medians = {}
    for clients, runs in found.items():
        rate, seconds, peak = (median(runs, key) for key in ("rate", "seconds", "peak"))
        medians[clients] = seconds, peak
        print(f"| {clients:,} | {rate:,.0f} | {seconds:.2f} | {peak / 2**20:.0f} |")
    few, many = (medians[clients] for clients in CLIENTS)
    print(f"| ratio | | {many[0] / few[0]:.2f} | {many[1] / few[1]:.2f} |\n")


def fills(events: int) -> None:
    """Print the table of fill (slots used / slots) over lanes and batch width."""
    print("| lanes | " + " | ".join(f"W = {width}" for width in WIDTHS) + " | wave |")
    print("|---" * (len(WIDTHS) + 2) + "|")
    for name, (num_seeds, task) in LANES.items():
        num_events = max(4000, events // num_seeds)
        runs = [measure(1000, num_events, num_seeds, task, width) for width in WIDTHS]
        cells = [f"{run['fill']:.3f}" for run in runs]
        print(f"| {name} | {' | '.join(cells)} | {runs[0]['wave']:.1f} |", flush=True)


def loops(events: int, repeats: int) -> None:
    """Print events a second of the plain and of the compiled loops, in turns in one process."""
    import fedast_jax as fx
    from fedast_jax.config.compiled import SWITCH

    print("| | plain | compiled | ratio |\n|---|---|---|---|")
    for name, more in CASES.items():
        table = {
            "num_clients": 1000,
            "max_active_clients": 96,
            "machine": {"batch_width": 16},
            **more,
        }
        task = {**PAPER, "target_accuracy": "none", **table.get("tasks", {}).get("digits", {})}
        table |= {"num_seeds": 1, "max_updates": events, "tasks": {"digits": task}}
        rates: dict[str, list[float]] = {"never": [], "always": []}
        for repeat in range(repeats + 1):
            for mode, found in rates.items():
                SWITCH.mode = mode
                settings = table if repeat else {**table, "max_updates": 2000}  # once to compile
                found.append(fx.plan(fx.make_config(settings)).events_per_second)
        plain, compiled = (statistics.median(found[1:]) for found in rates.values())
        print(f"| {name} | {plain:,.0f} | {compiled:,.0f} | {compiled / plain:.1f} |", flush=True)


def median(runs: list[dict[str, Any]], key: str) -> float:
    """Of one number over the runs."""
    return statistics.median(run[key] for run in runs)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--plan", help=argparse.SUPPRESS)  # what the processes of their own do
    parser.add_argument("--loops", action="store_true")
    arguments = parser.parse_args()
    if arguments.loops:
        loops(arguments.events, arguments.repeats)
        return
    if arguments.plan:
        print(json.dumps(plan_once(json.loads(arguments.plan))))
        return
    growth(arguments.events, arguments.repeats)
    fills(arguments.events // 4)


if __name__ == "__main__":
    main()
