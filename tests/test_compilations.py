"""Shapes are compiled once; more seeds and other numbers compile nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import pytest

from fedast_jax.run.resolve import make_config
from fedast_jax.run.simulate import simulate_together

pytestmark = pytest.mark.optimised

COMPILED = "/jax/core/compile/backend_compile_duration"
TASK = {"kind": "softmax", "num_active": 6, "buffer_size": 2, "target_accuracy": 0.5}


@pytest.fixture
def compilations() -> Iterator[Callable[[], int]]:
    """How many there have been so far, in the whole process."""
    found: list[str] = []

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        del duration_secs, kwargs
        if event == COMPILED:
            found.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield lambda: len(found)
    jax.monitoring.unregister_event_duration_listener(listen)


def config(num_seeds: int, top: dict[str, Any], **task: Any):
    """A short run of one small task."""
    tasks = {"one": {**TASK, **task}}
    common = {"num_clients": 30, "max_updates": 60, "num_seeds": num_seeds}
    return make_config({**common, **top, "machine": {"batch_width": 4}, "tasks": tasks})


@pytest.mark.usefixtures("own_engines")
def test_more_replicates_and_other_numbers_compile_nothing(compilations):
    """All but shapes differs: rates, decay, b, R, N, delays, targets."""
    alone = [config(1, {})]
    sweep = [
        config(16, {}),
        config(16, {"num_clients": 50}, client_lr=0.1, weight_decay=0.0, buffer_size=1),
        config(16, {"delays": {"law": "half_normal"}}, server_lr=0.5, target_accuracy="none"),
        config(16, {"max_updates": 40}, num_active=9, target_accuracy=0.9),
    ]
    counts = []
    for configs in (alone, sweep):
        jax.clear_caches()  # as in a new process
        before = compilations()
        simulate_together(configs)
        counts.append(compilations() - before)
    assert 0 < counts[0] == counts[1]
