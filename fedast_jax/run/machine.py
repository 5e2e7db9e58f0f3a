"""What a run was made on: versions, device, memory."""

from __future__ import annotations

import platform
import sys
from typing import Any

import jax

from ..config.versions import package_versions


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
