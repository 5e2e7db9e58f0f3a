"""How much of the raw training rate is left end to end, and do more seeds cost anything?

Raw is what `fedast bench` measures: the same local training in the same loops, with no timeline, no
aggregation and no tests.  Against it, in the same process and in turns, stand whole simulations
with the kind's own settings (R = 96, b = 3, the whole test set every 4 rounds) for one and for more
seeds with the same total of updates.  Compilation is left out, everything else counts:

- *before tests*: updates / (wall time - compiling - testing),
- *end to end*: updates / (wall time - compiling).

Ratios are taken to the mean of the raw rates just before and just after, and the medians reported.

Hardware: any; the data in FEDAST_DATA_DIR or fetched by `fedast data prepare`.

Command: python benchmarks/end_to_end.py [KIND ...] [--seeds 1 16] [--updates N] [--repeats 3]
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from typing import NamedTuple

import fedast_jax as fx
from fedast_jax.engine.devices import find_devices
from fedast_jax.run.bench import SLOTS, compile_training
from fedast_jax.tasks import get_kind

NUM_UPDATES = {"mnist": 3200, "fashion_mnist": 960, "cifar10": 96, "digits": 9600}
RAW_SHARE = 8  # a raw measurement trains this part of a simulation's updates


class Rates(NamedTuple):
    """One simulation: updates per second, and their shares of the raw rate beside it."""

    seeds: int
    raw: float
    before_tests: float
    end_to_end: float


def simulate(kind: str, num_updates: int, num_seeds: int) -> tuple[float, float]:
    """Updates per second before tests and end to end."""
    config = {
        "num_seeds": num_seeds,
        "max_updates": num_updates // num_seeds,
        "tasks": {kind: {"target_accuracy": "none"}},
    }
    result = fx.simulate(fx.make_config(config))
    seconds = result.wall_seconds - result.seconds.compile
    updates = result.counts.updates
    return updates / (seconds - result.seconds.test), updates / seconds


def raw_rate(kind: str, num_updates: int) -> Callable[[], float]:
    """Compile once; each call measures updates per second."""
    num_devices, _ = find_devices()
    width = SLOTS * num_devices
    num_batches = max(1, num_updates // (RAW_SHARE * width))
    run, _ = compile_training(get_kind(kind), num_batches, width=width, num_devices=num_devices)
    run()  # the first one warms up
    return lambda: num_batches * width / run()


def compare(kind: str, num_updates: int, seeds: list[int], repeats: int) -> list[Rates]:
    """Raw, one seed, raw, more seeds, raw, ... ``repeats`` times."""
    measure_raw = raw_rate(kind, num_updates)
    simulate(kind, min(seeds) * SLOTS, min(seeds))  # decodes the data, fills caches
    found, before = [], measure_raw()
    for repeat in range(repeats):
        for num_seeds in seeds:
            before_tests, end_to_end = simulate(kind, num_updates, num_seeds)
            after = measure_raw()
            found.append(Rates(num_seeds, (before + after) / 2, before_tests, end_to_end))
            before = after
            print(f"{kind} {repeat + 1}/{repeats}: {found[-1]}", file=sys.stderr)
    return found


def table_row(kind: str, runs: list[Rates]) -> str:
    """Medians over the repeats."""
    raw = statistics.median(run.raw for run in runs)
    before = statistics.median(run.before_tests for run in runs)
    end = statistics.median(run.end_to_end for run in runs)
    before_share = statistics.median(run.before_tests / run.raw for run in runs)
    end_share = statistics.median(run.end_to_end / run.raw for run in runs)
    return (
        f"| {kind} | {runs[0].seeds} | {raw:.3g} | {before:.3g} ({before_share:.0%}) "
        f"| {end:.3g} ({end_share:.0%}) |"
    )


def main() -> None:
    """Print a row for each kind and number of seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=["mnist", "fashion_mnist"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--updates", type=int, help="of each simulation, all seeds together")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print("| kind | seeds | raw, updates/s | before tests | end to end |\n|---|---|---|---|---|")
    for kind in arguments.kinds:
        num_updates = arguments.updates or NUM_UPDATES.get(kind, 960)
        runs = compare(kind, num_updates, arguments.seeds, arguments.repeats)
        for num_seeds in arguments.seeds:
            print(table_row(kind, [run for run in runs if run.seeds == num_seeds]), flush=True)


if __name__ == "__main__":
    main()
