"""The paper's claims on made-up studies in which they are true, false or open."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from paper_tables import compare, level, made_up, seeds, zigzag

from fedast_jax.study.paper.judge import FAILS, HOLDS, OPEN, judge
from fedast_jax.study.paper.measures import end_level, last_time, mean_time, paired_times, task_time
from fedast_jax.study.paper.registry import FIGURES
from fedast_jax.study.recorded import RecordedStudy

NAN = math.nan


def verdicts(figure: str, study: RecordedStudy) -> list[str]:
    """Of each claim of a figure."""
    return [judge(claim).verdict for claim in FIGURES[figure].claims(study)]


def by_method(levels: dict[str, float], figure: str = "fig2", value: str = "accuracy"):
    """A study whose methods keep one level each."""
    study = made_up(
        compare(*levels),
        lambda method, point: {"times": {"a": seeds(1, 1, 1)}, value: level(levels[method])},
    )
    return verdicts(figure, study)


FIG2 = {
    "fedast": 0.6, "sync_st": 0.5, "sync_bayes_st": 0.5, "sync_ucb_st": 0.45,
    "sync_st_no_mitigation": 0.2,
}  # fmt: skip


def test_figure_2_as_the_paper_has_it():
    assert by_method(FIG2) == [HOLDS] * 4


@pytest.mark.parametrize(
    ("method", "height", "place"),
    [("sync_st", 0.7, 0), ("sync_st_no_mitigation", 0.44, 1), ("sync_bayes_st", 0.55, 2),
     ("sync_ucb_st", 0.55, 3)],
)  # fmt: skip
def test_figure_2_with_one_method_out_of_place(method, height, place):
    found = by_method(FIG2 | {method: height})
    assert found[place] == FAILS
    assert HOLDS in found


def ratio_study(gap_at: dict[int, float], value: str = "accuracy") -> RecordedStudy:
    """NoBuffer behind by so much at each number of active clients."""
    sweep = {
        "tasks.model.kind": ["digits"],
        "max_active_clients, tasks.model.num_active": [[a, a] for a in gap_at],
    }

    def measure(method: str, point: dict[str, Any]) -> dict[str, Any]:
        gap = gap_at[point["max_active_clients"]] if method == "fedast_nobuffer" else 0.0
        sign = -1 if value == "accuracy" else 1
        noise = 0.002 if method == "fedast" else 0.001
        return {"times": {"a": seeds(1, 1, 1)}, value: level(0.6 + sign * gap, noise)}

    return made_up(compare("fedast", "fedast_nobuffer", "centralized", sweep=sweep), measure)


@pytest.mark.parametrize(("figure", "value"), [("fig3", "accuracy"), ("fig13", "loss")])
def test_nobuffer_falls_behind_or_not(figure, value):
    assert verdicts(figure, ratio_study({75: 0.0, 300: 0.1, 600: 0.2}, value)) == [HOLDS] * 2
    assert verdicts(figure, ratio_study({75: 0.2, 300: 0.1, 600: -0.1}, value)) == [FAILS] * 2
    closing = verdicts(figure, ratio_study({75: 0.3, 300: 0.2, 600: 0.1}, value))
    assert closing == [FAILS, HOLDS]


@pytest.mark.parametrize(
    ("figure", "value", "sign"), [("fig4", "accuracy", 1), ("fig14", "loss", -1)]
)
def test_higher_and_steadier(figure, value, sign):
    def study(first: tuple[float, float], other: tuple[float, float]) -> RecordedStudy:
        curves = {"fedast": zigzag(*first), "fedast_nobuffer": zigzag(*other)}
        return made_up(
            compare(*curves),
            lambda method, point: {"times": {"a": seeds(1, 1, 1)}, value: curves[method]},
        )

    better, worse = 0.5 + 0.1 * sign, 0.5 - 0.1 * sign
    assert verdicts(figure, study((better, 0.01), (worse, 0.05))) == [HOLDS, HOLDS]
    assert verdicts(figure, study((worse, 0.05), (better, 0.01))) == [FAILS, FAILS]
    assert verdicts(figure, study((better, 0.05), (worse, 0.01))) == [HOLDS, FAILS]


def equal_tasks(gains: list[float], figure: str) -> RecordedStudy:
    """M = 2, 4, 6 with these gains, whatever the seed."""
    name = "model" if figure == "fig5" else "cifar100"
    sweep: dict[str, list] = {"tasks.model.kind": ["digits"]} if figure == "fig5" else {}
    keys = f"tasks.{name}.copies, tasks.{name}.num_active"
    sweep |= {keys: [[2, 192], [4, 96], [6, 64]]}

    def measure(method: str, point: dict[str, Any]) -> dict[str, Any]:
        m = point[f"tasks.{name}.copies"]
        baseline = 100.0 * m * seeds(1.0, 1.1, 0.9)
        share = gains[m // 2 - 1] if method == "fedast" else 0.0
        return {"times": {f"a_{copy}": (1 - share) * baseline for copy in range(m)}}

    return made_up(compare("fedast", "sync_st", sweep=sweep), measure)


def test_gains_that_grow_with_m():
    assert verdicts("fig5", equal_tasks([0.2, 0.3, 0.45], "fig5")) == [HOLDS] * 3
    assert verdicts("fig5", equal_tasks([0.5, 0.3, 0.2], "fig5")) == [HOLDS, FAILS, HOLDS]
    assert verdicts("fig5", equal_tasks([-0.1, 0.0, 0.7], "fig5")) == [FAILS, HOLDS, FAILS]


def test_the_large_model_s_gains():
    assert verdicts("fig16", equal_tasks([0.22, 0.41, 0.56], "fig16")) == [HOLDS] * 5
    assert verdicts("fig16", equal_tasks([0.22, 0.2, 0.25], "fig16"))[2:] == [HOLDS, FAILS, FAILS]


def heterogeneous(ours: dict[str, Any], theirs: dict[str, Any], first: str, other: str):
    times = {first: ours, other: theirs}
    return made_up(compare(first, other), lambda method, point: {"times": times[method]})


def four_tasks(scale: float, mnist: float = 99.0) -> RecordedStudy:
    ones = seeds(1.0, 1.02, 0.98)
    theirs = {"mnist": 360 * ones, "cifar10": 1033 * ones}
    ours = {"mnist": mnist * ones, "cifar10": scale * 1033 * ones}
    return heterogeneous(ours, theirs, "fedast:dynamic", "sync_st")


def test_the_heterogeneous_run():
    assert verdicts("fig6", four_tasks(0.599)) == [HOLDS] * 3
    assert verdicts("fig7", four_tasks(0.599)) == [HOLDS] * 2
    assert verdicts("fig7", four_tasks(0.9)) == [HOLDS, FAILS]
    assert verdicts("fig7", four_tasks(1.2)) == [FAILS, FAILS]
    assert verdicts("fig6", four_tasks(1.2, mnist=500)) == [FAILS] * 3
    assert verdicts("fig18", four_tasks(0.44)) == [HOLDS] * 2
    assert verdicts("fig20", four_tasks(0.84)) == [HOLDS] * 2


def test_seeds_that_disagree_cannot_tell():
    times = {"a": seeds(50, 130, 90)}, {"a": seeds(100, 100, 100)}
    study = heterogeneous(*times, "fedast:dynamic", "fedast:static")
    assert verdicts("fig24", study) == [OPEN]


def test_a_target_that_only_one_side_meets_counts_as_the_end():
    """Sync-ST never gets there: its times are 1000, the end, and FedAST's gain at least 0.9."""
    times = {"a": seeds(100, 100, 100)}, {"a": seeds(NAN, NAN, NAN)}
    study = heterogeneous(*times, "fedast:dynamic", "fedast:static")
    (claim,) = FIGURES["fig24"].claims(study)
    assert judge(claim).estimate == pytest.approx(0.9)


