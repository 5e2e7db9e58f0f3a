"""Training rates of the engine as it starts, and of plain PyTorch, in turns on the same cores.

One update is what a client does: 27 SGD steps of the same batch on the same model, on random data
in memory. The engine runs its own program on as many devices as a run takes by itself (and on one,
for comparison); gathering, normalising and shuffling are part of it. PyTorch has the better of two
arrangements: one process with a thread a core, and a process with one thread for each core. It has
its fastest settings: the layout "channels last" for images, a fused optimizer, examples normalised
and in order. Neither side tests, aggregates or loads anything.

Every arrangement has its own processes, which wait while it is not their turn. Machines differ by
up to 1.7, and so do hours: read the ratios. Threads of PyTorch wait for each other and lose most
where other work takes a core, so a turn counts only if a square product is about as fast as ever.

Hardware: any CPU. Results are in benchmarks/README.md with the machine they were taken on.

Command: python benchmarks/against_torch.py [KIND ...] [--seconds 60] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

from fedast_jax.config.cores import usable_cores
from fedast_jax.config.versions import package_version

KINDS = ("mnist", "fashion_mnist", "cifar10", "shakespeare", "cifar100")
SLOTS = {  # of a device in one turn
    "mnist": 16, "fashion_mnist": 8, "cifar10": 1, "shakespeare": 2, "cifar100": 1,
}  # fmt: skip
BATCHES = {"mnist": 2}  # of the engine in one turn; else 1
TORCH_UPDATES = {
    "mnist": 16, "fashion_mnist": 6, "cifar10": 1, "shakespeare": 2, "cifar100": 1,
}  # fmt: skip
MOST_ROUNDS = 40
FREE = 0.8  # of the best peak: below it other work takes the cores, and the turn does not count


class Arrangement(NamedTuple):
    """How the cores are divided."""

    name: str
    side: str  # "engine" or "torch"
    num_processes: int
    each: int  # devices, or threads, of a process; 0: as many as it takes by itself


def arrangements(num_cores: int) -> list[Arrangement]:
    """All that are compared; the first is the engine as it starts."""
    return [
        Arrangement("engine", "engine", 1, 0),
        Arrangement("engine, one device", "engine", 1, 1),
        Arrangement("torch, one process", "torch", 1, num_cores),
        Arrangement("torch, a process a core", "torch", num_cores, 1),
    ]


class Group:
    """The processes of one arrangement."""

    def __init__(self, arrangement: Arrangement, kind: str) -> None:
        """Start them; their first answer comes when they are warm."""
        command = [sys.executable, __file__, "--work", arrangement.side, kind]
        self.processes = [
            subprocess.Popen(
                [*command, "--each", str(arrangement.each)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(arrangement.num_processes)
        ]

    def _ask(self, what: str) -> list[float]:
        for process in self.processes:
            assert process.stdin is not None
            print(what, file=process.stdin, flush=True)
        return self.answers()

    def answers(self) -> list[float]:
        """A number of each."""
        return [float(process.stdout.readline()) for process in self.processes if process.stdout]

    def rate(self) -> float:
        """Updates a second of all of them together, in one turn."""
        start = time.perf_counter()
        num_updates = sum(self._ask("train"))
        return num_updates / (time.perf_counter() - start)

    def peak(self) -> float:
        """Of a square matrix product, in GFLOP/s: of the engine's process alone."""
        return self._ask("multiply")[0]

    def close(self) -> None:
        """End them."""
        for process in self.processes:
            process.kill()
            process.wait()


@contextmanager
def groups(kind: str) -> Iterator[dict[str, Group]]:
    """The processes of all arrangements, by name."""
    started: dict[str, Group] = {}
    try:
        for arrangement in arrangements(usable_cores()):
            started[arrangement.name] = Group(arrangement, kind)
        for group in started.values():
            group.answers()
        yield started
    finally:
        for group in started.values():
            group.close()


def measure(kind: str, seconds: float) -> Iterator[dict[str, Any]]:
    """Rates of every arrangement, all of them again after every turn, until the time is over."""
    rates: dict[str, list[float]] = {}
    peaks: list[float] = []
    facts = {"kind": kind, "gflop": update_gflop(kind), **machine()}
    with groups(kind) as all_:
        end = time.perf_counter() + seconds
        while len(peaks) < MOST_ROUNDS and (time.perf_counter() < end or not peaks):
            for name, group in all_.items():
                rates.setdefault(name, []).append(group.rate())
            peaks.append(all_["engine, one device"].peak())
            yield {**facts, "rates": rates, "peaks": peaks}


