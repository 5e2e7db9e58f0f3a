"""All time steps of an LSTM in one kernel of a GPU, forwards and backwards, by Pallas.

As a loop, each time step is a handful of kernels that read all weights from the device's memory and
write all states to it. Here a program of the grid takes some examples of one client through the
whole text: their states stay in registers, the weights in the chip's caches, and memory sees once
what the gradients need.

What one thread stores and another loads lies on two sides of a barrier. On a CPU the kernels are
interpreted. Every sum has one order, so bits repeat, but it is not the order of the loop.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton

from .lstm_cell import GATES, halves, next_cell, step_back

ROWS = 32  # examples of a program: registers do not suffice for 64
CHUNK = 16  # terms of a sum that are loaded at once: 100 and 400 need few more
SMALLEST = 16  # side of a block that Triton multiplies; sides are powers of two
OPTIONS = triton.CompilerParams(num_warps=8, num_stages=3)


def forward(table: jax.Array, kernel: jax.Array, symbols: jax.Array) -> list[jax.Array]:
    """An LSTM from zero states, every gate a tanh.

    Args:
        table: ``float[num_symbols, 4 hidden]``, what each symbol adds to the gates.
        kernel: ``float[hidden, 4 hidden]``.
        symbols: ``int32[time, batch]``.
    Returns:
        The last hidden state ``float[batch, hidden]``; then of every time step the gates after tanh
        ``float[time, batch, 4 hidden]``, and hidden and cell state before the step.
    """
    (time, batch), width = symbols.shape, len(kernel)
    states = (time, batch, width)
    shapes = [(batch, width), (time, batch, GATES * width), states, states]
    return _call(_forward, shapes, {}, table, kernel, symbols)


def backward(
    gates: jax.Array, cells: jax.Array, kernel: jax.Array, last_gradient: jax.Array
) -> jax.Array:
    """Gradients of the gates before tanh, ``float[time, batch, 4 hidden]``, in place of the gates.

    Args:
        gates: as ``forward`` gave them.
        cells: likewise.
        kernel: ``float[hidden, 4 hidden]``.
        last_gradient: of the last hidden state, ``float[batch, hidden]``.
    """
    return _call(_backward, [gates.shape], {0: 0}, gates, cells, kernel.T, last_gradient)[0]


def _call(body: Any, shapes: Any, in_place: dict[int, int], *operands: jax.Array):
    """Run a kernel for all examples of a batch, the last axis but one of its first output."""
    rows = min(ROWS, _side(shapes[0][-2]))

    def call(*operands: jax.Array, on_cpu: bool) -> list[jax.Array]:
        return pl.pallas_call(
            partial(body, rows, _nothing if on_cpu else triton.debug_barrier),
            [jax.ShapeDtypeStruct(shape, operands[0].dtype) for shape in shapes],
            grid=(pl.cdiv(shapes[0][-2], rows),),
            input_output_aliases=in_place,
            interpret=on_cpu,
            compiler_params=OPTIONS,
        )(*operands)

    here, there = partial(call, on_cpu=True), partial(call, on_cpu=False)
    return lax.platform_dependent(*operands, cpu=here, default=there)


def _forward(rows: int, barrier, table, kernel, symbols, last, gates, hiddens, cells) -> None:
    tile = _tile(rows, *last.shape)

    def step(time, state):
        hidden, cell = state
        tile.store(hiddens.at[time, tile.example, tile.unit], hidden)
        tile.store(cells.at[time, tile.example, tile.unit], cell)
        barrier()
        symbol = _load(symbols.at[time, tile.example], tile.is_example)
        given = [tile.load(table.at[symbol, column]) for column in tile.columns]
        sums = _add_product(tile, given, hiddens, time, kernel, tile.columns)
        tanhs = [jnp.tanh(one) for one in sums]
        for column, one in zip(tile.columns, tanhs, strict=True):
            tile.store(gates.at[time, tile.example, column], one)
        cell = next_cell(halves(tanhs), cell)
        return halves(tanhs)[3] * jnp.tanh(cell), cell

    zero = jnp.zeros(tile.is_real.shape, last.dtype)
    hidden, _ = _loop(symbols.shape[0], step, (zero, zero))
    tile.store(last.at[tile.example, tile.unit], hidden)


def _backward(rows: int, barrier, _, cells, transposed, last_gradient, gradients) -> None:
    # gates are read where gradients are written: through two pointers these could change places
    tile = _tile(rows, *last_gradient.shape)
    places = [(tile.example, column) for column in tile.columns]

    def step(back, state):
        time = cells.shape[0] - 1 - back
        tanhs = [tile.load(gradients.at[time, *place]) for place in places]
        cell = tile.load(cells.at[time, tile.example, tile.unit])
        squashed = jnp.tanh(next_cell(halves(tanhs), cell))
        of_tanhs, cell_gradient = step_back(halves(tanhs), cell, squashed, *state)
        barrier()
        for place, gradient, one in zip(places, of_tanhs, tanhs, strict=True):
            tile.store(gradients.at[time, *place], gradient * (1 - one * one))
        barrier()
        zero = jnp.zeros_like(cell)
        sums = _add_product(tile, [zero], gradients, time, transposed, [tile.unit])
        return sums[0], cell_gradient

    start = tile.load(last_gradient.at[tile.example, tile.unit])
    _loop(cells.shape[0], step, (start, jnp.zeros_like(start)))


class _Tile(NamedTuple):
    """The examples and hidden units that a program works on, filled up to powers of two."""

    example: jax.Array  # int32[rows, 1]
    unit: jax.Array  # int32[1, units]
    is_example: jax.Array
    is_unit: jax.Array
    columns: list[jax.Array]  # of each gate: int32[1, units]

    @property
    def is_real(self) -> jax.Array:
        return self.is_example & self.is_unit

    def load(self, place: Any) -> jax.Array:
        return _load(place, self.is_real)

    def store(self, place: Any, values: jax.Array) -> None:
        triton.store(place, values, mask=self.is_real)


def _tile(rows: int, batch: int, width: int) -> _Tile:
    example = (pl.program_id(0) * rows + _range(rows))[:, None]
    unit = _range(_side(width))[None]
    columns = [gate * width + unit for gate in range(GATES)]
    return _Tile(example, unit, example < batch, unit < width, columns)


def _add_product(tile: _Tile, totals, left, time, weights, columns):
    """``total + left[time] @ weights[:, column]`` for every block of columns."""

    def part(chunk, totals):
        index = chunk * CHUNK + _range(CHUNK)
        rows = index[:, None]
        is_index = index < weights.shape[0]
        factor = _load(left.at[time, tile.example, index[None]], tile.is_example & is_index[None])
        is_weight = is_index[:, None] & tile.is_unit
        blocks = [_load(weights.at[rows, column], is_weight) for column in columns]
        return [total + _dot(factor, block) for total, block in zip(totals, blocks, strict=True)]

    return _loop(pl.cdiv(weights.shape[0], CHUNK), part, totals)


def _dot(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.dot(a, b, precision=lax.Precision.HIGHEST)  # the default would be tensorfloat32


def _side(number: int) -> int:
    return pl.next_power_of_2(max(number, SMALLEST))


def _range(number: int) -> jax.Array:
    return jnp.arange(number, dtype=jnp.int32)


def _load(place: Any, is_real: jax.Array) -> jax.Array:
    return triton.load(place, mask=is_real, other=0)


def _loop(number: int, body: Any, state: Any) -> Any:
    """``body(i, state)`` for each i, an int32 also where numbers have 64 bits."""
    return lax.fori_loop(np.int32(0), np.int32(number), body, state)


def _nothing() -> None: ...
