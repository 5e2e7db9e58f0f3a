"""The last state of an LSTM over symbols, in the form that is fast inside the engine.

A plain scan that is differentiated automatically adds up the gradient of the recurrent weights
step by step, at twice the cost. Here the backward loop keeps the gradients of the gates only, and
the weights' gradients are formed in one product each after it. What the symbols add to the gates
(embedding, input weights, biases) is a table that is formed once a call, not once a step.
"""

from __future__ import annotations

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .layers import default_float, uniform_fan_in
from .lstm_cell import GATES, SCALES, Four, halves, next_cell, step_back


class SymbolLSTM(nn.Module):
    """Embedding and LSTM: ``int32[batch, time]`` symbols to the last hidden state.

    Parameters and their initialisation are those of PyTorch's ``Embedding`` (standard normal) and
    ``LSTM`` (uniform in ``±1/sqrt(hidden)``), with its two biases, which are only ever used as a
    sum.
    """

    num_symbols: int
    num_embedded: int
    num_hidden: int
    in_one_kernel: bool = False

    @nn.compact
    def __call__(self, symbols: jax.Array) -> jax.Array:
        num_gates = GATES * self.num_hidden
        init = uniform_fan_in(self.num_hidden)
        embedding = self.param("embedding", _standard_normal, (self.num_symbols, self.num_embedded))
        input_kernel = self.param("input_kernel", init, (self.num_embedded, num_gates))
        kernel = self.param("kernel", init, (self.num_hidden, num_gates))
        input_bias = self.param("input_bias", init, (num_gates,))
        bias = self.param("bias", init, (num_gates,))
        table = embedding @ input_kernel + (input_bias + bias)[None]
        return last_state(table, kernel, symbols, self.in_one_kernel)


def last_state(
    table: jax.Array, kernel: jax.Array, symbols: jax.Array, in_one_kernel: bool = False
) -> jax.Array:
    """Run an LSTM from zero states.

    Args:
        table: ``float[num_symbols, 4 hidden]``, what each symbol adds to the gates.
        kernel: ``float[hidden, 4 hidden]``, what the hidden state adds.
        symbols: ``int32[batch, time]``.
        in_one_kernel: whether a gradient is formed by ``lstm_kernel``: for GPUs, not yet timed.
    Returns:
        The hidden state after the last symbol, ``float[batch, hidden]``.
    """
    scales = np.repeat(np.asarray(SCALES), len(kernel))
    scale = jnp.asarray(scales, table.dtype)[None]
    run = _run_in_one_kernel if in_one_kernel else _run
    return run(table * scale, kernel * scale, symbols)


@jax.custom_vjp
def _run(table: jax.Array, kernel: jax.Array, symbols: jax.Array) -> jax.Array:
    """``last_state`` with table and kernel scaled, so that every gate is a tanh."""
    return _forward(table, kernel, symbols)[0]


def _forward(table: jax.Array, kernel: jax.Array, symbols: jax.Array):
    zero = jnp.zeros((len(symbols), len(kernel)), table.dtype)
    (last, _), trace = lax.scan(partial(_step, table, kernel), (zero, zero), symbols.T)
    return last, (trace, table, kernel, symbols)


def _step(table: jax.Array, kernel: jax.Array, state, symbol: jax.Array):
    """One time step: ``(hidden, cell), int32[batch] -> (hidden, cell), what backward needs``."""
    hidden, cell = state
    gates = jnp.tanh(table[symbol] + hidden @ kernel)
    four = _split(gates)
    new_cell = next_cell(four, cell)
    return (four[3] * jnp.tanh(new_cell), new_cell), (gates, hidden, cell, new_cell)


def _split(gates: jax.Array) -> Four:
    """The four gates from their tanh."""
    return halves(jnp.split(gates, GATES, axis=-1))


def _backward(saved, last_gradient: jax.Array):
    (gates, hidden, cell, new_cell), table, kernel, symbols = saved
    start = last_gradient, jnp.zeros_like(last_gradient)
    inputs = gates, cell, new_cell
    _, gradients = lax.scan(partial(_step_back, kernel.T), start, inputs, reverse=True)
    return _sum_over_time(table, symbols, hidden, gradients)


def _sum_over_time(table: jax.Array, symbols: jax.Array, hidden: jax.Array, gradients: jax.Array):
    """Gradients of table and kernel from those of the gates, ``float[time, batch, 4 hidden]``."""
    flat = gradients.reshape(-1, gradients.shape[-1])  # [time * batch, 4 hidden]
    kernel_gradient = hidden.reshape(-1, hidden.shape[-1]).T @ flat
    add = partial(_add_by_symbol, len(table))
    table_gradient = lax.platform_dependent(
        symbols.T.reshape(-1), flat, cpu=add, default=partial(_multiply_by_symbol, len(table))
    )
    return table_gradient, kernel_gradient, None


def _add_by_symbol(num_symbols: int, symbols: jax.Array, rows: jax.Array) -> jax.Array:
    """The sum of each symbol's rows, ``float[num_symbols, n]``: eight times faster on a CPU."""
    return jnp.zeros((num_symbols, rows.shape[1]), rows.dtype).at[symbols].add(rows)


def _multiply_by_symbol(num_symbols: int, symbols: jax.Array, rows: jax.Array) -> jax.Array:
    """The same as a product: a GPU would add in another order, to other bits, each time."""
    is_symbol = jnp.arange(num_symbols, dtype=symbols.dtype)[:, None] == symbols[None]
    return is_symbol.astype(rows.dtype) @ rows


def _step_back(kernel_transposed: jax.Array, state, inputs):
    """One time step backwards: gradients of (hidden, cell), and of the gates before tanh."""
    hidden_gradient, cell_gradient = state
    gates, cell, new_cell = inputs
    squashed = jnp.tanh(new_cell)
    of_tanhs, cell_gradient = step_back(
        _split(gates), cell, squashed, hidden_gradient, cell_gradient
    )
    gradient = jnp.concatenate(of_tanhs, axis=-1) * (1 - gates * gates)
    return (gradient @ kernel_transposed, cell_gradient), gradient


_run.defvjp(_forward, _backward)


@jax.custom_vjp
def _run_in_one_kernel(table: jax.Array, kernel: jax.Array, symbols: jax.Array) -> jax.Array:
    """``_run``, but for its gradient."""
    return _run(table, kernel, symbols)


def _forward_in_one_kernel(table: jax.Array, kernel: jax.Array, symbols: jax.Array):
    from .lstm_kernel import forward  # Pallas takes long to import

    last, gates, hidden, cells = forward(table, kernel, symbols.T)
    return last, (gates, hidden, cells, table, kernel, symbols)


def _backward_in_one_kernel(saved, last_gradient: jax.Array):
    from .lstm_kernel import backward

    gates, hidden, cells, table, kernel, symbols = saved
    gradients = backward(gates, cells, kernel, last_gradient)
    return _sum_over_time(table, symbols, hidden, gradients)


_run_in_one_kernel.defvjp(_forward_in_one_kernel, _backward_in_one_kernel)


def _standard_normal(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return jax.random.normal(key, shape, default_float())
