"""The order of events of every method, as it has been ever since: the same on every platform.

The digests are of whole numbers: who is sent what, from which version, in which order it arrives,
where it is used. Times are left out: the last digit of a logarithm is a platform's own. Models
are symbols, hashed by CPython with 64 bits.
"""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import SymbolicDevice, run_driver

from fedast_jax.results.records import STATUSES
from fedast_jax.run.resolve import make_config

TASK = {"kind": "softmax", "num_active": 4, "buffer_size": 2, "test_every": 2}
TWO = {"a": {**TASK, "target_accuracy": 0.9}, "b": {**TASK, "num_active": 3, "buffer_size": 1}}
ONE = {"a": TASK}
BUFFERLESS = {name: {**task, "buffer_size": 1} for name, task in TWO.items()}
STRICT = {name: {**task, "method": {"max_staleness": 3}} for name, task in BUFFERLESS.items()}

GOLDEN: dict[str, tuple[dict[str, Any], str]] = {
    "fedast": ({"algorithm": "fedast", "tasks": TWO}, "f9fbe6057e02d7f5"),
    "fedast_nobuffer": ({"algorithm": "fedast_nobuffer", "tasks": BUFFERLESS}, "55a88b8a6e55d53f"),
    "sync_st": ({"algorithm": "sync_st", "tasks": TWO}, "08383c9af1749b0c"),
    "sync_st_no_mitigation": (
        {"algorithm": "sync_st_no_mitigation", "tasks": TWO},
        "3b4c9a496ca3de66",
    ),
    "sync_bayes_st": ({"algorithm": "sync_bayes_st", "tasks": TWO}, "2d60413cab4d6704"),
    "sync_ucb_st": ({"algorithm": "sync_ucb_st", "tasks": TWO}, "381cfa1baba3a656"),
    "sequential": ({"algorithm": "sequential", "tasks": TWO}, "00aa79568a7cf7eb"),
    "centralized": ({"algorithm": "centralized", "tasks": BUFFERLESS}, "0512ef5476a448cc"),
    "delay_adaptive": ({"algorithm": "delay_adaptive", "tasks": BUFFERLESS}, "55a88b8a6e55d53f"),
    "fadas": ({"algorithm": "fadas", "tasks": TWO}, "f9fbe6057e02d7f5"),
    "ringmaster": ({"algorithm": "ringmaster", "tasks": STRICT}, "bef473012629b228"),
    "rennala": ({"algorithm": "rennala", "tasks": TWO}, "4102082ea4a0deba"),
    "ca2fl": ({"algorithm": "ca2fl", "tasks": TWO}, "f9fbe6057e02d7f5"),
    "ace": ({"algorithm": "ace", "tasks": BUFFERLESS}, "55a88b8a6e55d53f"),
    "fedasync": ({"algorithm": "fedasync", "tasks": BUFFERLESS}, "55a88b8a6e55d53f"),
    "async_fl": ({"algorithm": "async_fl", "tasks": ONE}, "cba994d2e5d0b424"),
    "fedbuff": ({"algorithm": "fedbuff", "tasks": ONE}, "59b9891f79e5c024"),
    "fedast, option D": ({"allocation": "dynamic", "tasks": TWO}, "cac8a78051997a0f"),
    "fedast, a cap": ({"max_active_clients": 5, "tasks": TWO}, "3d6d3c894b536e53"),
    "fedast, the authors": ({"fidelity": "authors", "tasks": TWO}, "f81e0598538b449f"),
    "fedast, clients that go off": (
        {"availability": {"law": "on_off", "mean_on": 20.0, "mean_off": 9.0}, "tasks": TWO},
        "919c7e02e15de346",
    ),
    "fedast, requests lost": ({"availability": {"loss": 0.2}, "tasks": TWO}, "cdf1ef8e1daeebaa"),
    "sync_st, clients that go off": (
        {
            "algorithm": "sync_st",
            "availability": {"law": "diurnal", "share_on": 0.5, "period": 30.0},
            "tasks": TWO,
        },
        "e0b13b9719b22d68",
    ),
}


def order_of(settings: dict[str, Any]) -> str:
    """The digest of a configuration's events."""
    top = {"num_clients": 9, "max_updates": 80, "keep_first": 3, "machine": {"batch_width": 4}}
    requests = run_driver(make_config({**top, **settings}), SymbolicDevice()).requests
    arrival = np.lexsort([requests.request, requests.arrived_at])
    columns = {
        "task": requests.task == "a",
        "client": requests.client,
        "base_round": requests.base_round,
        "used_round": requests.used_round.fillna(-1),
        "status": requests.status.map(STATUSES.index),
        "arrival": pd.Series(arrival),
    }
    text = "".join(f"{name}:{','.join(map(str, map(int, one)))};" for name, one in columns.items())
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.skipif(sys.hash_info.width != 64, reason="symbols are hashed with 64 bits")
@pytest.mark.parametrize("name", GOLDEN)
def test_the_order_of_events_is_what_it_was(name):
    settings, digest = GOLDEN[name]
    assert order_of(settings) == digest
