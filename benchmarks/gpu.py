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
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECTIONS = ("roofline", "rates", "bits", "parts", "flags", "more")
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
TINY = {"mnist": 2, "fashion_mnist": 2, "cifar10": 1, "shakespeare": 1}  # local steps


class Notes:
    """Lines of DIR/results.jsonl."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "results.jsonl"

    def add(self, what: str, **values: Any) -> None:
        """Write one measurement down, now."""
        line = json.dumps({"what": what, **values})
        print(line, flush=True)
        with self.path.open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def roofline(notes: Notes, args: argparse.Namespace) -> None:
    """Peaks of products and copies, what a look of the host costs, what a small kernel."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    size = 256 if args.tiny else 8192
    device = jax.devices()[0]
    notes.add("device", kind=device.device_kind, jax=jax.__version__, backend=device.platform)
    a = jax.random.normal(jax.random.key(0), (size, size))
    for precision in ("highest", "tensorfloat32", "bfloat16"):
        x = a.astype(jnp.bfloat16) if precision == "bfloat16" else a
        with jax.default_matmul_precision("default" if x.dtype == jnp.bfloat16 else precision):
            seconds = best(jax.jit(lambda x: x @ x), x)
        notes.add("gemm", precision=precision, size=size, tflops=2e-12 * size**3 / seconds)
    for batch, m, k, n in [(256, 32, 784, 200), (64, 64, 1600, 3200), (256, 64, 100, 400)]:
        left = jax.random.normal(jax.random.key(1), (batch, m, k))
        right = jax.random.normal(jax.random.key(2), (batch, k, n))
        for precision in ("highest", "tensorfloat32"):
            with jax.default_matmul_precision(precision):
                seconds = best(jax.jit(jnp.matmul), left, right)
            rate = 2e-12 * batch * m * k * n / seconds
            notes.add("batched", precision=precision, shape=[batch, m, k, n], tflops=rate)
    big = jnp.ones(1 << (16 if args.tiny else 30), jnp.float32)
    seconds = best(jax.jit(lambda x: x + 1), big)
    notes.add("copy", bytes=2 * big.nbytes, terabytes_per_second=2e-12 * big.nbytes / seconds)
    small, turns = jnp.ones(1024), 2000
    known = jax.jit(lambda x: lax.fori_loop(0, turns, lambda i, x: x * 1.0001, x))
    asked = jax.jit(lambda x, n: lax.fori_loop(0, n, lambda i, x: x * 1.0001, x))
    notes.add("loop", known_us=1e6 * best(known, small) / turns,
              asked_us=1e6 * best(asked, small, jnp.int32(turns)) / turns)  # fmt: skip


def best(function: Callable, *arguments: Any, repeats: int = 5) -> float:
    """Least seconds of a call, after one that compiles; several calls are queued at a time."""
    import jax

    jax.block_until_ready(function(*arguments))
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready([function(*arguments) for _ in range(4)])
        found.append((time.perf_counter() - start) / 4)
    return min(found)


def rates(notes: Notes, args: argparse.Namespace) -> None:
    """End to end, the most telling runs."""
    measure_all(RATES, notes, args)


def more(notes: Notes, args: argparse.Namespace) -> None:
    """The rest of the table."""
    measure_all(MORE, notes, args)


def measure_all(runs: list, notes: Notes, args: argparse.Namespace) -> None:
    """One after another; one that fails is noted."""
    for kind, replicates, width, precision in runs[: 5 if args.tiny else None]:
        where = {"kind": kind, "replicates": replicates, "width": width, "precision": precision}
        if args.tiny:
            where |= {"replicates": min(replicates, 2), "width": 8}
        try:
            notes.add("rate", **where, **measure(**where, args=args))
        except Exception as error:
            notes.add("failed", **where, error=f"{type(error).__name__}: {error}"[:600])


def table(kind: str, replicates: int, width: int, precision: str, args: argparse.Namespace) -> dict:
    """A configuration that does not end by itself."""
    task: dict[str, Any] = {"target_accuracy": "none"}
    if args.tiny:
        task |= {"local_steps": TINY[kind], "test_samples": 50}
        task |= {"num_active": 12}
    return {
        "num_clients": 100 if args.tiny else 1000,
        "num_seeds": replicates,
        "machine": {"batch_width": width, "precision": precision},
        "max_updates": 200 if args.tiny else 1_000_000,
        "tasks": {kind: task},
    }


def measure(
    kind: str, replicates: int, width: int, precision: str, args: argparse.Namespace
) -> dict[str, Any]:
    """Updates per second of a run, after its first segment, and where the time went."""
    import jax

    import fedast_jax as fx
    from fedast_jax.run.bench import update_flops
    from fedast_jax.tasks import get_kind

    marks: list[dict[str, float]] = []
    begun = time.perf_counter()

    def mark(driver: Any) -> None:
        everyone = [*driver.resident, *driver.done]
        marks.append(
            {
                "wall": time.perf_counter(),
                "updates": driver.counts.updates,
                "slots": driver.counts.slots,
                "tests": sum(len(one.evaluations) for one in everyone),
                "resident": len(driver.resident),
                **vars(driver.executor.seconds),
            }
        )

    def is_stopped() -> bool:
        late = time.perf_counter() - (marks[0]["wall"] if marks else begun)
        return (len(marks) > 1 and late > args.each) or late > 60

    fx.simulate(
        fx.make_config(table(kind, replicates, width, precision, args)),
        on_segment=mark,
        is_stopped=is_stopped,
        keep_requests=False,
    )
    if not marks:
        raise RuntimeError(f"no segment ended within {time.perf_counter() - begun:.0f} s")
    start = {**dict.fromkeys(marks[0], 0.0), "wall": begun}
    first, last = (marks[0] if len(marks) > 1 else start), marks[-1]
    spent = {key: last[key] - first[key] for key in last}
    rate = spent["updates"] / spent["wall"]
    stats = jax.devices()[0].memory_stats() or {}
    return {
        "updates_per_second": round(rate, 2),
        "train_only": round(spent["updates"] / max(spent["train"], 1e-9), 2),
        "tests_per_second_of_testing": round(spent["tests"] / max(spent["test"], 1e-9), 2),
        "tflops": round(rate * update_flops(get_kind(kind)) / 1e12, 3),
        "shares": {key: round(spent[key] / spent["wall"], 3) for key in ("train", "test", "plan")},
        "fill": round(spent["updates"] / max(spent["slots"], 1), 3),
        "seconds": round(spent["wall"], 2),
        "segments": len(marks),
        "resident": last["resident"],
        "compile_seconds": round(last["compile"], 1),
        "start_seconds": round(marks[0]["wall"] - begun, 1),
        "peak_gib": round(stats.get("peak_bytes_in_use", 0) / 2**30, 2),
    }


