"""The one error of this package."""

from __future__ import annotations

from ..config.errors import UserError


class DataError(UserError, ValueError):
    """Data that is missing, damaged or not what it should be: one sentence, with the fix."""
