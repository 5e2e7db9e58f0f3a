"""The four tasks on one GPU: rates end to end, where the time goes, and whether bits repeat.

Every measurement is written to DIR/results.jsonl as soon as it is made, so that a run that is
killed loses nothing; a section that fails or takes too long does not stop the others.  Rates are
those of `fx.simulate` as a user runs it, tests of 10,000 examples included, from the end of the
first segment on; compiling is apart.  A data set that is not in FEDAST_DATA_DIR is replaced by
seeded random images of its shape and named so (CIFAR-10 only).

Hardware: one GPU (any backend will do for a smoke test: --tiny).

Command: python benchmarks/gpu.py --out DIR [--seconds 560] [--sections roofline rates ...] [--tiny]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from gpu_lstm import lstm
from gpu_measures import Note, digest, measure, roofline, step_parts
from lines import append_line, read_lines

RESULTS = "results.jsonl"
FLAGS = {
    "default": "",
    "while": "--xla_gpu_enable_command_buffer=+WHILE --xla_gpu_graph_min_graph_size=1",
    "no_graph": "--xla_gpu_enable_command_buffer=",
    "deterministic": "--xla_gpu_deterministic_ops=true",
}
RATES = [
    ("mnist", 64, 256, "float32"),
    ("fashion_mnist", 64, 256, "float32"),
    ("cifar10", 64, 128, "float32"),
    ("shakespeare", 64, 256, "float32"),
    ("mnist", 64, 256, "tensorfloat32"),
    ("fashion_mnist", 64, 256, "tensorfloat32"),
    ("cifar10", 64, 128, "tensorfloat32"),
    ("shakespeare", 64, 256, "tensorfloat32"),
    ("mnist", 1, 32, "float32"),
    ("mnist", 8, 128, "float32"),
    ("mnist", 64, 1024, "float32"),
]
"""Task, replicates, W, precision: the most telling first."""

MORE = [
    ("fashion_mnist", 64, 1024, "float32"),
    ("fashion_mnist", 1, 32, "float32"),
    ("fashion_mnist", 8, 128, "float32"),
    ("cifar10", 1, 32, "float32"),
    ("cifar10", 8, 64, "float32"),
    ("shakespeare", 1, 32, "float32"),
    ("shakespeare", 8, 128, "float32"),
    ("cifar10", 64, 1024, "float32"),
    ("shakespeare", 64, 1024, "float32"),
]


def add_note(path: Path, what: str, **values: Any) -> None:
    """Write one measurement down, now."""
    line = {"what": what, **values}
    print(json.dumps(line), flush=True)
    append_line(path, line)


def rates(note: Note, args: argparse.Namespace) -> None:
    """End to end, the most telling runs."""
    measure_all(RATES, note, args)


def more(note: Note, args: argparse.Namespace) -> None:
    """The rest of the table."""
    measure_all(MORE, note, args)


def measure_all(runs: list, note: Note, args: argparse.Namespace) -> None:
    """One after another; one that fails is noted."""
    for kind, replicates, width, precision in runs[: 5 if args.tiny else None]:
        where = {"kind": kind, "replicates": replicates, "width": width, "precision": precision}
        if args.tiny:
            where |= {"replicates": min(replicates, 2), "width": 8}
        try:
            note("rate", **where, **measure(**where, args=args))
        except Exception as error:
            note("failed", **where, error=f"{type(error).__name__}: {error}"[:600])


def parts(note: Note, args: argparse.Namespace) -> None:
    """A step of the engine taken apart: training, rounds, empty; and one test."""
    widths = {"mnist": 256, "fashion_mnist": 256, "cifar10": 64, "shakespeare": 256}
    for kind, width in list(widths.items())[: 1 if args.tiny else None]:
        try:
            note("parts", kind=kind, **step_parts(kind, 8 if args.tiny else width))
        except Exception as error:
            note("failed", kind=kind, error=f"{type(error).__name__}: {error}"[:600])


def bits(note: Note, args: argparse.Namespace) -> None:
    """The same run in two processes, and one that is interrupted and resumed in a third."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second", "interrupted", "resumed"):
            kept = folder if name in ("interrupted", "resumed") else ""
            said = child(["--digest", name, "--kept", kept], args, limit=150)
            note("digest", process=name, digest=said)


