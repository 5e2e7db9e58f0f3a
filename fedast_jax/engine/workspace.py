"""What compiled programs hold for a while, beside what they are given: known without compiling."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from ..config.work import LocalWork
from ..data.shapes import Data
from ..data.task_data import TaskData
from ..tasks.base import TaskFunctions
from .flops import inner_programs
from .spec import EngineSpec

COMPILER_BYTES = 120 * 2**20  # of a process on a CPU, at its first compilation
EQUATION_BYTES = 360_000  # of compiling a pool's programs on a CPU, by equation of a training step
ORDER_COPIES = 3  # random bits, what is sorted, and the order
PARAMS_COPIES = 2  # of each client: the model that it trains and the one that it started from


def _traced_once(measure: Callable[[EngineSpec, TaskData], int]) -> Callable[..., int]:
    """What was measured for a program and the sizes of its data is not measured again."""
    known: dict[tuple, int] = {}

    @wraps(measure)
    def find(spec: EngineSpec, data: TaskData) -> int:
        shapes = tuple(sorted(data.train_shapes.items()))
        key = spec.key, spec.micro_batch, spec.tests(data.num_tests), shapes
        if key not in known:
            known[key] = measure(spec, data)
        return known[key]

    return find


@_traced_once
def workspace_bytes(spec: EngineSpec, data: TaskData) -> int:
    """Bytes that a call of the engine holds beside rows and data: while it trains or tests."""
    task, shapes = spec.kind.build(spec.shape), data.train_shapes
    tests = spec.tests(data.num_tests)
    return max(
        spec.micro_batch
        * (training_bytes(task, shapes, spec.work.batch_size) + order_bytes(spec.work)),
        tests.side_by_side * testing_bytes(task, shapes, tests.chunk),
    )


@_traced_once
def program_bytes(spec: EngineSpec, data: TaskData) -> int:
    """Bytes that compiling a pool's programs leaves in the process.

    In runs of this package's kinds with up to 363 equations the process grew by 120 MiB, and 0.35
    MiB for each equation, within 50 MiB. On other devices programs are small.
    """
    if spec.backend != "cpu":
        return 0
    task = spec.kind.build(spec.shape)
    step = jax.value_and_grad(task.loss)
    inputs = _inputs(task, data.train_shapes, spec.work.batch_size)
    return EQUATION_BYTES * _num_equations(jax.make_jaxpr(step)(*inputs).jaxpr)


def training_bytes(task: TaskFunctions, data: Data, batch_size: int) -> int:
    """Bytes of one client in training: models, and what lives between forward and backward."""
    params, batch = _inputs(task, data, batch_size)
    step = live_bytes(jax.value_and_grad(task.loss), params, batch)
    return PARAMS_COPIES * _size(params) + _size(batch) + step


def order_bytes(work: LocalWork) -> int:
    """Bytes of drawing which examples each step of one request sees."""
    drawn = work.num_steps * work.batch_size
    if work.num_samples is not None and work.batch_size <= work.num_samples:
        drawn = (work.local_epochs or work.num_steps) * work.num_samples  # whole permutations
    return ORDER_COPIES * 4 * drawn


def testing_bytes(task: TaskFunctions, data: Data, num_examples: int) -> int:
    """Bytes of scoring so many examples at once."""
    params, batch = _inputs(task, data, num_examples)
    return _size(params) + _size(batch) + live_bytes(task.score, params, batch)


def live_bytes(function: Callable[..., Any], *args: Any) -> int:
    """Most bytes of results, intermediate ones included, that ``function(*args)`` holds at once.

    Counted in the traced program as if every operation wrote its result, and each result were kept
    until its last use. Compilers fuse operations (less) and lay arrays out anew (more): with it
    ``training_bytes`` is within a third of what XLA asks for on a CPU, of the kinds of this package
    but for CIFAR-100's ResNet-18, of which it is a half.
    """
    return _peak(jax.make_jaxpr(function)(*args).jaxpr)


def _inputs(task: TaskFunctions, data: Data, num_examples: int) -> tuple[Any, Any]:
    params = jax.eval_shape(task.init, jax.random.key(0))
    batch = jax.eval_shape(lambda d: task.take(d, jnp.arange(num_examples), None), data)
    return params, batch


def _size(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _peak(jaxpr: core.Jaxpr) -> int:
    last_use, alive, peak = _last_uses(jaxpr), {}, 0
    for number, equation in enumerate(jaxpr.eqns):
        alive |= {
            variable: _bytes(variable) for variable in equation.outvars if variable in last_use
        }
        inside = max(map(_inside, inner_programs(equation.params)), default=0)
        peak = max(peak, sum(alive.values()) + inside)
        alive = {variable: size for variable, size in alive.items() if last_use[variable] > number}
    return peak


def _inside(jaxpr: core.Jaxpr) -> int:
    """What an inner program holds beside its results: these are its caller's."""
    results = {variable for variable in jaxpr.outvars if not isinstance(variable, core.Literal)}
    return max(0, _peak(jaxpr) - sum(map(_bytes, results)))


def _num_equations(jaxpr: core.Jaxpr) -> int:
    return sum(
        1 + sum(map(_num_equations, inner_programs(equation.params))) for equation in jaxpr.eqns
    )


def _last_uses(jaxpr: core.Jaxpr) -> dict[core.Var, int]:
    """The equation that reads each variable last; results of the program are read after all."""
    last_use = {}
    for number, equation in enumerate(jaxpr.eqns):
        last_use |= {
            variable: number
            for variable in equation.invars
            if not isinstance(variable, core.Literal)
        }
    end = len(jaxpr.eqns)
    return last_use | {
        variable: end for variable in jaxpr.outvars if not isinstance(variable, core.Literal)
    }


def _bytes(variable: core.Var) -> int:
    shape, dtype = (getattr(variable.aval, name, None) for name in ("shape", "dtype"))
    return math.prod(shape) * getattr(dtype, "itemsize", 0) if shape is not None else 0
