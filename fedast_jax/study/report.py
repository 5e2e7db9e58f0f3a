"""What a person sees of a study: its table, and what the table cannot say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console

from ..config.goal import ACCURACY
from ..results.summary import diverged_lanes
from .sheets import study_sheet
from .tables import StudyTables


def show_tables(study: StudyTables, console: Console) -> None:
    """Print the table, and under it what it cannot say."""
    console.print(study_sheet(study).to_rich())
    for line in explanations(study):  # as it is, not broken: names may hold what would be markup
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def explanations(study: StudyTables) -> list[str]:
    """What the table cannot say, a line each: the best settings or missing gains, what diverged."""
    head = _best_ones(study) if study.axes else _missing_gains(study.compared()["gain"])
    return [*head, *_diverged(study)]


def _diverged(study: StudyTables) -> Iterator[str]:
    for variant, result in zip(study.variants, study.results, strict=True):
        num_diverged = len(diverged_lanes(result))
        if num_diverged:
            where = ", ".join([variant.method, *(f"{k} = {v}" for k, v in variant.point.items())])
            number = f"{num_diverged} of {result.config.num_seeds}"
            yield f"{where}: {number} seeds diverged, left out of the means"


def _best_ones(study: StudyTables) -> Iterator[str]:
    for method in study.methods:
        best = study.best(method)
        if best is not None:
            yield _best_line(method, best)


def _missing_gains(gains: dict[str, Any]) -> Iterator[str]:
    """Why a gain or its interval is missing, each reason once."""
    reasons: dict[str, list[str]] = {}
    for method, gain in gains.items():
        if gain["reason"]:
            reasons.setdefault(gain["reason"], []).append(method)
    for reason, methods in reasons.items():
        yield f"gain over {', '.join(methods)}: {reason}"


def _best_line(method: str, best: dict[str, Any]) -> str:
    setting = ", ".join(f"{key} = {value}" for key, value in best["setting"].items())
    what, show = _criterion(best["criterion"])
    if best["low"] is None:
        reason = best["reason"]
    else:
        reason = f"95% interval {show(best['low'])} to {show(best['high'])}"
    mean = "unknown" if best["mean"] is None else show(best["mean"])
    return f"best of {method}: {setting}: {what} {mean} ({reason})"


def _criterion(name: str) -> tuple[str, Callable[[float], str]]:
    """What the best setting is best in, and how its values are shown."""
    if name == "time":
        return "time to all targets", "{:.1f}".format
    if name == ACCURACY:
        return ACCURACY, lambda share: f"{100 * share:.1f}"
    return name, "{:.4g}".format
