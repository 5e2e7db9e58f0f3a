"""Comparisons of algorithms: what is paired, what is refused, and what is worked out of it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from rich.console import Console
from test_isolation import mark_diverged

import fedast_jax as fx
from fedast_jax.config.errors import ConfigError
from fedast_jax.results.figures import held_mean
from fedast_jax.results.palette import METHODS as LOOKS
from fedast_jax.run.executor import Interrupted
from fedast_jax.study import outcomes
from fedast_jax.study.figures import comparison_figure
from fedast_jax.study.forecast import forecast
from fedast_jax.study.report import show_tables
from fedast_jax.study.study import Study
from fedast_jax.study.study_folder import save_study
from fedast_jax.study.variants import make_variants

METHODS = ["fedast", "sync_st", "fedast:dynamic"]


def table(**top: Any) -> dict[str, Any]:
    """Two tiny tasks that every algorithm can run; ``tanh`` has a target within reach."""
    return {
        "name": "small",
        "num_clients": 20,
        "max_active_clients": 12,
        "keep_first": 3,
        "max_updates": 60,
        "num_seeds": 3,
        "machine": {"batch_width": 8},
        **top,
        "tasks": {"softmax": {"target_accuracy": 0.2}, "tanh": {}},
    }


@pytest.fixture(scope="module")
def study() -> Study:
    return fx.compare(table(), METHODS)


def test_every_table_names_the_algorithm_first(study):
    for frame in (study.evaluations, study.allocations, study.lanes):
        assert next(iter(frame)) == "algorithm"
        assert list(dict.fromkeys(frame.algorithm)) == METHODS
    assert len(study.lanes) == 3 * 3 * 2


def test_a_comparison_is_each_algorithm_alone(study):
    """Bit for bit where the batches are as wide: running together changes nothing."""
    for method, settings in {
        "fedast": {},
        "sync_st": {"algorithm": "sync_st"},
        "fedast:dynamic": {"allocation": "dynamic"},
    }.items():
        alone = fx.simulate(fx.make_config(table(**settings)))
        assert_frame_equal(study.result(method).evaluations, alone.evaluations)


def test_each_algorithm_gets_its_own_defaults():
    _, tasks = table().pop("tasks"), {"mnist": {}}
    variants = make_variants(table(study={"compare": ["fedast", "sync_st"]}) | {"tasks": tasks})
    ours, theirs = (one.config.tasks["mnist"] for one in variants)
    assert (ours.client_lr, ours.server_lr, ours.test_every) == (0.1, 0.1, 4)
    assert (theirs.client_lr, theirs.server_lr, theirs.test_every) == (0.2, 1.0, 1)


def test_given_settings_hold_for_all():
    tasks = {"mnist": {"client_lr": 0.05}}
    for variant in make_variants(
        table(study={"compare": ["fedast", "sync_st"]}) | {"tasks": tasks}
    ):
        assert variant.config.tasks["mnist"].client_lr == 0.05


def test_labels_set_the_allocation():
    variants = make_variants(
        table(study={"compare": ["fedast:static", "fedast:dynamic", "sync_st"]})
    )
    assert [one.method for one in variants] == ["fedast:static", "fedast:dynamic", "sync_st"]
    assert [one.config.allocation for one in variants[:2]] == ["static", "dynamic"]


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["fedast", "sync_ts"], ["'sync_ts'", "did you mean 'sync_st'?"]),
        (["fedast", "sync_st", "fedast"], ["'fedast'", "the same"]),
        (["fedast", "fedast:static"], ["'fedast' and 'fedast:static' are the same"]),
        (["sync_st", "fedast:dynamics"], ["'fedast:dynamics'", "fedast:static or fedast:dynamic"]),
        (["fedast", "sync_st:dynamic"], ["'sync_st'", "no allocation"]),
        (["fedast"], ["at least two", "'fedast'"]),
        (["fedast", ""], ["unknown algorithm ''"]),
    ],
)
def test_bad_comparisons_are_refused(labels, says):
    with pytest.raises(ConfigError) as caught:
        fx.compare(table(), labels)
    assert all(part in str(caught.value) for part in ["study.compare: ", *says]), str(caught.value)
    assert "\n" not in str(caught.value)


def test_labels_that_differ_by_the_allocation_given_are_not_the_same():
    labels = ["fedast", "fedast:static"]
    variants = make_variants(table(study={"compare": labels}, allocation="dynamic"))
    assert [one.config.allocation for one in variants] == ["dynamic", "static"]


def test_what_one_algorithm_cannot_run_names_it():
    with pytest.raises(ConfigError, match=r"^sync_st: keep_first=30 is more than"):
        fx.compare(table(keep_first=30), ["fedast", "sync_st"])


def test_an_algorithm_beside_compare_is_refused():
    with pytest.raises(ConfigError, match=r"'sync_st' says nothing beside study\.compare"):
        fx.compare(table(algorithm="sync_st"), ["fedast", "sync_st"])


@pytest.mark.parametrize("function", [fx.simulate, fx.plan])
def test_a_comparison_is_not_run_as_one_configuration(function):
    with pytest.raises(ConfigError, match=r"fedast_jax\.compare"):
        function(fx.make_config(table(study={"compare": ["fedast", "sync_st"]})))


def test_overall_times_are_the_last_tasks(study):
    result = study.result("fedast")
    lanes = result.lanes
    assert outcomes.targets(result.config) == ["softmax"]  # tanh has none
    expected = lanes[lanes.task == "softmax"].target_time.to_numpy()
    assert np.isfinite(expected).any()
    np.testing.assert_array_equal(outcomes.overall(result).time, expected)


class Ended:
    """As much of a result as outcomes need."""

    def __init__(self, rows: list[tuple]) -> None:
        columns = ["seed", "task", "target_time", "accuracy", "diverged", "end_reason"]
        self.lanes = pd.DataFrame(rows, columns=columns)
        tasks = {"a": {"kind": "softmax", "target_accuracy": 0.5}}
        tasks |= {"b": {"kind": "tanh", "target_accuracy": 0.5}}
        self.config = fx.make_config({"max_updates": 1, "tasks": tasks})


def ended(times: dict[int, tuple[float, float]], reason: str = "finished") -> Any:
    """Both tasks' times by seed."""
    return Ended(
        [
            (seed, task, time, 0.5, False, reason)
            for seed, pair in times.items()
            for task, time in zip("ab", pair, strict=True)
        ]
    )


