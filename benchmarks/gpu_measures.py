"""What `gpu.py` measures: peaks, whole runs, parts of a step, and the bits of a run."""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedast_jax.results.records import Progress

Note = Callable[..., None]  # ``note(what, **values)``
TINY = {"mnist": 2, "fashion_mnist": 2, "cifar10": 1, "shakespeare": 1}  # local steps


def roofline(note: Note, args: argparse.Namespace) -> None:
    """Peaks of products and copies, what a look of the host costs, what a small kernel."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    size = 256 if args.tiny else 8192
    device = jax.devices()[0]
    note("device", kind=device.device_kind, jax=jax.__version__, backend=device.platform)
    a = jax.random.normal(jax.random.key(0), (size, size))
    for precision in ("highest", "tensorfloat32", "bfloat16"):
        x = a.astype(jnp.bfloat16) if precision == "bfloat16" else a
        with jax.default_matmul_precision("default" if x.dtype == jnp.bfloat16 else precision):
            seconds = best(jax.jit(lambda x: x @ x), x)
        note("gemm", precision=precision, size=size, tflops=2e-12 * size**3 / seconds)
    for batch, m, k, n in [(256, 32, 784, 200), (64, 64, 1600, 3200), (256, 64, 100, 400)]:
        left = jax.random.normal(jax.random.key(1), (batch, m, k))
        right = jax.random.normal(jax.random.key(2), (batch, k, n))
        for precision in ("highest", "tensorfloat32"):
            with jax.default_matmul_precision(precision):
                seconds = best(jax.jit(jnp.matmul), left, right)
            rate = 2e-12 * batch * m * k * n / seconds
            note("batched", precision=precision, shape=[batch, m, k, n], tflops=rate)
    big = jnp.ones(1 << (16 if args.tiny else 30), jnp.float32)
    seconds = best(jax.jit(lambda x: x + 1), big)
    note("copy", bytes=2 * big.nbytes, terabytes_per_second=2e-12 * big.nbytes / seconds)
    small, turns = jnp.ones(1024), 2000
    known = jax.jit(lambda x: lax.fori_loop(0, turns, lambda i, x: x * 1.0001, x))
    asked = jax.jit(lambda x, n: lax.fori_loop(0, n, lambda i, x: x * 1.0001, x))
    note("loop", known_us=1e6 * best(known, small) / turns,
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

    marks: list[tuple[float, Progress]] = []
    begun = time.perf_counter()

    def is_stopped() -> bool:
        late = time.perf_counter() - (marks[0][0] if marks else begun)
        return (len(marks) > 1 and late > args.each) or late > 60

    result = fx.simulate(
        fx.make_config(table(kind, replicates, width, precision, args)),
        on_progress=lambda progress: marks.append((time.perf_counter(), progress)),
        is_stopped=is_stopped,
        keep_requests=False,
    )
    if len(marks) < 2:
        raise RuntimeError(f"{len(marks)} segments ended in {time.perf_counter() - begun:.0f} s")
    (start, first), (end, last) = marks[0], marks[-1]
    seconds = end - start - (last.compile_seconds - first.compile_seconds)
    rate, spent = (last.updates - first.updates) / seconds, result.seconds
    stats = jax.devices()[0].memory_stats() or {}
    return {
        "updates_per_second": round(rate, 2),
        "train_only": round(last.updates / max(spent.train, 1e-9), 2),
        "tests_per_second_of_testing": round(len(result.evaluations) / max(spent.test, 1e-9), 2),
        "tflops": round(rate * update_flops(get_kind(kind)) / 1e12, 3),
        "seconds_of": {key: round(getattr(spent, key), 2) for key in ("train", "test", "plan")},
        "fill": round(last.fill, 3),
        "seconds": round(seconds, 2),
        "segments": len(marks),
        "compile_seconds": round(last.compile_seconds, 1),
        "start_seconds": round(start - begun, 1),
        "peak_gib": round(stats.get("peak_bytes_in_use", 0) / 2**30, 2),
    }


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
        on_progress=lambda progress: segments.append(1),
        is_stopped=lambda: args.digest == "interrupted" and bool(segments),
    )
    found = hashlib.sha256()
    for name, leaf in sorted(result.models().items()):
        found.update(name.encode() + np.asarray(leaf).tobytes())
    found.update(result.evaluations.to_csv().encode())
    return f"{result.status} {len(result.evaluations)} tests {found.hexdigest()[:16]}"
