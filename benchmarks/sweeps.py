"""What many replicates in one process gain, and what it costs to keep them safe.

- `processes`: 64 replicates of digits in one process, against one process for each, one after
  another (a few are timed and their mean stands for all); everything counts, compilation too. Then
  updates per second of 64 replicates against those of one alone, without compilation.
- `split`: 16 replicates x 3 server learning rates of MNIST as one sweep: how full the batches are,
  and where the wall time after compilation goes.
- `compilations`: XLA's compilations in runs of 1 replicate, of 64, and of 64 with three settings,
  each as in a new process.
- `checkpoints`: what one checkpoint costs, and that share of the default interval.
- `resume`: from the start of a process that resumes a killed run to its first trained segment.
- `growth`: a process that does one small run after another, compiled programs from disk.

Hardware: any; for `split`, `checkpoints` and `resume` the data of MNIST in FEDAST_DATA_DIR or
fetched by `fedast data prepare`.

Command: python benchmarks/sweeps.py WHAT [--repeats N]
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import psutil

import fedast_jax as fx
from fedast_jax.cli.work_folder import WorkFolder
from fedast_jax.results.records import Progress
from fedast_jax.results.result import Result
from fedast_jax.run import checkpoint
from fedast_jax.run.checkpoint import Checkpoints
from fedast_jax.run.simulate import simulate, simulate_together

NUM_SEEDS = 64
NUM_TIMED = 8  # of the processes
SERVER_LRS = (0.05, 0.1, 0.2)
COMPILED = "/jax/core/compile/backend_compile_duration"
DEFAULT_INTERVAL = 60  # seconds between two checkpoints
DIGITS = {
    "num_clients": 100,
    "max_updates": 1000,
    "tasks": {"digits": {"num_active": 24, "buffer_size": 2, "target_accuracy": "none"}},
}


def processes(repeats: int) -> None:
    """Seconds of one process for all replicates, and of one for each."""
    for _ in range(repeats):
        together = run_process(["--seeds", str(NUM_SEEDS)])
        alone = [run_process(["--set", f"seed={seed}"]) for seed in range(NUM_TIMED)]
        total = NUM_SEEDS * statistics.mean(alone)
        print(f"{NUM_SEEDS} together: {together:.1f} s; alone: {statistics.mean(alone):.2f} s each")
        print(f"so {total:.0f} s one after another: {total / together:.1f} times as long")
        one, many = rate(1, 4 * DIGITS["max_updates"]), rate(NUM_SEEDS, DIGITS["max_updates"])
        print(f"updates/s: one {one:.0f}, {NUM_SEEDS} {many:.0f}, ratio {many / one:.2f}")


def run_process(arguments: list[str]) -> float:
    """Seconds of one `fedast run` of digits."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "digits.toml")
        path.write_text(
            "num_clients = 100\nmax_updates = 1000\n[tasks.digits]\n"
            'num_active = 24\nbuffer_size = 2\ntarget_accuracy = "none"\n'
        )
        out = ["--out", str(Path(folder, "out"))]
        start = time.perf_counter()
        fedast("run", str(path), *arguments, *out).check_returncode()
        return time.perf_counter() - start


