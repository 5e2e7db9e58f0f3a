"""How much there is to run, without running it."""

from __future__ import annotations

from typing import Any

from ..study.forecast import forecast
from ..study.variants import make_variants


def show_forecast(table: dict[str, Any]) -> None:
    """Print what a study would take."""
    needs = forecast([variant.config for variant in make_variants(table)])
    print(
        f"{needs.configurations} configurations, {needs.runs} runs, "
        f"at most {needs.updates:,} updates, "
        f"{needs.bytes:,} bytes ({needs.bytes / 2**30:.2f} GiB) on the device, "
        f"about {needs.seconds:.0f} s of training (without compiling and tests)"
    )
