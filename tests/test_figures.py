"""What figures show, on tables made by hand: no run is needed for any of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from fedast_jax.results.figures import LEAST_SEEDS, accuracy_figure, allocation_figure
from fedast_jax.results.palette import METHODS, TASKS, in_words, method_styles, task_style
from fedast_jax.results.pictures import write_pictures
from fedast_jax.study.figures import comparison_figure
from fedast_jax.study.recorded import (
    Recorded,
    RecordedConfig,
    RecordedStudy,
    RecordedTarget,
    RecordedTask,
    RecordedVariant,
)
from fedast_jax.study.sweep_figures import sweep_figure

Curve = tuple[list[float], list[float]]  # times of tests, accuracies


def recorded(
    curves: dict[str, list[Curve]],
    target: float | None = None,
    algorithm: str = "fedast",
    diverged: tuple[int, ...] = (),
) -> Recorded:
    """A result with the tests of each task's seeds; who ends above the target has met it."""
    tests, lanes, changes = [], [], []
    for task, seeds in curves.items():
        for seed, (times, values) in enumerate(seeds):
            own = {"replicate": seed, "seed": seed, "task": task}
            tests += [
                own | {"time": time, "accuracy": value, "loss": 1.0}
                for time, value in zip(times, values, strict=True)
            ]
            is_met = target is not None and values[-1] >= target
            lanes.append(
                own
                | {
                    "rounds": len(times),
                    "accuracy": values[-1],
                    "loss": 1.0,
                    "target_time": times[-1] if is_met else np.nan,
                    "mean_staleness": 0.0,
                    "diverged": seed in diverged,
                    "diverged_at": times[-1] if seed in diverged else np.nan,
                    "end_reason": "finished",
                    "end_time": max(one[seed][0][-1] for one in curves.values()),
                }
            )
            changes += [own | {"time": 0.0, "num_active": 4}, own | {"time": 1.0, "num_active": 8}]
    tasks = tuple(RecordedTask(task, RecordedTarget(target)) for task in curves)
    num_seeds = len(next(iter(curves.values())))
    config = RecordedConfig("by hand", algorithm, 0, num_seeds, tasks, {})
    return Recorded(config, "finished", *map(pd.DataFrame, (tests, lanes, changes)))


def study_of(results: dict[str, Recorded]) -> RecordedStudy:
    """A comparison."""
    return RecordedStudy({}, [RecordedVariant(one, {}) for one in results], [*results.values()])


def swept(axes: dict[str, list], results: list[Recorded]) -> RecordedStudy:
    """A sweep of FedAST over ``results`` in order."""
    from fedast_jax.config.grid import points

    variants = [RecordedVariant("fedast", point) for point in points(axes)]
    return RecordedStudy({"study": {"sweep": axes}}, variants, results)


RISE = [0.0, 1.0, 2.0, 10.0], [0.1, 0.5, 0.88, 0.93]


def bands(figure: Figure, panel: int = 0) -> list[np.ndarray]:
    """The corners of everything that is filled in a panel, empty ones left out."""
    filled = [one for one in figure.axes[panel].collections if isinstance(one, PolyCollection)]
    corners = [np.asarray(path.vertices) for one in filled for path in one.get_paths()]
    return [one for one in corners if len(one)]


def test_the_accuracy_axis_leaves_the_early_rise_out_and_shows_the_target():
    figure = accuracy_figure(recorded({"a": [RISE] * 3}, target=0.95))
    low, high = figure.axes[0].get_ylim()
    assert 60 < low < 88
    assert 95 < high <= 100.5


def test_the_accuracy_axis_holds_where_every_seed_of_every_method_ends():
    poor = recorded({"a": [([0.0, 10.0], [0.1, 0.12])] * 3}, algorithm="sync_st")
    figure = comparison_figure(study_of({"fedast": recorded({"a": [RISE] * 3}), "sync_st": poor}))
    low, high = figure.axes[0].get_ylim()
    assert low <= 12
    assert high >= 93


def test_panels_share_the_time_and_the_longest_fits():
    long = [0.0, 40.0], [0.1, 0.9]
    result = recorded({"a": [RISE] * 3, "b": [long] * 3})
    for figure in (accuracy_figure(result), comparison_figure(study_of({"fedast": result}))):
        spans = {panel.get_xlim() for panel in figure.axes}
        assert len(spans) == 1
        assert spans.pop()[1] >= 40
    short = recorded({"a": [RISE] * 3})
    pair = allocation_figure(short, result, labels=["fedast", "sync_st"])
    assert pair is not None
    assert {panel.get_xlim() for panel in pair.axes} == {pair.axes[0].get_xlim()}
    assert pair.axes[0].get_xlim()[1] >= 40


def test_a_method_has_one_colour_whatever_it_is_shown_with():
    alone = method_styles(["sync_st"])["sync_st"]
    assert method_styles(["fedast", "fedbuff", "sync_st"])["sync_st"] == alone
    figure = comparison_figure(
        study_of({one: recorded({"a": [RISE]}) for one in ("sync_st", "fedast")})
    )
    (legend,) = figure.legends
    shown = {
        t.get_text(): h for t, h in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }
    assert shown["Sync-ST"].get_color() == alone["color"]  # type: ignore[union-attr]
    assert shown["FedAST"].get_color() == METHODS["fedast"].colour  # type: ignore[union-attr]


def test_no_two_methods_look_alike_and_tasks_have_another_set():
    styles = method_styles([*METHODS, "mine", "A: fedast", "B: fedast"])
    looks = [(one["color"], one["ls"]) for one in styles.values()]
    assert len(set(looks)) == len(looks)
    assert not {one["color"] for one in styles.values()} & set(TASKS)
    assert styles["A: fedast"]["color"] == styles["fedast"]["color"]
    lines = [tuple(task_style(number).values()) for number in range(len(TASKS))]
    assert len(set(lines)) == len(TASKS)


