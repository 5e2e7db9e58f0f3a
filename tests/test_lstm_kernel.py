"""The LSTM in one kernel against the loop, interpreted on the CPU; and what a GPU is given."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fedast_jax.tasks import Shape
from fedast_jax.tasks.next_symbol import TextBatch
from fedast_jax.tasks.nn.lstm import last_state
from fedast_jax.tasks.shakespeare import build

ODD = (33, 3, 17)  # batch, time, hidden: neither fills its blocks, and two programs are needed
FAST = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def arguments(batch: int, time: int, hidden: int, dtype: type = np.float64):
    """Table of 7 symbols, kernel, symbols, and the gradient of the last state."""
    rng = np.random.default_rng(0)
    shapes = (7, 4 * hidden), (hidden, 4 * hidden), (batch, hidden)
    table, kernel, weight = (jnp.asarray(rng.normal(size=one), dtype) for one in shapes)
    kernel = kernel / np.sqrt(hidden).astype(dtype)
    return table, kernel, jnp.asarray(rng.integers(0, 7, (batch, time), np.int32)), weight


def gradients(in_one_kernel: bool, table, kernel, symbols, weight):
    """The last state, and the gradients of table and kernel."""
    run = partial(last_state, symbols=symbols, in_one_kernel=in_one_kernel)
    state, back = jax.vjp(lambda table, kernel: run(table, kernel), table, kernel)
    return state, *back(weight)


def both_ways(given, wrap=lambda run: run):
    """``gradients`` in one kernel, and as a loop."""
    runs = [wrap(partial(gradients, one)) for one in (True, False)]
    return zip(*(jax.jit(run, compiler_options=FAST)(*given) for run in runs), strict=True)


@pytest.mark.parametrize("sizes", [(1, 1, 3), ODD])
def test_values_and_gradients_are_those_of_the_loop(sizes):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        for one, other in both_ways(arguments(*sizes)):
            assert one.dtype == jnp.float64
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_in_float32_only_the_order_of_sums_differs():
    """Sums are formed in parts of 16, and begin with what the symbol adds."""
    for one, other in both_ways(arguments(64, 2, 100, np.float32)):
        assert one.dtype == jnp.float32
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * float(jnp.abs(other).max()))


def test_clients_with_their_own_weights_train_side_by_side():
    with jax.enable_x64(True):
        given = [jnp.stack([one, one[::-1]]) for one in arguments(5, 12, 6)]
        for one, other in both_ways(given, jax.vmap):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)
            assert not np.allclose(one[0], one[1], atol=1e-3)


def test_only_the_gradient_of_a_task_that_asks_for_it_is_formed_so():
    """A test of a model needs no gradient: it is the loop either way."""
    plain, fused = build(Shape((3,), 7)), build(Shape((3,), 7), in_one_kernel=True)
    params = jax.eval_shape(plain.init, jax.random.key(0))
    batch = TextBatch(jnp.zeros((4, 3), jnp.int32), jnp.zeros(4, jnp.int32))

    def has_kernels(function) -> bool:
        return "pallas_call" in str(jax.make_jaxpr(function)(params, batch))

    assert has_kernels(jax.grad(fused.loss))
    assert not has_kernels(jax.grad(plain.loss))
    assert not has_kernels(fused.score)


@pytest.mark.parametrize("sizes", [(64, 80, 100), (1, 1, 3)])
def test_a_gpu_gets_one_kernel_forwards_and_one_backwards(sizes):
    """Lowered to Triton, as the engine does it: many clients side by side, each its own weights."""
    given = arguments(*sizes, dtype=np.float32)
    shaped = [jax.ShapeDtypeStruct((3, *one.shape), one.dtype) for one in given]
    run: Any = jax.jit(jax.vmap(partial(gradients, True)))
    text = run.trace(*shaped).lower(lowering_platforms=("cuda",)).as_text()
    assert text.count("__gpu$xla.gpu.triton") == 2
    assert "while" not in text
