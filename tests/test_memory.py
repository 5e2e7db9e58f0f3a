"""A process that has done much holds no more than one that has done little."""

from __future__ import annotations

import gc

import jax
import numpy as np
import psutil
import pytest

import fedast_jax as fx
from fedast_jax.config import make_config
from fedast_jax.engine import Engine

TINY = {
    "batch_width": 4,
    "max_updates": 20,
    "num_clients": 2000,
    "tasks": {"softmax": {"num_active": 4}},
}


def resident_bytes() -> int:
    gc.collect()
    return psutil.Process().memory_info().rss


def test_without_requests_an_ended_replicate_is_small():
    """What is left of it: its tests, rounds and allocations; the tables but one are as before."""
    config = make_config({**TINY, "num_seeds": 3})
    whole, lean = fx.simulate(config), fx.simulate(config, keep_requests=False)
    assert whole.summary() == lean.summary()
    assert whole.evaluations.equals(lean.evaluations)
    assert whole.lanes.equals(lean.lanes)
    for one, other in zip(whole.partition(), lean.partition(), strict=True):
        assert one.equals(other)
    for replicate in lean.replicates:
        assert len(replicate.timeline.requests) == 0
        assert all("partition" not in vars(lane) for lane in replicate.lanes)
    assert len(whole.requests()) == 3 * 24
    with pytest.raises(ValueError, match="simulate with keep_requests=True"):
        lean.requests()


@pytest.mark.slow
def test_a_thousand_replicates():
    """The 900 after the first 100 take at most 30 kB each."""
    sizes: list[int] = []

    def note(driver):
        if len(driver.done) >= 100 * (len(sizes) + 1):
            sizes.append(resident_bytes())

    config = make_config({**TINY, "num_seeds": 1000, "batch_width": 16})
    fx.simulate(config, on_segment=note, keep_requests=False)
    assert len(sizes) >= 9
    assert (sizes[-1] - sizes[0]) / 900 < 30e3, np.diff(sizes)


@pytest.mark.slow
def test_one_run_after_another():
    """Compiled programs, rows and data go with the run that needed them."""
    sizes = []
    for number in range(50):
        fx.simulate(make_config({**TINY, "num_clients": 20, "seed": number}))
        gc.collect()
        assert not any(isinstance(one, Engine) for one in gc.get_objects())
        sizes.append((resident_bytes(), len(jax.live_arrays())))
    assert sizes[-1][1] == sizes[4][1]
    assert (sizes[-1][0] - sizes[9][0]) / 40 < 0.3e6, sizes
