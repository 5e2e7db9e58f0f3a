"""``fedast tune``: clients side by side, measured on this machine and kept for its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ..config.errors import ConfigError
from .options import Imports

if TYPE_CHECKING:
    from ..run.tuned import Kept

Kinds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KIND...]", help="Kinds of task; none: the paper's four."),
]
Seconds = Annotated[float, typer.Option(min=1.0, max=3600.0, help="For each kind, about.")]
Show = Annotated[bool, typer.Option("--show", help="Print what is kept, and measure nothing.")]
Forget = Annotated[bool, typer.Option("--forget", help="Drop what is kept (of KIND..., or all).")]
COLUMNS = ("kind", "side by side", "updates/s of 1, 2, 4, ...", "gain", "on", "versions")


def tune(
    kinds: Kinds = None,
    seconds: Seconds = 60.0,
    show: Show = False,
    forget: Forget = False,
    imports: Imports = None,
) -> None:
    """Measure how many clients a device best trains side by side; runs on this machine use it."""
    if show and forget:
        raise ConfigError("--show and --forget are two things to do; leave one out")
    if forget:
        _forget(kinds or [])
    elif show:
        _show(kinds or [])
    else:
        _measure(kinds or [], seconds)


def _measure(kinds: Sequence[str], seconds: float) -> None:
    """One kind after the other, each kept as soon as it is measured."""
    from ..run.tune import PAPER_KINDS, tune
    from ..run.tuned import keep
    from ..tasks import get_kind

    kinds = list(dict.fromkeys(kinds or PAPER_KINDS))
    try:
        for kind in kinds:
            get_kind(kind)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    measured: list[Kept] = []
    try:
        for kind in kinds:
            measured.append(tune(kind, seconds))
            if measured[-1].is_compared:
                keep(measured[-1:])
    finally:  # what was measured is not lost with the rest
        if measured:
            _print(measured)


def _show(kinds: Sequence[str]) -> None:
    from ..run.tuned import kept_file, read_kept

    kept = [one for one in read_kept() if not kinds or one.kind in kinds]
    if kept:
        _print(kept)
    else:
        print(f"nothing is kept in {kept_file()}: 'fedast tune' measures")


def _forget(kinds: Sequence[str]) -> None:
    from ..run.tuned import forget, kept_file

    print(f"{forget(kinds)} dropped of what was kept in {kept_file()}")


def _print(kept: Sequence[Kept]) -> None:
    from .data import print_table

    print_table(COLUMNS, [_row(one) for one in kept])


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"


def _choice(one: Kept) -> str:
    if not one.is_compared:
        return f"{one.shipped} (shipped; no time for others: raise --seconds)"
    return f"{one.best} (shipped)" if one.best == one.shipped else f"{one.best}, not {one.shipped}"


def _row(one: Kept) -> tuple[str, ...]:
    rates = ", ".join(f"{number}: {_rate(rate)}" for number, rate in one.rates.items())
    gain = one.rates[one.best] / one.rates[one.shipped]
    where = one.where
    return (
        one.kind,
        _choice(one),
        rates,
        f"{gain:.2f}",
        f"{where.num_devices} x {where.machine}",
        f"{where.package}, jax {where.jax}",
    )
