"""One time step of an LSTM but for its products, forwards and backwards: the same in every form."""

from __future__ import annotations

from collections.abc import Sequence

import jax

GATES = 4  # in PyTorch's order: input, forget, cell, output
SCALES = (0.5, 0.5, 1.0, 0.5)  # sigmoid(x) = tanh(x / 2) / 2 + 1 / 2: one tanh serves all gates

Four = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def halves(tanhs: Sequence[jax.Array]) -> Four:
    """The four gates from their tanh."""
    input_, forget, new, output = tanhs
    return 0.5 * input_ + 0.5, 0.5 * forget + 0.5, new, 0.5 * output + 0.5


def next_cell(gates: Four, cell: jax.Array) -> jax.Array:
    """The cell state after the step."""
    input_, forget, new, _ = gates
    return forget * cell + input_ * new


def step_back(
    gates: Four,
    cell: jax.Array,
    squashed: jax.Array,
    hidden_gradient: jax.Array,
    cell_gradient: jax.Array,
) -> tuple[Four, jax.Array]:
    """Gradients through a step.

    Args:
        gates: of the step.
        cell: state before the step.
        squashed: tanh of the cell state after the step.
        hidden_gradient: of the hidden state after the step.
        cell_gradient: of the cell state after the step, but for its share in the hidden state.
    Returns:
        The gradients of the tanhs of the gates, and of the cell state before the step.
    """
    input_, forget, new, output = gates
    cell_gradient = cell_gradient + hidden_gradient * output * (1 - squashed * squashed)
    of_tanhs = (
        0.5 * cell_gradient * new,
        0.5 * cell_gradient * cell,
        cell_gradient * input_,
        0.5 * hidden_gradient * squashed,
    )
    return of_tanhs, cell_gradient * forget
