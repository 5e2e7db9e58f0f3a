"""The LSTM's gradient in one kernel beside the loop, on a GPU: seconds, difference, and bits."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

from gpu_measures import Note, best

SIZES = [(64, 64, 80, 100), (256, 64, 80, 100)]  # clients, batch, time, hidden
TINY = [(2, 4, 3, 6)]
SYMBOLS = 80


def lstm(note: Note, args: argparse.Namespace) -> None:
    """Each form's time of a step of all clients; worth turning on where it is less."""
    import jax

    for clients, *sizes in TINY if args.tiny else SIZES:
        given = arguments(clients, *sizes)
        found = {}
        for name, in_one_kernel in [("loop", False), ("kernel", True)]:
            run = jax.jit(jax.vmap(partial(gradients, in_one_kernel)))
            found[name] = run(*given), best(run, *given), run(*given)
        (loop, loop_seconds, _), (kernel, kernel_seconds, again) = found.values()
        note(
            "lstm",
            clients=clients,
            loop_ms=1e3 * loop_seconds,
            kernel_ms=1e3 * kernel_seconds,
            difference=max(map(relative, kernel, loop)),
            bits_repeat=all((one == other).all() for one, other in zip(kernel, again, strict=True)),
        )


def arguments(clients: int, batch: int, time: int, hidden: int) -> tuple[Any, ...]:
    """Tables, kernels, symbols and gradients of last states, for each client."""
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.key(0), 4)
    draw = partial(jax.random.uniform, minval=-(hidden**-0.5), maxval=hidden**-0.5)
    symbols = jax.random.randint(keys[2], (clients, batch, time), 0, SYMBOLS, jnp.int32)
    return (
        draw(keys[0], (clients, SYMBOLS, 4 * hidden)),
        draw(keys[1], (clients, hidden, 4 * hidden)),
        symbols,
        draw(keys[3], (clients, batch, hidden)),
    )


def gradients(in_one_kernel: bool, table: Any, kernel: Any, symbols: Any, weight: Any) -> Any:
    """Of table and kernel, for one client."""
    import jax

    from fedast_jax.tasks.nn.lstm import last_state

    def total(table: Any, kernel: Any) -> Any:
        return (last_state(table, kernel, symbols, in_one_kernel) * weight).sum()

    return jax.grad(total, (0, 1))(table, kernel)


def relative(one: Any, other: Any) -> float:
    """The largest difference, as a share of the largest number."""
    return float(abs(one - other).max() / abs(other).max())
