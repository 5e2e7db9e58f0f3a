"""How long from `fedast run` to the first result on the terminal?

A run is started in a terminal of its own and killed once the progress line shows a first accuracy:
Python's and JAX's start, reading the data, sizing, compiling, and the first batches and test.
*cold*: the cache folder is empty, so that the data set is read from its original files; *warm*: the
next starts.  Compiled programs are not kept between processes either way.

Hardware: any with a POSIX terminal; data in FEDAST_DATA_DIR or fetched by `fedast data prepare`.

Command: python benchmarks/start.py [CONFIG] [--repeats 5]
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

FIRST_RESULT = re.compile(rb"\d\.\d%")
LONGEST = 120.0  # seconds


def seconds_to_first_result(config: str, folder: Path) -> float:
    """Start a run in a new folder below ``folder``, which also holds the cache."""
    out = folder / f"run-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "fedast_jax.cli", "run", config, "--out", str(out)]
    environment = os.environ | {"FEDAST_CACHE_DIR": str(folder / "cache")}
    began = time.monotonic()
    process, terminal = pty.fork()
    if not process:
        os.execve(sys.executable, command, environment)
    shown = b""
    try:
        while not FIRST_RESULT.search(shown):
            if time.monotonic() - began > LONGEST:
                sys.exit(f"no result within {LONGEST:.0f} s; the terminal shows:\n{shown.decode()}")
            shown += os.read(terminal, 4096)
        return time.monotonic() - began
    except OSError:  # the run has ended
        sys.exit(f"the run ended without a result:\n{shown.decode()}")
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="seconds to the first result")
    parser.add_argument("config", nargs="?", default="mnist")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    cold, warm = [], []
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(seconds_to_first_result(arguments.config, Path(folder)))
            warm.append(seconds_to_first_result(arguments.config, Path(folder)))
    print("| start | median, s | least | most |\n|---|---|---|---|")
    for name, values in (("cold", cold), ("warm", warm)):
        print(
            f"| {name} | {statistics.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |"
        )


if __name__ == "__main__":
    main()