def test_seeds_that_diverged_are_left_out():
    study = made_up(
        compare("fedast:dynamic", "fedast:static"),
        lambda method, point: {"times": {"a": seeds(1, 2, 3, 4)}, "diverged": [1]},
    )
    assert list(task_time(study.results[0], "a").dropna()) == [1, 3, 4]
    assert list(last_time(study.results[0]).index) == [0, 2, 3]
    assert list(end_level(study.results[0]).index) == [0, 2, 3]


def test_times_of_several_tasks():
    study = made_up(
        compare("fedast", "sync_st"),
        lambda method, point: {"times": {"a": seeds(10, 30), "b": seeds(50, NAN)}},
    )
    ours = study.results[0]
    assert list(mean_time(ours)) == [30, 515]
    assert list(last_time(ours)) == [50, 1000]
    assert list(paired_times(ours, ours).index) == [0]  # of seed 1 neither got there


def chosen(key: str, times: dict[int, float]) -> RecordedStudy:
    table = {"algorithm": "sync_st", "study": {"sweep": {key: list(times)}}}
    return made_up(
        table, lambda method, point: {"times": {"a": times[point[key]] * seeds(1.0, 1.01, 0.99)}}
    )


@pytest.mark.parametrize(
    ("figure", "key", "best", "others"),
    [("fig8", "tasks.a.buffer_size", 5, (1, 3, 7)), ("fig9", "tasks.a.buffer_size", 3, (1, 5)),
     ("fig12", "keep_first", 30, (5, 100)), ("fig10", "keep_first", 3, (1, 12))],
)  # fmt: skip
def test_a_setting_chosen_as_the_best(figure, key, best, others):
    worse = dict.fromkeys(others, 120.0)
    assert verdicts(figure, chosen(key, {best: 100.0, **worse})) == [HOLDS]
    assert verdicts(figure, chosen(key, {best: 121.0, **worse})) == [HOLDS]  # within a twentieth
    assert verdicts(figure, chosen(key, {best: 150.0, **worse})) == [FAILS]


