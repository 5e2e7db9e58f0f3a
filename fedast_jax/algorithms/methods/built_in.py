"""Published asynchronous methods, each by its formulas; docs/methods.md has them side by side.

x is the model, delta_j = x_dispatch - x_local an update, gamma_j its staleness, eta the server's
learning rate, b the number of updates of a round, N that of the clients.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ...config.bounds import MOST_EVENTS
from .record import Arrived, Hyperparameter, Method, State
from .sums import mean_in_order, sum_in_order

Array = jax.Array


def mix(model: Array, state: State, arrived: Arrived) -> tuple[Array, State]:
    """``x <- (1 - a s) x + a s (x_dispatch - delta)`` with a = mixing."""
    share = arrived.mixing * sum_in_order(arrived.weights)
    trained = sum_in_order(arrived.start - arrived.updates)
    return (1 - share) * model + share * trained, state


def bounded_delay(staleness: int, delay_bound: float, num_active: int) -> float:
    """1 up to the bound, from there on bound / gamma."""
    bound = delay_bound or num_active
    return 1.0 if staleness <= bound else bound / staleness


def two_moments_and_a_maximum(model: Array) -> State:
    """m, v and the largest v so far."""
    zeros = jnp.zeros_like(model)
    return zeros, zeros, zeros


def adapt_to_delay(model: Array, state: State, arrived: Arrived) -> tuple[Array, State]:
    """AMSGrad on minus the mean update, with a smaller step for a round of old updates."""
    m, v, largest = state
    delta = -mean_in_order(arrived.updates)
    m = arrived.beta_1 * m + (1 - arrived.beta_1) * delta
    v = arrived.beta_2 * v + (1 - arrived.beta_2) * delta**2
    largest = jnp.maximum(largest, v)
    bound = jnp.where(arrived.delay_bound > 0, arrived.delay_bound, arrived.num_active)
    slow = jnp.minimum(arrived.server_lr, 1 / jnp.maximum(arrived.oldest, 1))
    rate = jnp.where(arrived.oldest <= bound, arrived.server_lr, slow)
    return model + rate * m / (jnp.sqrt(largest) + arrived.epsilon), (m, v, largest)


def calibrate(model: Array, h: Array, arrived: Arrived) -> tuple[Array, State]:
    """``v = h + (1/b) sum (delta_j - h_j)``; then each h_j is delta_j, and h their mean."""
    change = arrived.updates - arrived.previous
    v = h + mean_in_order(change)
    return model - arrived.server_lr * v, h + sum_in_order(change) / arrived.num_clients


def replace_own(model: Array, h: Array, arrived: Arrived) -> tuple[Array, State]:
    """h_i becomes delta_i, then ``v = (1/N) sum h_i``."""
    change = sum_in_order(arrived.updates - arrived.previous)
    h = h + change / arrived.num_clients
    return model - arrived.server_lr * h, h


DELAY_BOUND = Hyperparameter(0, 0, MOST_EVENTS, "gamma_c, in rounds; 0: R_m at that event")

BUILT_IN = (
    Method(
        "fedasync",
        apply=mix,
        needs={"start", "weights"},
        buffer_size=1,
        hyperparameters={"mixing": Hyperparameter(0.6, 0.0, 1.0, "alpha")},
        source="Xie et al., 2019, arXiv 1903.03934",
    ),
    Method(
        "delay_adaptive",
        weight=bounded_delay,
        buffer_size=1,
        hyperparameters={"delay_bound": DELAY_BOUND},
        source="Koloskova et al.; Mishchenko et al., NeurIPS 2022",
    ),
    Method(
        "fadas",
        two_moments_and_a_maximum,
        adapt_to_delay,
        hyperparameters={
            "beta_1": Hyperparameter(0.9, 0.0, 1.0, "of the first moment"),
            "beta_2": Hyperparameter(0.99, 0.0, 1.0, "of the second moment"),
            "epsilon": Hyperparameter(1e-3, 1e-12, 1.0, "added to the root"),
            "delay_bound": DELAY_BOUND,
        },
        source="Wang et al., ICML 2024",
    ),
    Method(
        "ringmaster",
        accept=lambda staleness, max_staleness: staleness < max_staleness,
        buffer_size=1,
        hyperparameters={
            "max_staleness": Hyperparameter(32, 1, MOST_EVENTS, "from this on dropped")
        },
        source="Maranjyan et al., ICML 2025, Algorithm 4",
    ),
    Method(
        "rennala",
        accept=lambda staleness: staleness == 0,
        source="Tyurin and Richtárik, NeurIPS 2023",
    ),
    Method("ca2fl", jnp.zeros_like, calibrate, needs={"previous"}, source="Wang et al., ICLR 2024"),
    Method(
        "ace",
        jnp.zeros_like,
        replace_own,
        needs={"previous"},
        buffer_size=1,
        source="arXiv 2511.19066",
    ),
)
