"""The settings of every figure at every scale: they can be run, and are the experiment's."""

from __future__ import annotations

import pytest

from fedast_jax.config.errors import ConfigError
from fedast_jax.config.shipped import read_table
from fedast_jax.study.paper.experiments import EXPERIMENTS, Experiment
from fedast_jax.study.paper.quadratic import use_quadratic
from fedast_jax.study.paper.registry import FIGURES, get_figure
from fedast_jax.study.paper.scales import SCALES
from fedast_jax.study.variants import make_variants

PAPERS = [one for one in EXPERIMENTS if one.make is None]


def test_every_figure_has_one_study_and_every_study_its_figures():
    named = [name for one in EXPERIMENTS for name in one.figures]
    assert sorted(named) == sorted(FIGURES)
    assert sorted(FIGURES) == sorted([*(f"fig{number}" for number in range(2, 27)), "thm1"])


@pytest.mark.parametrize("experiment", PAPERS, ids=lambda one: one.name)
def test_figures_of_one_study_have_the_same_settings(experiment):
    tables = [read_table(f"paper/{name}") | {"name": ""} for name in experiment.figures]
    assert all(table == tables[0] for table in tables)


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda one: one.name)
@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_can_be_run(experiment, scale):
    use_quadratic()
    table = experiment.table(scale, seeds=5)
    assert {variant.config.num_seeds for variant in make_variants(table)} == {5}
    assert table["name"] == f"{experiment.name}-{scale}"


@pytest.mark.parametrize("experiment", PAPERS, ids=lambda one: one.name)
def test_a_smoke_run_has_the_experiment_s_shape(experiment):
    """The same methods and axes on digits; axes may be shorter, since data sets become one."""
    small, papers = experiment.table("smoke"), experiment.table("paper")
    assert small.get("study", {}).get("compare") == papers.get("study", {}).get("compare")
    axes = [list(table.get("study", {}).get("sweep", {}).values()) for table in (small, papers)]
    assert [len(axis) <= len(whole) for axis, whole in zip(*axes, strict=True)] == [True] * len(
        axes[0]
    )
    kinds = {task.kind for one in make_variants(small) for task in one.config.tasks.values()}
    assert kinds <= {"digits", "digits_cnn"}
    assert len(small["tasks"]) == len(papers["tasks"])


@pytest.mark.parametrize("experiment", PAPERS, ids=lambda one: one.name)
def test_what_a_laptop_changes_is_said(experiment: Experiment):
    is_changed = experiment.table("laptop") | {"name": ""} != experiment.table("paper") | {
        "name": ""
    }
    assert is_changed == bool(experiment.changes("laptop"))
    assert not experiment.changes("paper")
    assert experiment.changes("smoke")


def test_an_unknown_figure_names_the_nearest():
    with pytest.raises(ConfigError, match="unknown figure 'fig77'; did you mean 'fig7'"):
        get_figure("fig77")
    with pytest.raises(ConfigError, match="choose from fig10"):
        get_figure("nothing-like-it")
