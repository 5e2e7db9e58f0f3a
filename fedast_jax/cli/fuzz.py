"""``fedast fuzz``: scenarios drawn at random, the engine against the oracle, until one differs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..config import disk
from ..config.bounds import MOST_SEED

if TYPE_CHECKING:
    from ..study.fuzz.fuzz import Failure, Log

FOUND = 4  # exit code
EVERY = 10.0  # seconds between two lines

Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILE...]", help="Only these, which were found.")
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, max=MOST_SEED, help="Of the first scenario; the next has the next one."),
]
Minutes = Annotated[float, typer.Option(min=0.0, max=1e6, help="No new scenario after so long.")]
Scenarios = Annotated[int | None, typer.Option(min=1, max=MOST_SEED, help="At most so many.")]
Out = Annotated[Path, typer.Option(help="Folder for the file of a scenario that fails.")]


def fuzz(
    files: Files = None,
    seed: Seed = None,
    minutes: Minutes = 1.0,
    scenarios: Scenarios = None,
    out: Out = Path(),
) -> None:
    """Draw scenarios at random and compare the engine with a simulation one event at a time."""
    from ..config.cores import divide_cpu
    from ..study.fuzz.fuzz import any_seed, fuzz, read_case, seeds_from, try_cases

    divide_cpu(2)  # a part of what is trained has two devices
    if files:
        log, failure = try_cases([read_case(path) for path in files])
    else:
        first = any_seed() if seed is None else seed
        print(f"seed {first}", flush=True)
        log, failure = fuzz(seeds_from(first, scenarios, 60 * minutes), Spoken())
    print("\n".join(log.lines()))
    if failure is not None:
        _tell(failure, out)
        raise typer.Exit(FOUND)


class Spoken:
    """Says now and then how far the series is."""

    def __init__(self) -> None:
        self.last = 0.0

    def __call__(self, log: Log) -> None:
        """After each scenario."""
        if log.seconds > self.last + EVERY:
            self.last = log.seconds
            print(f"{log.num_cases:,} scenarios in {log.seconds:.0f} s", flush=True)


def _tell(failure: Failure, out: Path) -> None:
    """What is wrong, and a file that makes it happen again."""
    seed = failure.drawn.seed
    text, path = failure.to_toml(), out / f"seed_{seed}.toml"
    disk.make_folders(out)
    disk.write_text(text, path)
    print(f"\n{text}\n{path}")
    again = f"fedast fuzz --seed {seed} --scenarios 1"
    print(f"error: a scenario fails; to see it again: {again}, or fedast fuzz {path}; put the file "
          f"into tests/found/", file=sys.stderr)  # fmt: skip