def fedast(*arguments: str) -> subprocess.CompletedProcess:
    """The command in a new process."""
    command = [sys.executable, "-m", "fedast_jax.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def rate(num_seeds: int, max_updates: int) -> float:
    """Updates per second of digits, without compilation."""
    result = simulate(
        fx.make_config({**DIGITS, "num_seeds": num_seeds, "max_updates": max_updates})
    )
    return result.counts.updates / (result.wall_seconds - result.seconds.compile)


def mnist(**changes: Any) -> fx.Config:
    """MNIST without a target; `server_lr` is the task's."""
    task = {"target_accuracy": "none", "server_lr": changes.pop("server_lr", 0.1)}
    return fx.make_config({**changes, "tasks": {"mnist": task}})


def split(repeats: int) -> None:
    """Fill and shares of the wall time of one sweep."""
    for _ in range(repeats):
        waiting: list[float] = []  # fill so far, as long as replicates wait to be let in

        def note(progress: Progress, waiting: list[float] = waiting) -> None:
            if progress.num_waiting:
                waiting.append(progress.fill)

        configs = [mnist(num_seeds=16, max_updates=300, server_lr=lr) for lr in SERVER_LRS]
        result = simulate_together(configs, on_progress=note, keep_requests=False)[0]
        fill = f"{result.counts.fill:.1%} in all, {waiting[-1]:.1%} while any waited"
        print(f"{result.counts.updates} updates, batches full: {fill}; {shares(result)}")


def shares(result: Result) -> str:
    """Where the wall time after compilation went."""
    seconds, wall = result.seconds, result.wall_seconds - result.seconds.compile
    parts = {"train": seconds.train, "test": seconds.test, "plan": seconds.plan}
    parts["other"] = wall - sum(parts.values())
    return f"of {wall:.1f} s " + ", ".join(
        f"{name} {part / wall:.1%}" for name, part in parts.items()
    )


def compilations(repeats: int) -> None:
    """How often XLA compiles."""
    del repeats
    for num_seeds, server_lrs in ((1, (0.1,)), (NUM_SEEDS, (0.1,)), (NUM_SEEDS, SERVER_LRS)):
        jax.clear_caches()
        with count_compilations() as count:
            simulate_together([digits_with(lr, num_seeds) for lr in server_lrs])
        print(f"{num_seeds} replicates, {len(server_lrs)} settings: {count()} compilations")


def digits_with(server_lr: float, num_seeds: int) -> fx.Config:
    """A short run."""
    task = {**DIGITS["tasks"]["digits"], "server_lr": server_lr}
    return fx.make_config(
        {"num_clients": 100, "num_seeds": num_seeds, "max_updates": 100, "tasks": {"digits": task}}
    )


@contextmanager
def count_compilations() -> Iterator[Callable[[], int]]:
    """Give a function that says how many there have been inside the block."""
    found: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        del duration_secs, kwargs
        if event == COMPILED:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield lambda: len(found)
    jax.monitoring.unregister_event_duration_listener(listen)


def checkpoints(repeats: int) -> None:
    """Cost of a checkpoint, from a run that writes one after every segment."""
    for _ in range(repeats):
        times: list[float] = []
        with tempfile.TemporaryDirectory() as folder, timed(checkpoint.Keeper, "write", times):
            config = mnist(num_seeds=16, max_updates=100, machine={"checkpoint_seconds": 0})
            result = simulate(config, checkpoints=Checkpoints(folder), keep_requests=False)
        cost, wall = statistics.mean(times), result.wall_seconds
        each = f"{cost:.3f} s each (mean), {max(times):.3f} s (most)"
        share = f"{cost / DEFAULT_INTERVAL:.2%} of the default interval"
        print(f"{len(times)} checkpoints in {wall:.0f} s: {each}: {share}")


@contextmanager
def timed(owner: type, name: str, times: list[float]) -> Iterator[None]:
    """Note the seconds of every call of a method."""
    method = getattr(owner, name)

    def call(*args: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(*args)
        finally:
            times.append(time.perf_counter() - start)

    setattr(owner, name, call)
    yield
    setattr(owner, name, method)


def resume(repeats: int) -> None:
    """Kill a run after its first checkpoint and time what goes on from there."""
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder, "out")
            begin_and_kill(out)
            start = time.time()
            command = [sys.executable, __file__, "resumed", "--folder", str(out)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            ended, compiling = map(float, done.stdout.split()[-2:])
            print(
                f"{ended - start:.1f} s to the first segment, of these compiling {compiling:.1f} s"
            )


def begin_and_kill(out: Path) -> None:
    """Start MNIST with 16 seeds; SIGKILL when it has written a checkpoint."""
    options = ["--seeds", "16", "--set", "machine.checkpoint_seconds=5", "--out", str(out)]
    command = [sys.executable, "-m", "fedast_jax.cli", "run", "mnist", *options]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = out.with_name(out.name + ".partial")
    while not list(folder.glob("checkpoints/*.npz")):
        if running.poll() is not None:
            raise RuntimeError(f"the run ended ({running.returncode}) before its first checkpoint")
        time.sleep(0.1)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()


def resumed(folder: Path) -> None:
    """Go on with a run; print the time after its first segment and the seconds of compiling."""

    def stop(progress: Progress) -> None:
        print(time.time(), progress.compile_seconds - before, flush=True)
        os._exit(0)

    work = WorkFolder.reopen(folder)
    newest = work.checkpoints.newest()
    before = newest["driver"]["seconds"]["compile"] if newest else 0.0
    simulate(
        work.job.configs[0], checkpoints=work.checkpoints, keep_requests=False, on_progress=stop
    )


def growth(repeats: int) -> None:
    """Resident memory after each hundred of runs; what they compile is kept on disk."""
    task = {"num_active": 4, "local_epochs": None, "local_steps": 1, "target_accuracy": "none"}
    config = {"num_clients": 20, "max_updates": 20, "tasks": {"digits": task}}
    config["machine"] = {"batch_width": 4}
    with tempfile.TemporaryDirectory() as folder:
        jax.config.update("jax_compilation_cache_dir", folder)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
        for number in range(1, 100 * repeats + 1):
            simulate(fx.make_config({**config, "seed": number}))
            if number % 100 == 0:
                print(f"after {number} runs: {resident_mebibytes():.0f} MiB", flush=True)


def resident_mebibytes() -> float:
    """Of this process."""
    gc.collect()
    return psutil.Process().memory_info().rss / 2**20


MEASURES = {
    "processes": processes,
    "split": split,
    "compilations": compilations,
    "checkpoints": checkpoints,
    "resume": resume,
    "growth": growth,
}


def main() -> None:
    """Measure one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=[*MEASURES, "resumed"])
    parser.add_argument("--repeats", type=int, default=1, help="of growth: hundreds of runs")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # of a process of its own
    arguments = parser.parse_args()
    if arguments.what == "resumed":
        resumed(arguments.folder)
    else:
        MEASURES[arguments.what](arguments.repeats)


if __name__ == "__main__":
    main()
