"""What the engine's programs are on an H200, counted without one.

XLA compiles for the chip on any machine: kernels, loops whose end the host must ask for, buffers
and workspace are those of the real program; only times need the device.

Hardware: none but a CPU; about 10 s a program.  Needs the extra "gpu-aot"; an older copy of these
packages can also be unpacked to a folder named by PYTHONPATH.

Command: python benchmarks/gpu_programs.py [--kinds mnist cifar10] [--widths 64 256 1024] [--json]
         [--lstm-in-one-kernel]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

TARGETS: dict[str, dict[str, int]] = {
    "mnist": {"kernels": 700, "test_kernels": 10},
    "fashion_mnist": {"kernels": 1250, "test_kernels": 15},
    "cifar10": {"kernels": 1750, "test_kernels": 20},
    "shakespeare": {"kernels": 25_000, "test_kernels": 350},
}
"""Most kernels of a micro-batch with its share of the rounds, and of one test."""

MOST_WAITS, MOST_ACTIONS = 10, 100  # of a batch
MOST_WORKSPACE = {("cifar10", 1024): 6 * 2**30}
STEPS = 8
NUM_TESTS, TESTED = 10_000, 64
DATA = {"mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000}
TEXT = (3_600_000, 3_000_000)  # characters, windows


def missing() -> str | None:
    """Why nothing can be compiled here, or None."""
    plugins = importlib.util.find_spec("jax_plugins")
    if plugins is None or importlib.util.find_spec("jax_plugins.xla_cuda13") is None:
        return "jax-cuda13-plugin and jax-cuda13-pjrt are not installed"
    return None if toolkit() else "nvidia-cuda-nvcc and nvidia-nvvm are not installed"


def toolkit() -> Path | None:
    """The folder of the compiler's device libraries."""
    found = importlib.util.find_spec("nvidia")
    places = found.submodule_search_locations if found else None
    folders = [Path(one) / "cu13" for one in places or []]
    return next((one for one in folders if (one / "nvvm").is_dir()), None)


def environment() -> dict[str, str]:
    """What must be set before JAX starts."""
    folder = toolkit()
    flags = [
        os.environ.get("XLA_FLAGS", ""),
        f"--xla_gpu_cuda_data_dir={folder}",
        "--xla_gpu_autotune_level=0",
        "--xla_gpu_enable_triton_gemm=false",
    ]
    return {
        "JAX_PLATFORMS": "cpu",
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
        "XLA_FLAGS": " ".join(flags).strip(),
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
    }