@pytest.mark.parametrize("figure", ["fig2", "fig3", "fig4", "fig5", "fig7", "fig12"])
def test_pictures_of_made_up_studies_say_how_many_seeds(figure):
    study = {
        "fig2": lambda: made_up(
            compare(*FIG2),
            lambda method, point: {"times": {"a": seeds(1, 1)}, "accuracy": level(FIG2[method])},
        ),
        "fig3": lambda: ratio_study({75: 0.0, 600: 0.1}),
        "fig4": lambda: made_up(
            compare("fedast", "fedast_nobuffer"), lambda m, p: {"times": {"a$_b": seeds(NAN, 1)}}
        ),
        "fig5": lambda: equal_tasks([0.1, 0.2, 0.3], "fig5"),
        "fig7": lambda: four_tasks(0.6),
        "fig12": lambda: chosen("keep_first", {5: 2.0, 30: 1.0}),
    }[figure]()
    drawn = FIGURES[figure].draw(study)
    drawn.draw_without_rendering()
    assert study.seeds_in_words in drawn._suptitle.get_text()  # type: ignore[attr-defined]
    assert drawn.get_figwidth() in (3.3, 6.9)


def test_a_picture_is_drawn_where_nobody_gets_there():
    never = seeds(NAN, NAN, NAN)
    study = heterogeneous({"a": never}, {"a": never}, "fedast:dynamic", "sync_st")
    FIGURES["fig7"].draw(study).draw_without_rendering()
    FIGURES["fig6"].draw(study).draw_without_rendering()
    assert np.isnan([judge(claim).estimate or NAN for claim in FIGURES["fig7"].claims(study)]).all()
