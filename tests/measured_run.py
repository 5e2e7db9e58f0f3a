"""One run in a process of its own: how much it was to take, and how much it took.

Usage: measured_run.py CONFIG (as JSON). Prints a JSON object of bytes: `base`, the process with
Python, JAX and a trivial compiled program; `estimate`; `peak`, the most that the process has held.
Checkpoints are written, as `fedast run` does. The kind "wide" has 4.2 million parameters.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile

import jax
import jax.numpy as jnp
import psutil

import fedast_jax as fx
from fedast_jax.run.checkpoint import Checkpoints
from fedast_jax.run.resolve import make_config
from fedast_jax.tasks import Defaults, Kind, Shape, TaskFunctions, classification, register_task
from fedast_jax.tasks.digits import NORMALISE
from fedast_jax.tasks.mnist import MLP


def build_wide(shape: Shape) -> TaskFunctions:
    """A perceptron with two hidden layers of 2000 units."""
    return classification(MLP((2000, 2000, shape.num_classes)), shape, NORMALISE)


WIDE = Defaults(0.1, 0.0, 0.1, local_epochs=None, local_steps=1)
register_task("wide", Kind("wide", "digits", build_wide, WIDE))
jax.block_until_ready(jax.jit(jnp.square)(jnp.ones(8)))
base = psutil.Process().memory_info().rss
with tempfile.TemporaryDirectory() as folder:
    result = fx.simulate(make_config(json.loads(sys.argv[1])), checkpoints=Checkpoints(folder))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(
    json.dumps(
        {"base": base, "estimate": result.manifest()["memory"]["estimated_bytes"], "peak": peak}
    )
)
