"""What a run was made on: versions, device, memory."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

import jax

from ..config.settings import Config
from ..config.versions import package_versions
from ..results.output import note, warn
from ..tasks import get_kind


def machine_facts() -> dict[str, Any]:
    """As the manifest has them: ``versions``, ``device`` and ``peak_bytes``."""
    device = jax.local_devices()[0]
    return {
        "versions": package_versions() | {"python": platform.python_version()},
        "device": {
            "platform": device.platform,
            "kind": device.device_kind,
            "count": jax.local_device_count(),
            "machine": platform.machine(),
        },
        "peak_bytes": peak_bytes(),
    }


def peak_bytes() -> int | None:
    """The most memory that the process has held; None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def say_side_by_side(configs: Sequence[Config]) -> None:
    """One line, once, where the clients side by side are not as many as the kinds ship with."""
    backend = jax.default_backend()
    changed = [
        f"{number} of {name}"
        for name, number in configs[0].machine.side_by_side.items()
        if number != get_kind(name).micro_batch.get(backend)
    ]
    if changed:
        _say_once(f"clients trained side by side on a device: {', '.join(changed)}")


@cache
def _say_once(message: str) -> None:
    note(message)


@cache
def say_where_it_gains_nothing(precision: str) -> None:
    """One sentence, once, where products are of float32 whatever is asked for."""
    if jax.default_backend() == "cpu" and precision in ("bfloat16", "tensorfloat32"):
        warn(
            f"machine.precision = {precision!r} gains nothing here: on a CPU all products are of "
            f"float32, to the very same bits"
        )