def flags(note: Note, args: argparse.Namespace) -> None:
    """Options of the compiler, each in a process of its own."""
    for name, value in FLAGS.items():
        if args.tiny and name != "default":
            continue
        for kind in ("mnist", "shakespeare"):
            text = child(["--flagged", kind], args, limit=90, flags=value)
            note("flags", flags=name, kind=kind, found=text)


def flagged(args: argparse.Namespace) -> str:
    """One rate, as text."""
    found = measure(args.flagged, 2 if args.tiny else 8, 8 if args.tiny else 64, "float32", args)
    keys = ("updates_per_second", "train_only", "tests_per_second_of_testing", "compile_seconds")
    return json.dumps({key: found[key] for key in keys})


SECTIONS = {
    "roofline": roofline,
    "rates": rates,
    "bits": bits,
    "parts": parts,
    "lstm": lstm,
    "flags": flags,
    "more": more,
}


def child(more: list[str], args: argparse.Namespace, limit: float, flags: str = "") -> str:
    """The last line that this file prints in a new process, or why there is none."""
    command = [sys.executable, __file__, "--out", str(args.out), "--each", str(args.each), *more]
    command += ["--tiny"] if args.tiny else []
    env = {**os.environ, "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=env)
    except subprocess.TimeoutExpired:
        return f"took more than {limit} s"
    lines = done.stdout.strip().splitlines()
    return lines[-1] if lines and not done.returncode else done.stderr.strip()[-500:]


def data_folder() -> tempfile.TemporaryDirectory:
    """FEDAST_DATA_DIR with what is missing of CIFAR-10 made up."""
    import numpy as np

    given, folder = Path(os.environ.get("FEDAST_DATA_DIR", ".")), tempfile.TemporaryDirectory()
    for one in given.iterdir():
        (Path(folder.name) / one.name).symlink_to(one.resolve())
    made = Path(folder.name) / "cifar10"
    if not made.exists():
        made.mkdir()
        rng = np.random.default_rng(0)
        for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
            rows = rng.integers(0, 256, (10_000, 3073), dtype=np.uint8)
            rows[:, 0] %= 10
            rows.tofile(made / name)
        names = "airplane automobile bird cat deer dog frog horse ship truck"
        (made / "batches.meta.txt").write_text(names.replace(" ", "\n") + "\n")
        print("cifar10: random images (no files in FEDAST_DATA_DIR)", flush=True)
    return folder


def run_sections(args: argparse.Namespace) -> None:
    """Each in a process of its own, until the time is over."""
    args.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + args.seconds
    with data_folder() as folder:
        env = {**os.environ, "FEDAST_DATA_DIR": folder}
        env.setdefault("FEDAST_CACHE_DIR", f"{folder}/cache")
        for section in args.sections:
            left = end - time.monotonic()
            if left < 20:
                print(f"no time left for {section}", flush=True)
                continue
            command = [sys.executable, __file__, "--out", str(args.out), "--section", section]
            command += ["--each", str(args.each), *(["--tiny"] if args.tiny else [])]
            try:
                subprocess.run(command, env=env, timeout=left, check=False)
            except subprocess.TimeoutExpired:
                print(f"{section} was stopped: no time left", flush=True)
    show(args.out / RESULTS)


def show(path: Path) -> None:
    """The rates as a table."""
    print("task            reps     W precision      updates/s  train  tests/s  fill  compile_s")
    for one in read_lines(path):
        if one["what"] == "rate":
            print(
                f"{one['kind']:14} {one['replicates']:5} {one['width']:5} {one['precision']:14}"
                f" {one['updates_per_second']:9} {one['train_only']:8}"
                f" {one['tests_per_second_of_testing']:8} {one['fill']:5}"
                f" {one['compile_seconds']:6}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=560, help="of everything")
    parser.add_argument("--each", type=float, default=5, help="seconds of one rate")
    parser.add_argument("--sections", nargs="+", default=list(SECTIONS), choices=SECTIONS)
    parser.add_argument("--tiny", action="store_true", help="a smoke test on any machine")
    parser.add_argument("--section", choices=SECTIONS, help=argparse.SUPPRESS)
    parser.add_argument("--digest", help=argparse.SUPPRESS)
    parser.add_argument("--kept", default="", help=argparse.SUPPRESS)
    parser.add_argument("--flagged", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.out = args.out.resolve()
    if args.digest:
        print(digest(args))
    elif args.flagged:
        print(flagged(args))
    elif args.section:
        SECTIONS[args.section](partial(add_note, args.out / RESULTS), args)
    else:
        run_sections(args)


if __name__ == "__main__":
    main()
