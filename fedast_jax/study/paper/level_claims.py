"""What the paper says of accuracies and losses: Figures 2, 3, 4, 13 and 14.

Reference:
    Askin et al., UAI 2024, Section 5.3 and Appendix D.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from ...config.grid import Point
from ...results.palette import in_words
from ...results.summary import Measured
from ..tables import StudyTables
from .judge import PERCENT, Claim, difference, lead, slope
from .judge import mean as mean_of
from .measures import end_level, key_of, level, paired, points_by, shown_until, unsteadiness

BY_FAR = 0.05  # accuracy: five points
NO_BETTER = 0.01  # accuracy: one point is no difference


def synchronous_methods(study: StudyTables) -> list[Claim]:
    """Figure 2."""
    until = shown_until(study.results)
    levels = {method: level(study.result(method), until=until) for method in study.methods}
    rivals = ("sync_bayes_st", "sync_ucb_st")
    return [_first(levels), _last(levels), *(_no_better(levels, method) for method in rivals)]


def _first(levels: Mapping[str, pd.Series]) -> Claim:
    others = (values for method, values in levels.items() if method != "fedast")
    return Claim(
        "FedAST is ahead of every synchronous method, in mean accuracy over the time shown",
        "trains faster than synchronous methods",
        paired(levels["fedast"], *others),
        lead,
        low=0,
        form=PERCENT,
    )


def _last(levels: Mapping[str, pd.Series]) -> Claim:
    slowest = "sync_st_no_mitigation"
    others = (values for method, values in levels.items() if method != slowest)
    return Claim(
        "without straggler mitigation Sync-ST is by far last (five points)",
        "by far the slowest",
        -paired(*others, levels[slowest])[:, ::-1],
        lead,
        low=BY_FAR,
        form=PERCENT,
    )


def _no_better(levels: Mapping[str, pd.Series], method: str) -> Claim:
    return Claim(
        f"{in_words(method)} is no better than Sync-ST (one point)",
        "similar performance",
        paired(levels[method], levels["sync_st"]),
        difference,
        high=NO_BETTER,
        form=PERCENT,
    )


def active_ratio(value: str) -> Callable[[StudyTables], list[Claim]]:
    """Figures 3 and 13, by ``"accuracy"`` or ``"loss"``."""
    sign, word = (1, "accuracy") if value == "accuracy" else (-1, "loss")

    def claims(study: StudyTables) -> list[Claim]:
        return [
            claim
            for kind, points in points_by(study, key_of(study, "kind")).items()
            for claim in _of_kind(study, kind, points)
        ]

    def _of_kind(study: StudyTables, kind: str, points: list[Point]) -> list[Claim]:
        gaps = [_gap(study, point, value, sign) for point in points]
        ratios = np.log([point["max_active_clients"] for point in points])
        return [
            Claim(
                f"{kind}: the more clients are active, the further NoBuffer's {word} is behind "
                "(by the logarithm of their number)",
                "with more active clients significantly worse",
                paired(*gaps),
                slope(ratios),
                low=0,
            ),
            Claim(
                f"{kind}: with most clients active FedAST ends with the better {word}",
                "the importance of the buffer increases",
                paired(gaps[-1]),
                mean_of,
                low=0,
            ),
        ]

    return claims


def _gap(study: StudyTables, point: Point, value: str, sign: int) -> pd.Series:
    ends = [end_level(study.result(m, point), value) for m in ("fedast", "fedast_nobuffer")]
    return sign * (ends[0] - ends[1])


def buffer_curves(value: str) -> Callable[[StudyTables], list[Claim]]:
    """Figures 4 and 14, by ``"accuracy"`` or ``"loss"``."""
    sign, better = (1, "higher") if value == "accuracy" else (-1, "lower")

    def claims(study: StudyTables) -> list[Claim]:
        results = [study.result(method) for method in ("fedast", "fedast_nobuffer")]
        return [
            claim for task in study.tasks for claim in _of_task(results, task, value, sign, better)
        ]

    return claims


def _of_task(results: list[Measured], task: str, value: str, sign: int, better: str) -> list[Claim]:
    levels = [sign * level(result, value, task=task) for result in results]
    steps = [_log(unsteadiness(result, task, value)) for result in results]
    return [
        Claim(
            f"{task}: FedAST's {value} is {better}, on average over the time shown",
            f"{better} {value}",
            paired(*levels),
            difference,
            low=0,
        ),
        Claim(
            f"{task}: FedAST's {value} is steadier around its trend (logarithm of the ratio)",
            "more stable",
            paired(*steps[::-1]),
            difference,
            low=0,
        ),
    ]


def _log(values: pd.Series) -> pd.Series:
    """No number of what never changed."""
    return values.where(values > 0).map(np.log)


def nothing(study: StudyTables) -> list[Claim]:
    """Of this picture the paper says nothing that its partner does not say."""
    del study
    return []
