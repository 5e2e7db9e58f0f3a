"""What fits the bounds and not the machine is refused before anything large is made."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest

import fedast_jax as fx
from fedast_jax.engine.planning.pack import Shapes
from fedast_jax.engine.workspace import order_bytes
from fedast_jax.run import footprint, prepare, probe, sizing
from fedast_jax.run.replicate import jobs_of
from fedast_jax.run.resolve import resolve

TASK = {"num_active": 4, "buffer_size": 2, "samples_per_client": 32}


def table(top: dict | None = None, machine: dict | None = None, **task) -> dict:
    return {
        "max_updates": 4, "machine": {"batch_width": 4, "memory_gib": 4.0, **(machine or {})},
        "num_clients": 20, **(top or {}), "tasks": {"softmax": {**TASK, **task}},
    }  # fmt: skip


TOO_MUCH = {
    "clients": (table({"num_clients": 10**8}), "num_clients=100000000"),
    "their partitions": (table({"num_clients": 10**7}, copies=8), "num_clients=10000000"),
    "requests": (table(num_active=10**7), "tasks.softmax.num_active=10000000"),
    "requests of copies": (table(num_active=10**5, copies=100), "tasks.softmax.copies=100"),
    "a round of all clients": (
        table({"num_clients": 10**7, "algorithm": "sync_st_no_mitigation"}),
        "num_clients=10000000",
    ),
    "a round": (
        table({"num_clients": 10**7, "max_active_clients": 5 * 10**6, "algorithm": "sync_st"}),
        "max_active_clients=5000000",
    ),
    "samples": (table(machine={"batch_width": 64}, samples_per_client=10**7), "samples"),
    "steps": (table(samples_per_client=10**5, batch_size=10**5, local_epochs=10**5), "num_active"),
    "a batch": (
        table(machine={"memory_gib": 0.5}, samples_per_client=10**6, batch_size=10**6),
        "num_active",
    ),
    "rows": (
        table({"max_updates": 10**6}, {"memory_gib": 0.15}, num_active=10**4, buffer_size=1),
        "num_active",
    ),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_does_not_fit_is_refused_at_once(name):
    config, says = TOO_MUCH[name]
    start = time.perf_counter()
    tracemalloc.start()
    try:
        with pytest.raises(
            fx.ConfigError, match=r"GiB may be used; lower .*machine\.memory_gib"
        ) as caught:
            fx.plan(config)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    if name != "samples":
        assert says in str(caught.value)
    assert peak < 300e6
    assert time.perf_counter() - start < 60  # some seconds where nothing else runs


def test_the_footprint_counts_every_partition():
    config = fx.make_config(table(copies=3))
    (loaded,) = prepare.load([resolve(config)])
    one = loaded.data[0].partition_bytes(20)
    found = footprint.footprint(config, loaded.data_of)
    assert found["num_clients=20"] == 3 * one + 20 * footprint.CLIENT_BYTES


def test_a_request_in_flight_takes_what_is_counted():
    config = fx.make_config(table({"max_updates": 10**6, "num_clients": 10**4}, num_active=500))
    pools, settings = prepare.make_pools(prepare.load([resolve(config)]), 4)
    tracemalloc.start()
    sizes = probe.sizings(settings, pools, [(0, 0)], 2**40)
    next(sizes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500 * footprint.REQUEST_BYTES + 5e6


def test_the_windows_of_many_requests_are_longer():
    assert sizing.fewest_events(300, 6) == sizing.fewest_events(1, 6) == 1
    assert sizing.fewest_events(10**5, 2) == 2500
    assert sizing.fewest_events(10**7, 2) == 10**7


def test_lanes_are_never_more_than_can_be_told_apart():
    config = fx.make_config(table({"num_seeds": 10**6}, {"batch_width": 2**16}, copies=100))
    pools, settings = prepare.make_pools(prepare.load([resolve(config)]), 2**16)
    first = next(probe.sizings(settings, pools, jobs_of([config]), 2**50))
    assert 1 < first.num_resident * 100 <= 2**20


def test_bytes_of_a_program():
    shapes = Shapes(steps=2, width=3, samples=5, ticks=7, rounds_at_once=11)
    assert shapes.bytes == 4 * 2 * (7 * 11 * 14 + 3 * 5)


def test_bytes_of_orders():
    task = fx.make_config(table(local_epochs=3)).tasks["softmax"]
    assert order_bytes(task.work) == 3 * np.dtype(np.int32).itemsize * 3 * 32
    steps = task.work._replace(local_epochs=None, local_steps=5, batch_size=64)
    assert order_bytes(steps) == 3 * 4 * 5 * 64
