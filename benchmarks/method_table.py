"""The table of docs/methods.md from the folder of a comparison: time to target by method and task.

Command: python benchmarks/method_table.py runs/methods
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import fedast_jax as fx


def table(lanes: pd.DataFrame) -> str:
    """A row a method: median and mean time to target of the seeds that met it, and their share."""
    tasks = list(dict.fromkeys(lanes.task))
    head = " | ".join(["method", *(f"{task}: median (mean), share" for task in tasks)])
    rows = [
        " | ".join([f"`{method}`", *(_cell(mine[mine.task == task].target_time) for task in tasks)])
        for method, mine in lanes.groupby("algorithm", sort=False)
    ]
    return "\n".join(f"| {row} |" for row in [head, "|".join(["---"] * (1 + len(tasks))), *rows])


def _cell(times: pd.Series) -> str:
    met = times.dropna()
    share = f"{len(met)}/{len(times)}"
    return f"{met.median():.1f} ({met.mean():.1f}), {share}" if len(met) else f"-, {share}"


def main() -> None:
    """Print the table of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    print(table(fx.load_study(parser.parse_args().folder).lanes))


if __name__ == "__main__":
    main()
