"""A verdict's numbers as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def numbers(claim: Mapping[str, Any]) -> str:
    """``40.1% (35.0% to 44.2%), 3 seeds``, and how many would tell where these cannot."""
    form, seeds = claim["form"], _seeds(claim["num_seeds"])
    if claim["estimate"] is None:
        return f"no number, {seeds}"
    words = form.format(claim["estimate"])
    if claim["interval"] is not None:
        low, high = (form.format(end) for end in claim["interval"])
        words += f" ({low} to {high})"
    needed = claim["seeds_needed"]
    return f"{words}, {seeds}" + (f"; about {needed} would tell" if needed else "")


def _seeds(number: int) -> str:
    return "1 seed" if number == 1 else f"{number} seeds"