@pytest.mark.parametrize(("num_seeds", "is_drawn"), [(LEAST_SEEDS - 1, False), (LEAST_SEEDS, True)])
def test_a_band_needs_three_seeds(num_seeds, is_drawn):
    curves = [([0.0, 10.0], [0.5, 0.5 + 0.1 * seed]) for seed in range(num_seeds)]
    figure = accuracy_figure(recorded({"a": curves}))
    assert bool(bands(figure)) == is_drawn
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert any("standard deviation" in one for one in words) == is_drawn


def test_a_band_ends_where_fewer_than_three_seeds_still_train():
    """Seeds meet the target at 4, 6, 8 and 10: from 6 on two are left, and the mean goes on."""
    curves = [([0.0, end], [0.3 + 0.05 * end, 0.9]) for end in (4.0, 6.0, 8.0, 10.0)]
    figure = accuracy_figure(recorded({"a": curves}, target=0.9))
    (band,) = bands(figure)
    assert 5.9 < band[:, 0].max() <= 6.0
    mean = next(one for one in figure.axes[0].lines if one.get_linewidth() == 2)
    assert np.max(mean.get_xdata()) == 10.0


def test_a_seed_that_diverged_has_its_line_alone():
    curves = [([0.0, 10.0], [0.5, value]) for value in (0.8, 0.8, 0.1)]
    figure = accuracy_figure(recorded({"a": curves}, diverged=(2,)))
    mean = next(one for one in figure.axes[0].lines if one.get_linewidth() == 2)
    assert np.max(np.abs(np.asarray(mean.get_ydata())[-1] - 80)) < 1e-9
    assert "2 seeds, 1 diverged" in figure.get_suptitle()


def test_every_figure_says_how_many_seeds_it_shows():
    result = recorded({"a": [RISE] * 4}, target=0.9)
    study = study_of({"fedast": result, "sync_st": result})
    allocations = allocation_figure(result)
    assert allocations is not None
    figures = [accuracy_figure(result), comparison_figure(study), allocations]
    for grid in ({"x": [1, 2]}, {"x": [1, 2], "y": [1]}, {"x": [1, 2], "y": [1], "z": [1]}):
        figures.append(sweep_figure(swept(grid, [result] * 2)))
    for figure in figures:
        assert "4 seeds" in figure.get_suptitle()


def test_in_heat_maps_brighter_is_better_and_the_bar_says_so():
    soon = recorded({"a": [([0.0, 5.0], [0.1, 0.95])] * 3}, target=0.9)
    late = recorded({"a": [([0.0, 50.0], [0.1, 0.91])] * 3}, target=0.9)
    figure = sweep_figure(swept({"x": [1, 2], "y": [1]}, [soon, late]))
    heats = [panel for panel in figure.axes if panel.images]
    bars = [panel for panel in figure.axes if "better" in panel.get_ylabel()]
    assert len(heats) == len(bars) == 2
    for heat, bar in zip(heats, bars, strict=True):
        (image,) = heat.images
        best, worst = np.asarray(image.get_array()).ravel()
        better, worse = (sum(image.cmap(image.norm(one))[:3]) for one in (best, worst))
        assert better > worse
        low, high = bar.get_ylim()
        assert abs(best - high) < abs(best - low)  # better is up on the bar
    assert "sooner is better" in bars[0].get_ylabel()
    assert "higher is better" in bars[1].get_ylabel()


def test_intervals_of_sweeps_need_three_seeds_too():
    for num_seeds, is_drawn in ((2, False), (3, True)):
        curves = [([0.0, 5.0 + seed], [0.1, 0.7 + 0.05 * seed]) for seed in range(num_seeds)]
        figure = sweep_figure(swept({"x": [1, 2]}, [recorded({"a": curves})] * 2))
        corners = [one[np.isfinite(one).all(axis=1)] for one in bands(figure)]
        assert any(len(one) for one in corners) == is_drawn


def test_names_are_shown_as_they_are(tmp_path):
    """None of these is a formula, and none is left out of a legend."""
    names = ["$x^$", "$\\foo$", "_hidden", "a$b", "100$"]
    result = recorded({name: [RISE] * 3 for name in names}, algorithm="_mine$")
    figures = {
        "accuracy": accuracy_figure(result),
        "allocations": allocation_figure(result),
        "comparison": comparison_figure(study_of({"$a$": result, "_b": result})),
        "sweep": sweep_figure(swept({"$k$": ["$1$", "$\\2$"]}, [result] * 2)),
    }
    paths = write_pictures(figures, tmp_path / "figures")
    assert len(paths) == 8
    assert all(path.stat().st_size > 0 for path in paths)
    allocations = figures["allocations"]
    assert allocations is not None
    assert len(allocations.legends[0].get_texts()) == len(names)


def test_legends_fit_into_the_figure():
    """Of one panel, the narrowest, and with every mark there is."""
    result = recorded({"a": [RISE] * 3}, target=0.9)
    figures = [accuracy_figure(result), sweep_figure(swept({"x": [1, 2]}, [result] * 2))]
    figures.append(comparison_figure(study_of({one: result for one in METHODS})))
    for figure in figures:
        figure.canvas.draw()
        (legend,) = figure.legends
        frame = legend.get_window_extent()
        assert frame.x0 >= 0
        assert frame.x1 <= figure.bbox.width


def test_methods_are_called_as_in_the_paper():
    assert in_words("sync_bayes_st") == "Sync-Bayes-ST"
    assert in_words("old: fedast") == "old: FedAST"
    assert in_words("mine") == "mine"