def test_overall_by_hand():
    result = ended({3: (1.0, 4.0), 5: (2.0, math.nan), 7: (6.0, 5.0)})
    times = outcomes.overall(result).time
    assert times.index.tolist() == [3, 5, 7]
    np.testing.assert_array_equal(times, [4.0, math.nan, 6.0])
    summary = outcomes.overall_summary(result)
    assert (summary["mean"], summary["median"]) == (5.0, 5.0)
    assert (summary["num_reached"], summary["num_seeds"]) == (2, 3)


def test_gains_pair_by_seed():
    """Seed 1 is missing here, seed 4 there (interrupted); of 2 and 3 the means are 4 and 8."""
    first = ended({2: (1.0, 3.0), 3: (5.0, 2.0), 4: (1.0, 1.0)})
    second = ended({1: (1.0, 1.0), 2: (10.0, 9.0), 3: (6.0, 5.0)})
    found = outcomes.overall_gain(first, second)
    assert (found["mean"], found["num_seeds"]) == (pytest.approx(0.5), 2)
    per_task = outcomes.task_gains(first, second)
    assert per_task["a"]["mean"] == pytest.approx((8 - 3) / 8)
    assert per_task["b"]["mean"] == pytest.approx((7 - 2.5) / 7)


def test_seeds_that_were_interrupted_do_not_count():
    found = outcomes.overall_gain(ended({1: (1.0, 2.0)}), ended({1: (3.0, 3.0)}, "interrupted"))
    assert found["mean"] is None
    assert "no seed of both has ended" in found["reason"]


def test_a_diverged_seed_has_no_time_and_no_accuracy():
    result = ended({1: (1.0, 2.0)})
    result.lanes["diverged"] = True
    assert outcomes.overall(result).isna().all(axis=None)
    assert outcomes.task_gains(result, ended({1: (3.0, 3.0)}))["a"]["mean"] is None


def test_a_setting_whose_seeds_diverge_is_not_the_best():
    """The other seed's accuracy is the higher one, but only one of two is sound."""
    never = (math.nan, math.nan)
    shaky, sound = ended({1: never, 2: never}), ended({1: never, 2: never})
    shaky.lanes["diverged"] = shaky.lanes.seed == 1
    shaky.lanes["accuracy"] = 0.9
    found = outcomes.best_setting([{"x": 1}, {"x": 2}], [shaky, sound])
    assert found is not None
    assert found["setting"] == {"x": 2}
    assert (found["criterion"], found["mean"], found["num_seeds"]) == ("accuracy", 0.5, 2)


