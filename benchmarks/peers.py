"""The same work for fedast_jax and for another simulator: what it is, and how long it takes.

MNIST's MLP (199,210 parameters), 1000 clients of 300 samples (Dirichlet 0.1), 27 steps of 32
examples, SGD with rate 0.1 and decay 3e-4, 96 clients a round, the mean of their models, a test
with all 10,000 images after every round.  Initial models and clients' samples are fedast_jax's own,
read from a short run of it; a peer gets them in a folder.

Every measurement is a process of its own (or several at the same time), and what it found is a line
in OUT/measurements.jsonl before the next begins: the same command goes on where it was stopped.
The ways take turns.  Updates per second are those of rounds with their tests: of a peer all but
the first round, in which its workers start up; of fedast_jax planning, training and testing.
"Start-up" is all the rest of the whole process (imports, data, compiling, workers).  "Busy
elsewhere" says how many cores other programs kept busy meanwhile: where that is more than a tenth
of one, measure again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from lines import Line, append_line, elsewhere, machine, measured, read_lines

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Work:
    """What everyone does, for each seed."""

    rounds: int
    clients: int = 1000
    cohort: int = 96
    epochs: int = 3
    steps: int = 27
    batch_size: int = 32
    client_lr: float = 0.1
    weight_decay: float = 3e-4
    mean: float = 0.1307
    std: float = 0.3081

    @property
    def updates(self) -> int:
        """Of one seed."""
        return self.rounds * self.cohort

    @property
    def examples(self) -> int:
        """That one seed trains with."""
        return self.updates * self.steps * self.batch_size


class Way(NamedTuple):
    """One way to do it: the commands that run at the same time for some seeds."""

    name: str
    commands: Callable[[Sequence[int]], list[list[str]]]
    least_seeds: int = 1  # for which it makes sense


def synchronous(work: Work, **task: Any) -> dict[str, Any]:
    """fedast_jax's configuration of the peers' algorithm."""
    settings = {"client_lr": work.client_lr, "max_rounds": work.rounds, "target_accuracy": "none"}
    return {
        "algorithm": "sync_st_no_mitigation",
        "num_clients": work.clients,
        "max_active_clients": work.cohort,
        "tasks": {"mnist": settings | task},
    }


def asynchronous(work: Work) -> dict[str, Any]:
    """FedAST with as many requests in flight, and as many tests: b = 3."""
    task = {"num_active": work.cohort, "buffer_size": 3, "test_every": work.cohort // 3}
    return {
        "num_clients": work.clients,
        "max_updates": work.updates,
        "tasks": {"mnist": task | {"target_accuracy": "none"}},
    }


def write_work(work: Work, num_seeds: int, folder: Path) -> None:
    """Write what a peer needs: the numbers, the data, and each seed's models, samples, cohorts."""
    import numpy as np
    import pandas as pd

    import fedast_jax as fx
    from fedast_jax.data.sources import load_dataset

    data = load_dataset("mnist")
    arrays: dict[str, Any] = {
        "train_images": data.train_images,
        "train_labels": data.train_labels,
        "test_images": data.test_images,
        "test_labels": data.test_labels,
    }
    # one local step: who is asked and what he holds does not depend on it
    config = {**synchronous(work, local_steps=1), "num_seeds": num_seeds}
    result = fx.simulate(fx.make_config(config), keep_models=True)
    samples = pd.concat(result.partition())
    for seed in range(num_seeds):
        mine = result.requests().query("replicate == @seed")["client"].to_numpy()
        held = samples.query("replicate == @seed")["sample"].to_numpy()
        arrays |= initial_parameters(result.models(), seed)
        arrays[f"cohorts_{seed}"] = mine.reshape(work.rounds, work.cohort)
        arrays[f"samples_{seed}"] = held.reshape(work.clients, -1)
    np.savez(folder / "work.npz", **arrays)
    (folder / "work.json").write_text(json.dumps(asdict(work) | {"seeds": num_seeds}))


def is_written(work: Work, num_seeds: int, folder: Path) -> bool:
    """Whether a folder has this work, for as many seeds or more."""
    path = folder / "work.json"
    settings = json.loads(path.read_text()) if path.exists() else {"seeds": 0}
    return settings.pop("seeds") >= num_seeds and settings == asdict(work)


def initial_parameters(models: Any, seed: int) -> Line:
    """Weights and biases in PyTorch's order and layout."""
    names = [(layer, leaf) for layer in range(3) for leaf in ("kernel", "bias")]
    return {
        f"initial_{seed}_{number}": models[f"{seed}/mnist/initial/Dense_{layer}/{leaf}"].T.copy()
        for number, (layer, leaf) in enumerate(names)
    }


def our_ways(work: Work, overrides: Sequence[str]) -> list[Way]:
    """FedAST itself, and the peers' algorithm by the same engine."""

    def way(name: str, config: dict[str, Any]) -> Way:
        def commands(seeds: Sequence[int]) -> list[list[str]]:
            given = json.dumps({**config, "seed": seeds[0], "num_seeds": len(seeds)})
            return [[sys.executable, __file__, "--ours", given, "--set", *overrides]]

        return Way(", ".join([name, *overrides]), commands)

    return [
        way("fedast_jax, FedAST, R = 96, b = 3", asynchronous(work)),
        way("fedast_jax, rounds of 96", synchronous(work)),
    ]


