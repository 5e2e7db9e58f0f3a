"""How wide batches become where a GPU's memory is the bound, planned without a GPU."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

import fedast_jax as fx
from fedast_jax.data import Dataset
from fedast_jax.data.image_data import ImageData
from fedast_jax.run.sizing import Sizing, most_filled
from fedast_jax.tasks import TASKS, get_kind


def cifar10() -> ImageData:
    """Its shapes; nobody looks at the pixels."""
    labels = np.arange(50_000, dtype=np.int32) % 10
    images = np.zeros((50_000, 32, 32, 3), np.uint8)
    data = Dataset("cifar10", images, labels, images[:10_000], labels[:10_000], 10, "made up")
    return ImageData(data)


def test_many_seeds_of_a_large_model_fill_their_batches(monkeypatch):
    """CIFAR-10, 64 seeds, 63 GiB: the widest batch would have left room for one replicate."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    kind = dataclasses.replace(get_kind("cifar10"), load=lambda *_: cifar10())
    monkeypatch.setitem(TASKS, "cifar10", kind)
    tasks = {"cifar10": {"target_accuracy": "none"}}
    config = fx.make_config(
        {"machine": {"memory_gib": 63}, "num_seeds": 64, "max_updates": 2000, "tasks": tasks}
    )
    report = fx.plan(config)
    assert report.fill >= 0.95
    assert report.memory_bytes <= 63 * 2**30
    assert report.resident_replicates >= 16


@pytest.mark.parametrize(
    ("fills", "chosen"),
    [([0.03, 0.5, 0.9, 1.0], 2), ([0.95, 1.0], 0), ([0.3, 0.6], 0), ([], None)],
)
def test_a_width_that_is_filled_goes_before_one_that_is_not(fills, chosen):
    sizings = [Sizing(1, 32, (), fill) for fill in fills]
    expected = None if chosen is None else sizings[chosen]
    assert most_filled(iter(sizings)) is expected
