"""The server's step of each method, for one leaf of a model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .state import Known

EPSILON = 1e-3  # of FedOpt


class Round(NamedTuple):
    """One leaf of a round, for the rules below."""

    server_lr: float
    numbers: dict[str, float]  # the method's hyperparameters
    known: Known
    previous: list[np.ndarray]
    starts: list[np.ndarray]


def fedasync(x, deltas, one: Round, state):
    """Xie et al. (2019), Algorithm 1: a mix with the one model that has arrived."""
    (delta,), (start,), (weight,) = deltas, one.starts, one.known.weights
    share = one.numbers["mixing"] * weight
    return (1 - share) * x + share * (start - delta)


def fadas(x, deltas, one: Round, state):
    """Wang et al. (ICML 2024): AMSGrad whose step shrinks with the round's largest delay."""
    beta_1, beta_2 = one.numbers["beta_1"], one.numbers["beta_2"]
    mean = -sum(deltas) / len(deltas)
    state["m"] = beta_1 * state.get("m", 0) + (1 - beta_1) * mean
    state["v"] = beta_2 * state.get("v", 0) + (1 - beta_2) * mean**2
    state["top"] = np.maximum(state.get("top", 0), state["v"])
    oldest = max(one.known.staleness)
    rate = one.server_lr
    if oldest > (one.numbers["delay_bound"] or one.known.num_active):
        rate = min(rate, 1 / oldest)
    return x + rate * state["m"] / (np.sqrt(state["top"]) + one.numbers["epsilon"])


def ca2fl(x, deltas, one: Round, state):
    """Wang et al. (ICLR 2024): calibrated by every client's last update."""
    mean = state.get("h", 0)
    changes = [delta - h for delta, h in zip(deltas, one.previous, strict=True)]
    state["h"] = mean + sum(changes) / one.known.num_clients
    return x - one.server_lr * (mean + sum(changes) / len(changes))


def ace(x, deltas, one: Round, state):
    """Every client's last update, in equal parts."""
    (delta,), (h,) = deltas, one.previous
    state["sum"] = state.get("sum", 0) + delta - h
    return x - one.server_lr * state["sum"] / one.known.num_clients


RULES = {"fedasync": fedasync, "fadas": fadas, "ca2fl": ca2fl, "ace": ace}


def server_step(name: str, delta, m, v):
    """Reddi et al. (ICLR 2021), Algorithm 2: the direction of a server's step, and new m and v."""
    if name == "sgd":
        return delta, m, v
    if name == "momentum":
        m = 0.9 * m + delta
        return m, m, v
    beta = 0.0 if name == "adagrad" else 0.9
    m = beta * m + (1 - beta) * delta
    if name == "adagrad":
        v = v + delta**2
    elif name == "adam":
        v = 0.99 * v + (1 - 0.99) * delta**2
    elif name == "yogi":
        v = v - (1 - 0.99) * delta**2 * np.sign(v - delta**2)
    else:
        raise ValueError(name)
    return m / (np.sqrt(v) + EPSILON), m, v
