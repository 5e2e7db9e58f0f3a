"""What stops a run on several machines."""

from __future__ import annotations


class ClusterError(ValueError):
    """Processes or machines that cannot work together; one sentence."""
