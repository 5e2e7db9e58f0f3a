"""The engine traced with the shapes and types of its functions checked (started by test_typed.py).

Usage: typed_engine.py KIND... Nothing is compiled but what makes an initial model.
"""

from __future__ import annotations

import sys

from jaxtyping import install_import_hook

METHODS = "fedast_jax.algorithms.methods"
CHECKED = ["fedast_jax.engine", f"{METHODS}.sums", f"{METHODS}.server_optimizers"]
install_import_hook(CHECKED, "beartype.beartype")

import jax  # noqa: E402
import numpy as np  # noqa: E402

from fedast_jax.engine.engine import Engine  # noqa: E402
from fedast_jax.run import bench  # noqa: E402
from fedast_jax.tasks import get_kind  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
ROW, LANE = np.int32(0), np.uint32(0)


def trace(name: str, backend: str, precision: str) -> None:
    """Every function of the engine of one kind."""
    kind = get_kind(name)
    engine = Engine(bench.engine_spec(kind, 4, 1, backend, precision=precision))
    program, data = bench.full_batches(engine, 1), bench.random_data(kind)
    pool = jax.eval_shape(lambda: engine.empty_pool(8, 8))
    jax.eval_shape(engine.admit, pool, ROW, LANE, LANE)
    jax.eval_shape(engine.run, pool, program, data)
    jax.eval_shape(engine.spread, pool.updates, np.zeros(8, np.int32), ROW)
    windows = np.zeros((4, 7), np.int32)
    jax.eval_shape(engine.spreads, pool.updates, windows, ROW, engine.is_no_bias)
    rows = np.zeros(4, np.int32)
    jax.eval_shape(lambda *args: engine.evaluate(*args, 100), pool.versions, rows, ROW, data)


for kind_name in sys.argv[1:]:
    for backend in ("cpu", "gpu"):
        for precision in ("float32", "float64"):
            with jax.enable_x64(precision == "float64"):
                trace(kind_name, backend, precision)
