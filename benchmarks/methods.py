"""What do decisions cost: option D, targets and synchronous rounds against option S?

Two copies of one task train at once with the kind's own settings (R = 96, b = 3, 1000 clients):
option S without targets is the base; against it stand option S with a target that is met on the
way, option D, and Sync-ST. All do the same number of updates and run in turns in one process; the
wall time per update (compilation left out, tests and planning included) is compared with the mean
of the base runs just before and just after, and medians are reported.

A second table plans only (nothing is trained): option D, where the estimates are drawn at random,
so that every reallocation really changes R and b.

Hardware: any; the data in FEDAST_DATA_DIR or fetched by `fedast data prepare`.

Command: python benchmarks/methods.py [--kind mnist] [--updates 1920] [--repeats 5]
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Sequence

import fedast_jax as fx
from fedast_jax.engine.planning.pool import LanePool
from fedast_jax.run.executor import PlanOnly
from fedast_jax.run.prepare import prepare_run

METHODS = {
    "option S, target met half-way": {"target_accuracy": "half-way"},
    "option D": {"allocation": "dynamic"},
    "sync_st": {"algorithm": "sync_st", "max_active_clients": 300},
}
"""Row of the table -> what differs from option S without targets."""


def make_config(kind: str, num_updates: int, changes: dict) -> fx.Config:
    """Two copies of a task; a target goes to the tasks."""
    target = changes.get("target_accuracy", "none")
    top = {key: value for key, value in changes.items() if key != "target_accuracy"}
    tasks = {kind: {"copies": 2, "target_accuracy": target}}
    return fx.make_config({"max_updates": num_updates, "tasks": tasks, **top})


def seconds_per_update(config: fx.Config) -> float:
    """Wall time without compilation."""
    result = fx.simulate(config)
    arrivals = result.manifest()["counts"]["arrivals"]
    return (result.wall_seconds - result.seconds.compile) / arrivals


def half_way_target(kind: str, num_updates: int) -> float:
    """An accuracy that a run without targets first touches about half-way."""
    result = fx.simulate(make_config(kind, num_updates, {}))
    early = result.evaluations.query("arrivals <= @num_updates / 2")
    return float(early.accuracy.max())


def methods(kind: str, num_updates: int, repeats: int) -> None:
    """Print the table of ratios."""
    target = half_way_target(kind, num_updates)
    base = make_config(kind, num_updates, {})
    configs = {
        name: make_config(
            kind,
            num_updates,
            changes | ({"target_accuracy": target} if "target_accuracy" in changes else {}),
        )
        for name, changes in METHODS.items()
    }
    ratios: dict[str, list[float]] = {name: [] for name in configs}
    before = seconds_per_update(base)
    for repeat in range(repeats):
        for name, config in configs.items():
            found, after = seconds_per_update(config), seconds_per_update(base)
            ratios[name].append(2 * found / (before + after))
            before = after
        print(f"{repeat + 1}/{repeats}: {ratios}", file=sys.stderr)
    print(f"| method ({kind}) | wall time per update, relative to option S |\n|---|---|")
    for name, values in ratios.items():
        print(f"| {name} | {statistics.median(values):.2f} |")


class RandomEstimates(PlanOnly):
    """Plans only; every estimate of a variance is another."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(0)

    def spread(self, pool: LanePool, rows: Sequence[int]) -> float:
        """A number between 0.5 and 2: shares differ by up to a factor of 2, anew each time."""
        del pool, rows
        return 2 ** self.random.uniform(-1, 1)


def planning(events: int, repeats: int) -> None:
    """Print events per second of plans in which R changes."""
    config = fx.make_config(
        {
            "allocation": "dynamic",
            "max_updates": events,
            "tasks": {
                "digits": {
                    "copies": 2,
                    "num_active": 96,
                    "buffer_size": 3,
                    "target_accuracy": "none",
                }
            },
        }
    )
    rates, changes = [], 0
    for _ in range(repeats):
        setup = prepare_run([config])
        driver, start = setup.driver(RandomEstimates()), time.perf_counter()
        driver.run(setup.sizing.num_resident, setup.sizing.window)
        rates.append(events / (time.perf_counter() - start))
        changes = len(driver.done[0].allocations["time"]) - 1
    print("| planning with option D | events/s |\n|---|---|")
    print(f"| {events:,} events, {changes:,} changes of R | {statistics.median(rates):,.0f} |")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", default="mnist")
    parser.add_argument("--updates", type=int, default=1920)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    planning(400_000, arguments.repeats)
    print()
    methods(arguments.kind, arguments.updates, arguments.repeats)


if __name__ == "__main__":
    main()