def compile_programs(
    name: str, width: int, precision: str, in_one_kernel: bool = False
) -> dict[str, Any]:
    """Compile training and tests of a kind for an H200, and count."""
    import jax
    import jax.numpy as jnp
    from hlo import Instruction, Module
    from traffic import Traffic

    from fedast_jax.engine.engine import Engine, PoolArrays
    from fedast_jax.run import bench
    from fedast_jax.tasks import get_kind, shakespeare

    kind = get_kind(name)
    if in_one_kernel:
        kind = replace(kind, build=partial(shakespeare.build, in_one_kernel=True))
    spec = bench.engine_spec(kind, width, STEPS, "gpu", precision=precision)
    engine = Engine(spec, h200_mesh())

    def shaped(shape: tuple[int, ...], dtype: Any) -> Any:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=engine.everywhere)

    def like(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: shaped(leaf.shape, leaf.dtype), tree)

    rows, size = max(200, 2 * width), engine.num_params + engine.server.num_state
    pool = PoolArrays(
        shaped((rows, size), jnp.float32),
        shaped((rows, engine.num_params), jnp.float32),
        shaped((rows,), jnp.float32),
    )
    program, data = like(bench.full_batches(engine, width // 3)), data_shapes(kind, shaped)
    run: Any = engine.run.lower(pool, program, data[0]).compile()
    chosen = shaped((TESTED,), jnp.int32)
    given = pool.versions, chosen, shaped((), jnp.int32), data[1], NUM_TESTS
    test: Any = engine.evaluate.lower(*given).compile()
    num_groups = width // spec.micro_batch
    num_looks = -(-num_groups // spec.groups_at_once)
    at_once = spec.tests(NUM_TESTS).side_by_side

    def looks(line: Instruction) -> float:
        return num_looks

    def groups(line: Instruction) -> float:
        return -(-TESTED // at_once)

    trained, tested = Module(run.as_text()), Module(test.as_text())
    in_graphs = Module(run.as_text(), loops_in_graphs=True)
    counts = trained.count(looks).times(1 / STEPS)
    of_tests = tested.count(groups).times(1 / TESTED)
    memory = run.memory_analysis()
    return {
        "kind": name,
        "in_one_kernel": in_one_kernel,
        "width": width,
        "micro_batch": spec.micro_batch,
        "waits": counts.waits,
        "actions": counts.actions,
        "actions_with_loops_in_graphs": in_graphs.count(looks).actions / STEPS,
        "kernels": counts.kernels,
        "kernels_of_a_micro_batch": counts.kernels / num_groups,
        "test_kernels": of_tests.kernels,
        "test_waits": of_tests.waits,
        "workspace": memory.temp_size_in_bytes,
        "test_workspace": test.memory_analysis().temp_size_in_bytes,
        "mb_of_an_update": Traffic(trained, looks).total() / 1e6 / (STEPS * width),
        "atomics": trained.atomics() + tested.atomics(),
    }


def data_shapes(kind: Any, shaped: Any) -> tuple[Any, ...]:
    """Training and test data as on the device."""
    import jax.numpy as jnp

    from fedast_jax.run.bench import shape_of

    if kind.name == "shakespeare":
        text = {"text": shaped(TEXT[:1], jnp.uint8), "starts": shaped(TEXT[1:], jnp.int32)}
        return text, {**text, "starts": shaped((NUM_TESTS,), jnp.int32)}
    return tuple(
        {
            "images": shaped((number, *shape_of(kind).input_shape), jnp.uint8),
            "labels": shaped((number,), jnp.int32),
        }
        for number in (DATA.get(kind.name, 50_000), NUM_TESTS)
    )


def h200_mesh() -> Any:
    """One H200 that is not there."""
    import numpy as np
    from h200 import TARGET
    from jax.experimental import topologies
    from jax.sharding import Mesh

    from fedast_jax.engine.devices import AXIS

    there = topologies.get_topology_desc("h200", "cuda", topology="1x1x1", target_config=TARGET)
    return Mesh(np.array(there.devices), (AXIS,))


def misses(found: dict[str, Any]) -> list[str]:
    """Targets that are not met, in words."""
    targets = TARGETS.get(found["kind"], {})
    limits = {
        "waits": MOST_WAITS,
        "actions": MOST_ACTIONS,
        "kernels_of_a_micro_batch": targets.get("kernels"),
        "test_kernels": targets.get("test_kernels"),
        "workspace": MOST_WORKSPACE.get((found["kind"], found["width"])),
    }
    over = [
        f"{key} {found[key]:.6g} > {limit}"
        for key, limit in limits.items()
        if limit is not None and found[key] > limit
    ]
    return over + [f"atomic sums of floats: {found['atomics']}"] * bool(found["atomics"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=sorted(TARGETS))
    parser.add_argument("--widths", nargs="+", type=int, default=[64, 256, 1024])
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--lstm-in-one-kernel", action="store_true", help="of shakespeare alone")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if why := missing():
        sys.exit(f"{why}; run: pip install '.[gpu-aot]'")
    if os.environ.get("JAX_SKIP_CUDA_CONSTRAINTS_CHECK") is None:  # JAX reads these when it starts
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | environment())
    every = []
    for name in args.kinds:
        for width in args.widths:
            in_one_kernel = args.lstm_in_one_kernel and name == "shakespeare"
            found = compile_programs(name, width, args.precision, in_one_kernel)
            every.append({**found, "misses": misses(found)})
            print(json.dumps(every[-1]) if args.json else line(every[-1]), flush=True)


def line(found: dict[str, Any]) -> str:
    """One program, for people."""
    in_graphs = found["actions_with_loops_in_graphs"]
    return (
        f"{found['kind']:14} W {found['width']:5} by {found['micro_batch']:4}: a batch"
        f" {found['waits']:.3g} waits, {found['actions']:.0f} actions"
        f" ({in_graphs:.2g} with loops in graphs), {found['kernels']:.0f} kernels;"
        f" {found['mb_of_an_update']:.0f} MB an update;"
        f" a test {found['test_kernels']:.3g} kernels, {found['test_waits']:.2g} waits; workspace"
        f" {found['workspace'] / 2**30:.2f} and {found['test_workspace'] / 2**30:.2f} GiB"
        + "".join(f"\n    MISSED: {miss}" for miss in found["misses"])
    )


if __name__ == "__main__":
    main()