def parts(notes: Notes, args: argparse.Namespace) -> None:
    """A step of the engine taken apart: training, rounds, empty; and one test."""
    widths = {"mnist": 256, "fashion_mnist": 256, "cifar10": 64, "shakespeare": 256}
    for kind, width in list(widths.items())[: 1 if args.tiny else None]:
        try:
            notes.add("parts", kind=kind, **step_parts(kind, 8 if args.tiny else width))
        except Exception as error:
            notes.add("failed", kind=kind, error=f"{type(error).__name__}: {error}"[:600])


def step_parts(name: str, width: int) -> dict[str, Any]:
    """Milliseconds of a batch: all, with nothing to train, with no rounds to close, empty."""
    import jax
    import numpy as np

    from fedast_jax.engine.engine import Engine
    from fedast_jax.run import bench
    from fedast_jax.tasks import get_kind

    steps = 2
    spec = bench.engine_spec(get_kind(name), width, steps, jax.default_backend())
    engine = Engine(spec)
    data, pool = bench.random_data(spec.kind), bench.random_pool(engine)
    full, bare = (bench.full_batches(engine, rounds) for rounds in (width // 3, 0))
    none = np.zeros_like(full.num_slots)
    programs = {
        "all": full,
        "training": bare,
        "rounds": full._replace(num_slots=none),
        "empty": bare._replace(num_slots=none),
    }
    found: dict[str, Any] = {"width": width, "micro_batch": spec.micro_batch}
    for key, program in programs.items():
        program = jax.device_put(program, engine.everywhere)
        seconds = []
        for _ in range(4):
            start = time.perf_counter()
            pool = jax.block_until_ready(engine.run(pool, program, data))
            seconds.append(time.perf_counter() - start)
        found[f"{key}_ms"] = round(1e3 * min(seconds[1:]) / steps, 3)
    number = min(bench.NUM_EXAMPLES, 10_000)
    rows = np.zeros(64, np.int32)
    seconds = best(lambda: engine.evaluate(pool.versions, rows, np.int32(64), data, number))
    found["test_ms"] = round(1e3 * seconds / 64 * (10_000 / number), 4)
    return found


def bits(notes: Notes, args: argparse.Namespace) -> None:
    """The same run in two processes, and one that is interrupted and resumed in a third."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second", "interrupted", "resumed"):
            kept = folder if name in ("interrupted", "resumed") else ""
            digest = child(["--digest", name, "--kept", kept], args, limit=150)
            notes.add("digest", process=name, digest=digest)


def digest(args: argparse.Namespace) -> str:
    """Of models and tests of one small run; as often as it takes with ``--kept``."""
    import numpy as np

    import fedast_jax as fx
    from fedast_jax.run.checkpoint import Checkpoints

    config = table("fashion_mnist", 2, 8 if args.tiny else 64, "float32", args)
    config["max_updates"] = 60 if args.tiny else 400
    config["machine"]["checkpoint_seconds"] = 0
    segments: list[int] = []
    result = fx.simulate(
        fx.make_config(config),
        keep_models=True,
        checkpoints=Checkpoints(args.kept) if args.kept else None,
        on_segment=lambda driver: segments.append(1),
        is_stopped=lambda: args.digest == "interrupted" and bool(segments),
    )
    found = hashlib.sha256()
    for name, leaf in sorted(result.models().items()):
        found.update(name.encode() + np.asarray(leaf).tobytes())
    found.update(result.evaluations.to_csv().encode())
    return f"{result.status} {len(result.evaluations)} tests {found.hexdigest()[:16]}"


def flags(notes: Notes, args: argparse.Namespace) -> None:
    """Options of the compiler, each in a process of its own."""
    for name, value in FLAGS.items():
        if args.tiny and name != "default":
            continue
        for kind in ("mnist", "shakespeare"):
            text = child(["--flagged", kind], args, limit=90, flags=value)
            notes.add("flags", flags=name, kind=kind, found=text)


def flagged(args: argparse.Namespace) -> str:
    """One rate, as text."""
    found = measure(args.flagged, 2 if args.tiny else 8, 8 if args.tiny else 64, "float32", args)
    keys = ("updates_per_second", "train_only", "tests_per_second_of_testing", "compile_seconds")
    return json.dumps({key: found[key] for key in keys})


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
    show(args.out / "results.jsonl")


def show(path: Path) -> None:
    """The rates as a table."""
    print("task            reps     W precision      updates/s  train  tests/s  fill  compile_s")
    for line in path.read_text().splitlines() if path.exists() else ():
        one = json.loads(line)
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
        globals()[args.section](Notes(args.out), args)
    else:
        run_sections(args)


if __name__ == "__main__":
    main()
