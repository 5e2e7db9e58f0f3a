"""The shipped configurations: every one loads, is found by its name, and its start is planned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import fedast_jax as fx
from fedast_jax.algorithms import ALGORITHMS
from fedast_jax.config.settings import ConfigError, load_table
from fedast_jax.config.shipped import find_config, shipped_configs
from fedast_jax.data.errors import DataError
from fedast_jax.study.variants import make_variants

AWAITED = {"sync_bayes_st", "sync_ucb_st", "sequential", "centralized"} - set(ALGORITHMS)
"""Algorithms that the paper's figures name and that are not there yet."""

SHARED = {  # figures that show the same runs
    "fig13": "fig3", "fig14": "fig4", "fig15": "fig5", "fig7": "fig6", "fig18": "fig17",
    "fig20": "fig19", "fig22": "fig21", "fig24": "fig23", "fig26": "fig25",
}  # fmt: skip


def read(name: str) -> dict[str, Any]:
    """A shipped table without the algorithms that are not there yet."""
    table = load_table(find_config(name))
    if "compare" in table:
        there = [one for one in table["compare"] if one not in AWAITED]
        assert len(there) > 1
        table["compare"] = there
    return table


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_configuration_loads(name):
    variants = make_variants(read(name))
    assert {one.config.name for one in variants} == {Path(name).name}


@pytest.mark.parametrize("name", sorted(set(shipped_configs()) - {f"paper/{n}" for n in SHARED}))
def test_the_start_of_every_shipped_configuration_is_planned(name):
    """Of each configuration the first dispatches, from real data."""
    table = read(name) | {"num_seeds": 1, "max_updates": 20, "batch_width": 8}
    try:
        report = fx.plan(*(one.config for one in make_variants(table)))
    except DataError as error:
        pytest.skip(f"no data: {error}")
    assert report.events == 20 * len(make_variants(table))


def test_every_figure_of_the_paper_has_a_file():
    figures = {*range(2, 27)}
    assert {f"paper/fig{number}" for number in figures} == {
        name for name in shipped_configs() if name.startswith("paper/")
    }


@pytest.mark.parametrize(("figure", "runs"), SHARED.items())
def test_figures_that_show_the_same_runs_agree(figure, runs):
    mine, theirs = (load_table(find_config(f"paper/{name}")) for name in (figure, runs))
    assert mine | {"name": runs} == theirs


@pytest.mark.parametrize("number", [*range(2, 27)])
def test_requests_of_the_papers_runs_follow_one_rule(number):
    """Spec, section 4: sum R = 1.28 * active clients, b = R / 32, except where R or b is swept."""
    if number in (8, 9, 10, 11, 12):
        return
    for variant in make_variants(read(f"paper/fig{number}")):
        tasks = [task.settings for task in variant.config.named_tasks]
        assert variant.config.max_active_clients is not None
        total = sum(task.num_active for task in tasks)
        assert total == pytest.approx(1.28 * variant.config.max_active_clients)
        if variant.method not in ("fedast_nobuffer", "centralized", "sequential"):
            assert all(task.buffer_size * 32 == task.num_active for task in tasks)


def test_the_named_configurations_are_shipped():
    wanted = {"quickstart", "mnist", "fashion_mnist", "cifar10", "mnist_fashion"}
    assert wanted <= set(shipped_configs())


def test_an_existing_file_wins_over_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mnist").write_text("")
    assert find_config("mnist") == Path("mnist")


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=r"'mnits'; did you mean 'mnist'\? shipped are .*quickst"):
        find_config("mnits")


def test_a_missing_figure_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match=re.escape("'paper/fig1'; did you mean 'paper/fig")):
        find_config("paper/fig1")


def test_a_missing_file_is_refused_with_its_path():
    with pytest.raises(ConfigError, match=r"no configuration file 'nowhere/x\.toml'; shipped"):
        find_config("nowhere/x.toml")
