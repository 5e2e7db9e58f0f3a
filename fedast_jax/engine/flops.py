"""How much arithmetic a training step is, and how fast the machine could do it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from ..data.shapes import Data
from ..tasks.base import TaskFunctions


def matmul_flops(function: Callable[..., Any], *args: Any) -> int:
    """Operations of all matrix products in ``function(*args)``, two per multiply-add.

    Counted in the traced program, so independent of backend and compiler; a loop counts its length
    times, a ``while`` loop (of unknown length) once, a choice its cheapest branch.  Element-wise
    work is left out.
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def step_flops(task: TaskFunctions, data: Data, batch_size: int) -> int:
    """Operations of one training step: forward and backward of one batch."""
    params = jax.eval_shape(task.init, jax.random.key(0))
    batch = jax.eval_shape(lambda d: task.take(d, jnp.arange(batch_size), None), data)
    return matmul_flops(jax.grad(task.loss), params, batch)


def _count(jaxpr: core.Jaxpr) -> int:
    return sum(_count_equation(equation) for equation in jaxpr.eqns)


def _count_equation(equation: core.JaxprEqn) -> int:
    if equation.primitive.name == "dot_general":
        return _dot_general_flops(equation)
    if equation.primitive.name == "cond":  # which platform it is, and the CPU has the cheaper form
        return min(map(_count, inner_programs(equation.params)))
    times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
    return times * sum(_count(inner) for inner in inner_programs(equation.params))


def _dot_general_flops(equation: core.JaxprEqn) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left_shape = equation.invars[0].aval.shape  # pyright: ignore[reportAttributeAccessIssue]
    summed = math.prod(left_shape[axis] for axis in contracted)
    out_shape = equation.outvars[0].aval.shape  # pyright: ignore[reportAttributeAccessIssue]
    return 2 * summed * math.prod(out_shape)


def inner_programs(params: dict[str, Any]) -> Iterator[core.Jaxpr]:
    """The programs that an equation runs, such as the body of a loop."""
    for value in params.values():
        for entry in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(entry, "jaxpr", entry)
            if hasattr(inner, "eqns"):
                yield inner


def gemm_peak(size: int = 2048, repeats: int = 5) -> float:
    """Best rate of a square float32 matrix product on the default device, in FLOP/s."""
    a = jnp.ones((size, size), jnp.float32)
    product = jax.jit(jnp.matmul)
    product(a, a).block_until_ready()
    return 2 * size**3 / min(_seconds(lambda: product(a, a)) for _ in range(repeats))


def _seconds(function: Callable[[], jax.Array]) -> float:
    start = time.perf_counter()
    function().block_until_ready()
    return time.perf_counter() - start
