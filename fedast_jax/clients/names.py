"""Whom a dispatch may ask."""

from __future__ import annotations

from collections.abc import Sequence

Names = Sequence[Sequence[int]]
"""Clients that dispatches ask in turn: ``names[turn][place]``, a place for each dispatch."""
