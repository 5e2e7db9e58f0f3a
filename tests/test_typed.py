"""Shapes and types are those that the engine's signatures say; numbers never mix by accident."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import pytest

SCRIPT = Path(__file__).with_name("typed_engine.py")


def test_the_engine_keeps_to_its_signatures():
    command = [sys.executable, str(SCRIPT), "digits", "digits_cnn", "shakespeare", "cifar10"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_types_that_are_mixed_by_accident_are_an_error():
    with pytest.raises(ValueError, match="implicit dtype promotion"):
        jnp.add(jnp.ones(2, jnp.int32), jnp.ones(2, jnp.float32))
