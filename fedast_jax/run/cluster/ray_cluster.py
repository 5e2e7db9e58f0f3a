"""A Ray cluster: found, or started on this machine; never waited for in vain."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..stopping import keep_handlers
from .address import Address, connect
from .errors import ClusterError

CONNECT_SECONDS = 10.0  # for the address to answer
LOG_IN_SECONDS = 45.0  # for a Ray cluster to be what answers
LONGEST_REASON = 300  # characters
LOCAL = "local"
AUTO = "auto"  # Ray's word for the cluster that this machine belongs to
CLIENT = "ray://"
PROBE = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False)"


@contextmanager
def ray_cluster(address: str | None) -> Iterator[Any]:
    """The module ``ray``, connected.

    Args:
        address: HOST:PORT, ``ray://HOST:PORT``, ``auto`` or ``local``; None: as ``RAY_ADDRESS``
            says, else a cluster is started on this machine for as long as it is needed.
    Raises:
        ClusterError: Ray is not installed, or there is no cluster.
    """
    address = address or os.environ.get("RAY_ADDRESS") or LOCAL
    ray = import_ray()
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address == LOCAL:
        options["include_dashboard"] = False
    else:
        check_reachable(address)
    with keep_handlers(), warnings.catch_warnings():
        # where an own module has used JAX already; Ray's forks are other programs at once
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        ray.init(address=address, **options)
    try:
        yield ray
    finally:
        ray.shutdown()


def import_ray() -> Any:
    """The module, imported only where it is used.

    Raises:
        ClusterError: it is not there.
    """
    try:
        import ray
    except ImportError:
        raise ClusterError(
            'Ray is not installed; install it with: pip install "fedast-jax[ray]"'
        ) from None
    return ray


def check_reachable(address: str) -> None:
    """Raise ClusterError where no Ray cluster answers; Ray itself may try for many minutes."""
    if address != AUTO:
        place = Address.parse(address.removeprefix(CLIENT), "--ray")
        connect(place, "the Ray cluster", CONNECT_SECONDS).close()
    command = [sys.executable, "-c", PROBE, address]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LOG_IN_SECONDS)
    except subprocess.TimeoutExpired:
        reason = f"no answer within {LOG_IN_SECONDS:.0f} s"
    else:
        if ended.returncode == 0:
            return
        reason = first_error(ended.stderr)
    raise ClusterError(f"there is no Ray cluster for this program at {address}: {reason}")


def first_error(text: str) -> str:
    """Of what Python says at its end, the error that has led to the others; its beginning."""
    errors = re.findall(r"^[\w.]*(?:Error|Exception|Timeout)\w*: .+", text, re.MULTILINE)
    errors = [line for line in errors if "Traceback" not in line]
    return textwrap.shorten(errors[0] if errors else "no reason given", LONGEST_REASON)


def count_workers(ray: Any, needs: Mapping[str, float]) -> int:
    """How many tasks with such needs can run at once.

    Args:
        ray: connected.
        needs: of one task, by Ray's name of the resource.
    Raises:
        ClusterError: not even one.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    num_workers = sum(
        min(int(node.get(name, 0.0) / need) for name, need in needs.items()) for node in nodes
    )
    if num_workers == 0:
        wanted = " and ".join(f"{need:g} {name}" for name, need in needs.items())
        there = "; ".join(
            ", ".join(f"{node.get(name, 0.0):g} {name}" for name in needs) for node in nodes
        )
        raise ClusterError(
            f"no machine of the Ray cluster has the {wanted} that a block needs (there are: "
            f"{there}); lower --ray-cpus or --ray-gpus"
        )
    return num_workers
