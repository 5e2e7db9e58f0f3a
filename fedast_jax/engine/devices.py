"""The devices of one process as a mesh with one axis: the slots of a batch."""

from __future__ import annotations

from contextlib import suppress

import jax
import numpy as np
from jax.sharding import Mesh

AXIS = "slot"


def divide_cpu(num_devices: int) -> None:
    """Let JAX see so many devices in a CPU, if it has not begun to compute yet."""
    if num_devices > 1:
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", num_devices)


def provide(num_devices: int) -> None:
    """See to it that JAX has so many devices.

    Raises:
        ValueError: there are fewer.
    """
    divide_cpu(num_devices)
    num_present = jax.local_device_count()
    if num_present >= num_devices:
        return
    way = "lower machine.num_devices"
    if jax.default_backend() == "cpu":
        way += (
            ", or ask for them before JAX first computes: "
            f'jax.config.update("jax_num_cpu_devices", {num_devices})'
        )
    raise ValueError(f"machine.num_devices={num_devices}, but JAX has {num_present}; {way}")


def make_mesh(num_devices: int) -> Mesh:
    """The first devices of this process."""
    return Mesh(np.array(jax.local_devices()[:num_devices]), (AXIS,))