def test_no_target_is_no_gain():
    small = table()
    small["tasks"]["softmax"] = {"target_accuracy": "none"}
    found = fx.compare(small | {"max_updates": 4, "num_seeds": 1}, ["fedast", "sync_st"]).summary()
    assert found["gain"]["sync_st"]["mean"] is None
    assert found["gain"]["sync_st"]["reason"] == "no task has a target"
    assert found["gain_per_task"]["sync_st"] == {}


def test_the_folder_runs_again_to_the_same_bits(study, tmp_path):
    first = save_study(study, tmp_path / "first")
    names = {path.name for path in first.iterdir()}
    assert names == {
        "config.toml", "configs", "evaluations.parquet", "allocations.parquet", "lanes.parquet",
        "summary.json", "manifest.json", "checksums.json", "figures",
    }  # fmt: skip
    again = save_study(fx.compare(first / "config.toml"), tmp_path / "again")
    tables = ("evaluations.parquet", "allocations.parquet", "lanes.parquet")
    for name in ("config.toml", *tables, "summary.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    for number, method in enumerate(METHODS):  # each alone, with everything written out
        path = first / "configs" / f"{number}-{method.replace(':', '-')}.toml"
        assert fx.load_config(path) == study.result(method).config
    summary = json.loads((first / "summary.json").read_text())
    assert set(summary["algorithms"]) == set(METHODS)
    assert set(summary["gain"]) == set(METHODS[1:])
    found = summary["gain"]["sync_st"]
    assert found["num_paired"] == 3
    assert found["mean"] is None or found["mean"] < 1


def test_pictures_say_what_they_show(study):
    figure = comparison_figure(study)
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown[:3] == [LOOKS[method].words for method in METHODS]
    assert "3 seeds" in figure.get_suptitle()
    assert [panel.get_title() for panel in figure.axes] == ["softmax", "tanh"]
    colours = {line.get_color() for line in legend.get_lines()[:3]}
    assert len(colours) == 3


def test_means_leave_out_what_diverged():
    study = fx.compare(table(), METHODS[:2])
    result = study.results[0]
    mark_diverged(result, "tanh")
    lines = comparison_figure(study).axes[1].lines  # of the task without a target
    (mean,) = (
        one
        for one in lines
        if (one.get_linewidth(), one.get_color()) == (2, LOOKS["fedast"].colour)
    )
    tests = result.evaluations.query("task == 'tanh' and replicate != 1")
    np.testing.assert_array_equal(mean.get_ydata(), 100 * held_mean(tests, "accuracy")[1])


@pytest.fixture
def _stopped_at_once(monkeypatch):
    """Every run is interrupted at the first call, with one replicate resident."""

    def stop(*given: object, **more: object) -> None:
        raise Interrupted

    monkeypatch.setattr("fedast_jax.run.executor.Device.train", stop)
    monkeypatch.setattr("fedast_jax.run.probe.enough_resident", lambda *given: 1)


@pytest.mark.usefixtures("_stopped_at_once")
def test_what_has_not_begun_is_reported_as_nothing(tmp_path):
    """Two of three algorithms have no rows at all."""
    study = fx.compare(table(), METHODS)
    assert study.status == "interrupted"
    summary = study.summary()
    assert summary["algorithms"]["sync_st"]["num_finished"] == 0
    assert summary["gain"]["sync_st"]["mean"] is None
    assert len(study.evaluations) == 0
    assert len(study.allocations) > 0
    assert set(study.figures()) == {"accuracy"}
    show_tables(study, Console(quiet=True))
    assert (save_study(study, tmp_path / "out") / "summary.json").is_file()


@pytest.mark.usefixtures("_stopped_at_once")
@pytest.mark.parametrize("num_axes", [1, 2, 3])
def test_a_sweep_that_has_not_begun_is_reported_as_nothing(tmp_path, num_axes):
    study = fx.sweep(table(), dict([*AXES.items()][:num_axes]))
    assert study.summary()["best"] == {"fedast": None}
    show_tables(study, Console(quiet=True))
    assert (save_study(study, tmp_path / "out") / "figures" / "sweep.png").is_file()


@pytest.mark.usefixtures("_stopped_at_once")
@pytest.mark.parametrize(
    ("paired", "says"),
    [
        (None, "Every setting has the same seeds"),
        (True, "Every setting has the same seeds"),
        (False, "Each setting has seeds of its own"),
    ],
)
def test_a_sweeps_table_says_which_seeds_its_settings_have(paired, says):
    console = Console(record=True, quiet=False, width=90)
    show_tables(fx.sweep(table(), {"num_clients": [20, 30]}, paired=paired), console)
    shown = " ".join(console.export_text().split())
    assert says in shown
    assert "study.paired_seeds = " in shown


AXES = {
    "num_clients": [20, 30],
    "tasks.softmax.client_lr": [0.5, 1.0],
    "delays.law": ["constant", "half_normal"],
}
GRID = {"tasks.softmax.buffer_size": [1, 2], "tasks.tanh.client_lr": [0.5, 1.0]}


@pytest.fixture(scope="module")
def swept() -> Study:
    return fx.sweep(table(max_updates=40), GRID, seeds=2)


def test_a_sweep_is_each_setting_alone(swept):
    for variant in swept.variants:
        alone = fx.simulate(variant.config).evaluations
        assert_frame_equal(swept.result(variant.method, variant.point).evaluations, alone)


def test_sweep_tables_name_the_settings(swept):
    columns = ["algorithm", *GRID]
    for frame in (swept.evaluations, swept.allocations, swept.lanes):
        assert list(frame)[:3] == columns
        assert len(frame[columns].drop_duplicates()) == 4
    assert sorted(swept.evaluations.seed.unique()) == [0, 1]  # of every setting
    assert [len(one["algorithms"]) for one in swept.summary()["settings"]] == [1] * 4


def test_sweeps_run_again_to_the_same_bits(swept, tmp_path):
    first = save_study(swept, tmp_path / "first")
    again = save_study(fx.sweep(first / "config.toml"), tmp_path / "again")
    for name in ("config.toml", "evaluations.parquet", "summary.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()
    figures = sorted(path.name for path in (first / "figures").iterdir())
    assert figures == ["sweep.pdf", "sweep.png"]
    for name in figures:
        assert (first / "figures" / name).read_bytes() == (again / "figures" / name).read_bytes()


def test_the_best_setting_by_hand():
    """The second has the better mean, but falls short in one seed; then times decide."""
    points = [{"x": 1}, {"x": 2}, {"x": 3}]
    results = [
        ended({1: (4.0, 6.0), 2: (8.0, 7.0), 3: (7.0, 7.0)}),
        ended({4: (1.0, 1.0), 5: (1.0, math.nan), 6: (1.0, 1.0)}),
        ended({7: (9.0, 9.0), 8: (9.0, 9.0), 9: (9.0, 9.0)}),
    ]
    found = outcomes.best_setting(points, results)
    assert found is not None
    assert (found["setting"], found["criterion"], found["mean"]) == ({"x": 1}, "time", 7.0)
    assert found["low"] <= 7.0 <= found["high"]
    assert outcomes.best_setting(points[:1], [ended({})]) is None


def test_without_targets_met_the_best_accuracy_wins():
    results = [ended({1: (math.nan, math.nan)}), ended({2: (math.nan, math.nan)})]
    results[1].lanes["accuracy"] = 0.6
    found = outcomes.best_setting([{"x": 1}, {"x": 2}], results)
    assert found is not None
    assert (found["setting"], found["criterion"], found["mean"]) == ({"x": 2}, "accuracy", 0.6)
    assert "got 1" in found["reason"]


@pytest.mark.parametrize("num_axes", [1, 2, 3])
def test_a_picture_for_any_number_of_axes(num_axes):
    small = table(max_updates=12, num_seeds=1, study={"compare": ["fedast", "sync_st"]})
    figure = fx.sweep(small, dict([*AXES.items()][:num_axes])).figures()["sweep"]
    assert "1 seed" in figure.get_suptitle()
    shown = {panel.get_title() for panel in figure.axes}
    shown |= {text.get_text() for one in figure.legends for text in one.get_texts()}
    assert {"FedAST", "Sync-ST"} <= shown


def test_a_forecast_counts_what_a_run_does():
    small = table(num_seeds=2, study={"sweep": {"num_clients": [20, 30]}})
    found = forecast([one.config for one in make_variants(small)])
    assert (found.configurations, found.runs, found.updates) == (2, 4, 4 * 60)
    assert found.bytes > 0
    assert 0 < found.seconds < 60
