"""The devices of one process as a mesh with one axis: the slots of a batch."""

from __future__ import annotations

import jax
import numpy as np
from jax.sharding import Mesh

from ..config.cores import divide_cpu, is_told, usable_cores

AXIS = "slot"


def find_devices() -> tuple[int, int]:
    """Devices to use where nobody says how many, and those that there would be in a new process.

    On a CPU as many as the process has cores, unless JAX has begun to compute with fewer or was
    told another number; on an accelerator one.
    """
    is_free, num_cores = not is_told(), usable_cores()
    if is_free:
        divide_cpu(num_cores)
    if jax.default_backend() != "cpu":
        return 1, 1
    num_present = min(num_cores, jax.local_device_count())
    return num_present, num_cores if is_free else num_present


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
        way += f", or ask for them before JAX first computes: {asking_for(num_devices)}"
    raise ValueError(f"machine.num_devices={num_devices}, but JAX has {num_present}; {way}")


def asking_for(num_devices: int) -> str:
    """The line of Python that divides a CPU."""
    return f'jax.config.update("jax_num_cpu_devices", {num_devices})'


def make_mesh(num_devices: int) -> Mesh:
    """The first devices of this process."""
    return Mesh(np.array(jax.local_devices()[:num_devices]), (AXIS,))
