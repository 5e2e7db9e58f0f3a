"""What stops a run on several machines."""

from __future__ import annotations

from ...config.errors import UserError


class ClusterError(UserError, ValueError):
    """Processes or machines that cannot work together; one sentence."""
