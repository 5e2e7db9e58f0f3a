"""The devices of one process as a mesh with one axis: the slots of a batch."""

from __future__ import annotations

import os
from contextlib import suppress

import jax
import numpy as np
from jax.sharding import Mesh

from .cores import usable_cores

AXIS = "slot"
FLAG = "xla_force_host_platform_device_count"  # of XLA_FLAGS: how a user may have divided the CPU


def divide_cpu(num_devices: int) -> None:
    """Let JAX see so many devices in a CPU, if it has not begun to compute yet."""
    if num_devices > 1:
        with suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", num_devices)


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


def is_told() -> bool:
    """Whether somebody has said how many devices a CPU is to be."""
    number = jax.config.jax_num_cpu_devices  # pyright: ignore[reportAttributeAccessIssue]
    return number >= 0 or FLAG in os.getenv("XLA_FLAGS", "")


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