def update_gflop(kind: str) -> float:
    """Of the matrix products of an update."""
    from fedast_jax.run.bench import update_flops
    from fedast_jax.tasks import get_kind

    return update_flops(get_kind(kind)) / 1e9


def machine() -> dict[str, Any]:
    """What the rates depend on."""
    versions = {name: package_version(name) for name in ("fedast-jax", "jax", "jaxlib", "torch")}
    return {"cpu": cpu_model(), "cores": usable_cores(), "versions": versions}


def cpu_model() -> str:
    """As Linux names it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def undisturbed(found: dict[str, Any]) -> tuple[dict[str, list[float]], list[float]]:
    """Rates and peaks of the turns in which the machine was free: a square product says so."""
    least = FREE * max(found["peaks"])
    is_free = [peak >= least for peak in found["peaks"]]
    rates = {name: list(compress(values, is_free)) for name, values in found["rates"].items()}
    return rates, list(compress(found["peaks"], is_free))


def row(found: dict[str, Any]) -> str:
    """One line of the table: medians of the rates, and of the ratios turn by turn."""
    rates, peaks = undisturbed(found)
    middle = {name: statistics.median(values) for name, values in rates.items()}
    best = max((name for name in rates if name.startswith("torch")), key=lambda name: middle[name])
    ratio = {
        name: statistics.median(a / b for a, b in zip(rates[name], rates[best], strict=True))
        for name in ("engine", "engine, one device")
    }
    share = middle["engine"] * found["gflop"] / statistics.median(peaks)
    cells = [found["kind"], *(f"{middle[name]:.3g}" for name in rates)]
    cells += [f"{ratio['engine']:.2f}", f"{ratio['engine, one device']:.2f}", f"{share:.0%}"]
    cells += [f"{len(peaks)} of {len(found['peaks'])}"]
    return f"| {' | '.join(cells)} |"


def table(all_found: list[dict[str, Any]]) -> str:
    """All rows below their head."""
    names = [arrangement.name for arrangement in arrangements(usable_cores())]
    ends = ["engine / best torch", "one device / best torch", "share of the GEMM peak", "turns"]
    head = ["kind", *(f"{name}, updates/s" for name in names), *ends]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *map(row, all_found)])


def work(side: str, kind: str, each: int) -> None:
    """Be one of the processes: warm up, then do what is asked and answer with a number."""
    train = (engine_work if side == "engine" else torch_work)(kind, each)
    print(train(), flush=True)
    for line in sys.stdin:
        print(train() if line == "train\n" else multiply(), flush=True)


def multiply() -> float:
    """GFLOP/s of a square product."""
    from fedast_jax.engine.flops import gemm_peak

    return gemm_peak(repeats=3) / 1e9


def engine_work(kind: str, num_devices: int) -> Callable[[], int]:
    """A function that trains one turn's updates and returns their number."""
    from fedast_jax.engine.devices import find_devices
    from fedast_jax.run.bench import compile_training
    from fedast_jax.tasks import get_kind

    num_devices = num_devices or find_devices()[0]
    width, num_batches = SLOTS[kind] * num_devices, BATCHES.get(kind, 1)
    run, _ = compile_training(get_kind(kind), num_batches, width=width, num_devices=num_devices)

    def train() -> int:
        run()
        return width * num_batches

    return train


def torch_work(kind: str, num_threads: int) -> Callable[[], int]:
    """The same in PyTorch."""
    from torch_training import prepare

    from fedast_jax.tasks import get_kind

    run = prepare(get_kind(kind), TORCH_UPDATES[kind], num_threads)

    def train() -> int:
        run()
        return TORCH_UPDATES[kind]

    return train


def main() -> None:
    """Measure every kind, keep the figures, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--seconds", type=float, default=60, help="of turns, for each kind")
    parser.add_argument("--json", type=Path, help="a file for every single rate")
    parser.add_argument("--show", type=Path, nargs="+", help="only print what such files hold")
    parser.add_argument("--work", choices=("engine", "torch"), help=argparse.SUPPRESS)
    parser.add_argument("--each", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.kinds[0], options.each)
        return
    if options.show:
        print(table([found for path in options.show for found in json.loads(path.read_text())]))
        return
    all_found = []
    for kind in options.kinds:
        found: dict[str, Any] = {}
        for found in measure(kind, options.seconds):
            if options.json:
                options.json.write_text(json.dumps([*all_found, found], indent=2) + "\n")
        all_found.append(found)
    print(table(all_found))


if __name__ == "__main__":
    main()