def run_ours(config: str, overrides: Sequence[str], report: Path) -> None:
    """One simulation in this process."""
    import fedast_jax as fx
    from fedast_jax.run.resolve import load_config

    result = fx.simulate(load_config(json.loads(config), overrides), keep_requests=False)
    tests, seconds = result.evaluations.groupby("seed")["accuracy"], result.seconds
    content = {
        "updates": result.counts.updates,
        "seconds": seconds.plan + seconds.train + seconds.test,
        "compile": seconds.compile,
        "accuracy": {int(str(seed)): list(values) for seed, values in tests},
        "versions": result.manifest()["versions"],
    }
    report.write_text(json.dumps(content))


def measure(way: Way, work: Work, seeds: Sequence[int], folder: Path) -> Line:
    """Do the work once.

    Raises:
        RuntimeError: a process failed, or did other work than was asked for.
    """
    commands = way.commands(seeds)
    reports = [folder / f"report_{number}.json" for number in range(len(commands))]
    for report in reports:
        report.unlink(missing_ok=True)
    start, before = time.perf_counter(), elsewhere()
    with open(folder / "log.txt", "w") as log:
        processes = [
            subprocess.Popen([*command, "--report", str(report)], stdout=log, stderr=log)
            for command, report in zip(commands, reports, strict=True)
        ]
        failed = [process.wait() for process in processes]
    total = time.perf_counter() - start
    others = (elsewhere() - before) / total
    if any(failed):
        raise RuntimeError(f"{way.name} failed: see {folder / 'log.txt'}")
    found = [json.loads(report.read_text()) for report in reports]
    return summary(found, work, seeds, total) | {"others": others}


def summary(reports: list[Line], work: Work, seeds: Sequence[int], total: float) -> Line:
    """One line of what processes that ran at the same time report."""
    examples = sum(report.get("examples", 0) for report in reports)
    if examples not in (0, len(seeds) * work.examples):  # fedast_jax's own: by its configuration
        raise RuntimeError(f"{examples} examples were trained with, not {work.examples} a seed")
    seconds = max(report["seconds"] for report in reports)
    accuracy = {seed: curve for report in reports for seed, curve in report["accuracy"].items()}
    return {
        "rate": sum(report["updates"] for report in reports) / seconds,
        "start": total - seconds,
        "compile": sum(report.get("compile", 0.0) for report in reports),
        "total": total,
        "accuracy": accuracy,
        "versions": reports[0]["versions"],
    }


def cells(lines: list[Line], updates: int) -> str:
    """Of one way and number of seeds: rate, start-up, whole, accuracy of the last tests, others."""
    rates = [line["rate"] for line in lines]
    keys = ("start", "total", "others")
    start, total, others = (statistics.median(line[key] for line in lines) for key in keys)
    last = statistics.mean(curve[-1] for line in lines for curve in line["accuracy"].values())
    return (
        f"{updates:,} | {statistics.median(rates):.1f} ({min(rates):.1f}) | {start:.1f} "
        f"| {total:.1f} | {last:.1%} | {others:.2f}"
    )


def print_table(lines: list[Line], work: Work) -> None:
    """A row for each way and number of seeds."""
    print(
        "| way | seeds | updates | updates/s (least) | start-up, s | whole, s | accuracy "
        "| busy elsewhere |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name, seeds in dict.fromkeys((line["way"], line["seeds"]) for line in lines):
        mine = [line for line in lines if (line["way"], line["seeds"]) == (name, seeds)]
        print(f"| {name} | {seeds} | {cells(mine, seeds * work.updates)} |")


def seeds_at_once(
    command: Sequence[str], seeds: Sequence[int], num_processes: int
) -> list[list[str]]:
    """Divide the seeds over processes of one core each."""
    parts = [seeds[first::num_processes] for first in range(min(num_processes, len(seeds)))]
    return [[*command, "--seeds", *map(str, part)] for part in parts]


def compare(doc: str, peer_ways: Callable[[str, Path], list[Way]]) -> None:
    """The command line of a comparison.

    Args:
        doc: of the script.
        peer_ways: the peer's, by its interpreter and the folder with the work.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", required=True, help="the peer's interpreter")
    parser.add_argument("--out", type=Path, required=True, help="folder of the measurements")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 4], help="how many at once")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], help="fedast_jax's settings, key=value")
    arguments = parser.parse_args()
    work, out = Work(arguments.rounds), arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if not is_written(work, max(arguments.seeds), out):
        write_work(work, max(arguments.seeds), out)
    ways = our_ways(work, arguments.set) + peer_ways(arguments.python, out)
    measure_all(ways, work, arguments.seeds, arguments.repeats, out)
    print_table(read_lines(out / "measurements.jsonl"), work)


def measure_all(ways: list[Way], work: Work, seeds: Sequence[int], repeats: int, out: Path) -> None:
    """Every way in turn, as often as asked for, but for what is on the disk."""
    path = out / "measurements.jsonl"
    for repeat in range(repeats):
        for number in seeds:
            for way in (way for way in ways if way.least_seeds <= number):
                key = {"way": way.name, "seeds": number, "repeat": repeat, "rounds": work.rounds}
                if not measured(read_lines(path), key):
                    line = key | measure(way, work, range(number), out)
                    append_line(path, line | machine() | {"command": " ".join(sys.argv)})
                    print(way.name, number, f"{line['rate']:.1f} updates/s", file=sys.stderr)


if __name__ == "__main__":
    ours = argparse.ArgumentParser()
    ours.add_argument("--ours", required=True)
    ours.add_argument("--set", nargs="*", default=[])
    ours.add_argument("--report", type=Path, required=True)
    found = ours.parse_args()
    run_ours(found.ours, found.set, found.report)
