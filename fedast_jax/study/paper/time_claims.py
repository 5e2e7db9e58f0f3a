"""What the paper says of times to target: Figures 5 to 12, 15 to 20, and 22, 24, 26.

Times of a run that ended before its targets count as its end (``measures.paired_times``).

Reference:
    Askin et al., UAI 2024, Section 5.3 and Appendices C.5, D.1 and D.3 to D.6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ...config.grid import Point
from ...results.palette import in_words
from ...results.summary import Measured
from ..tables import StudyTables
from .judge import PERCENT, Claim, above_best, largest_gain, least_gain, slope_of_gains, time_gain
from .judge import mean as mean_of
from .measures import (
    key_of,
    last_time,
    mean_time,
    paired,
    paired_times,
    points_by,
    task_time,
)
from .scales import SHRUNK

NEAR = 0.10  # a gain is the paper's within ten points,
NEAR_TIME = 0.20  # a time within a fifth
AS_GOOD = 0.05  # of a setting chosen as the best: no other is sooner by more than a twentieth


def gain_is(words: str, paper: str, values: np.ndarray, share: float | None = None) -> Claim:
    """Above 0; or, of the paper's own number, near it."""
    if share is None:
        return Claim(words, paper, values, time_gain, low=0, form=PERCENT)
    ends = share - NEAR, share + NEAR
    return Claim(words, paper, values, time_gain, *ends, PERCENT, needs_paper=True)


def equal_tasks(study: StudyTables) -> list[Claim]:
    """Figures 5 and 15."""
    by_kind = points_by(study, key_of(study, "kind"))
    gains = {kind: gain_columns(study, points, mean_time) for kind, points in by_kind.items()}
    claims = [
        claim
        for kind, values in gains.items()
        for claim in _gains_over_m(study, f"{kind}: ", by_kind[kind], values.to_numpy())
    ]
    return [*claims, _largest("46.0%", 0.46, paired(*gains.values()))]


def large_model(study: StudyTables) -> list[Claim]:
    """Figure 16."""
    values = gain_columns(study, study.points, mean_time).to_numpy()
    copies = [point[key_of(study, "copies")] for point in study.points]
    amounts = [
        gain_is(f"the gain of M = {m} tasks is near the paper's", f"{share:.1%}", two, share)
        for m, share, two in zip(
            copies, (0.220, 0.407, 0.563), np.split(values, len(copies), axis=1), strict=True
        )
    ]
    return [*_gains_over_m(study, "", study.points, values), *amounts]


def gain_columns(
    study: StudyTables, points: Sequence[Point], time_of: Callable[[Measured], pd.Series]
) -> pd.DataFrame:
    """By seed, for each setting two columns: the first method's time, and the second's."""
    first, other = study.methods[:2]
    columns = [
        paired_times(study.result(first, point), study.result(other, point), time_of)
        for point in points
    ]
    return pd.concat(columns, axis=1)


def _gains_over_m(
    study: StudyTables, prefix: str, points: Sequence[Point], values: np.ndarray
) -> list[Claim]:
    copies = np.array([point[key_of(study, "copies")] for point in points])
    return [
        Claim(
            f"{prefix}FedAST is sooner than Sync-ST for every M",
            "consistently lower",
            values,
            least_gain,
            low=0,
            form=PERCENT,
        ),
        Claim(
            f"{prefix}the gain grows with M (slope, per task)",
            "the gain increases with the number of tasks",
            values,
            slope_of_gains(copies),
            low=0,
            form=PERCENT,
        ),
    ]


def _largest(paper: str, share: float, values: np.ndarray) -> Claim:
    ends = share - NEAR, share + NEAR
    words = "the largest gain of all settings is near the paper's"
    return Claim(words, f"up to {paper}", values, largest_gain, *ends, PERCENT, needs_paper=True)


def different_tasks(study: StudyTables) -> list[Claim]:
    """Figures 6, 17 and 19."""
    first, other = (study.result(method) for method in study.methods[:2])
    columns = [
        task_time(result, task).fillna(last_time(result))
        for task in study.tasks
        for result in (first, other)
    ]
    return [
        Claim(
            "every task meets its target sooner with FedAST than with Sync-ST",
            "reaching it faster than Sync-ST",
            paired(*columns),
            least_gain,
            low=0,
            form=PERCENT,
        )
    ]


def published_times(study: StudyTables) -> list[Claim]:
    """Figure 6, beside what ``different_tasks`` asks: the times that the text names."""
    result = study.result("fedast:dynamic")
    times = {"last task": (last_time(result), 619.0)}
    if "mnist" in study.tasks:
        times = {"MNIST": (task_time(result, "mnist"), 99.0)} | times
    return [
        *different_tasks(study),
        *(
            Claim(
                f"with FedAST the {name} meets its target near time {ours:g}",
                f"{ours:g}",
                paired(column),
                mean_of,
                (1 - NEAR_TIME) * ours,
                (1 + NEAR_TIME) * ours,
                "{:.0f}",
                needs_paper=True,
            )
            for name, (column, ours) in times.items()
        ),
    ]


def overall(paper: float | None, least: bool = False) -> Callable[[StudyTables], list[Claim]]:
    """Figures 7, 18, 20, 22, 24, 26: the first method's gain in the time of the last task.

    Args:
        paper: its gain, None where it gives none.
        least: the paper gives "up to" a gain: the number stands for the largest of several.
    """

    def claims(study: StudyTables) -> list[Claim]:
        first, other = study.methods[:2]
        values = paired_times(study.result(first), study.result(other)).to_numpy(np.float64)
        names = f"{in_words(first)} over {in_words(other)}"
        sooner = gain_is(f"all tasks are done sooner: gain of {names}", "sooner", values)
        if paper is None:
            return [sooner]
        number = f"up to {paper:.1%}" if least else f"{paper:.1%}"
        return [sooner, gain_is(f"the gain of {names} is near the paper's", number, values, paper)]

    return claims


def best_buffer(size: int) -> Callable[[StudyTables], list[Claim]]:
    """Figures 8 and 9: the time to target, mean over the tasks."""
    return _chosen("buffer_size", "b", size, mean_time)


def best_first_k(size: int) -> Callable[[StudyTables], list[Claim]]:
    """Figures 10 to 12."""
    return _chosen("keep_first", "k", size, last_time)


def as_run(size: int, sizes: Sequence[int]) -> int:
    """A setting of the paper as a study has it: a smoke run has a part of it."""
    return size if size in sizes else max(1, size // SHRUNK)


def _chosen(
    ending: str, name: str, size: int, time_of: Callable[[Measured], pd.Series]
) -> Callable[[StudyTables], list[Claim]]:
    def claims(study: StudyTables) -> list[Claim]:
        key, method = key_of(study, ending), study.methods[0]
        chosen = as_run(size, [point[key] for point in study.points])
        points = sorted(study.points, key=lambda point: point[key] != chosen)
        times = [time_of(study.result(method, point)) for point in points]
        return [
            Claim(
                f"no other {name} is sooner than {chosen} by more than a twentieth",
                f"{name} = {size}",
                paired(*times),
                above_best,
                high=AS_GOOD,
                form=PERCENT,
            )
        ]

    return claims
