"""The shipped configurations: every one loads, is found by its name, and its start is planned."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import fedast_jax as fx
from fedast_jax.algorithms import ALGORITHMS
from fedast_jax.config.errors import ConfigError
from fedast_jax.config.shipped import find_config, shipped_configs
from fedast_jax.config.toml import load_table
from fedast_jax.data.errors import DataError
from fedast_jax.study.variants import make_variants
from fedast_jax.tasks import Kind

AWAITED = {"sync_bayes_st", "sync_ucb_st", "sequential", "centralized"} - set(ALGORITHMS)
"""Algorithms that the paper's figures name and that are not there yet."""

SHARED = {  # figures that show the same runs
    "fig13": "fig3", "fig14": "fig4", "fig15": "fig5", "fig7": "fig6", "fig18": "fig17",
    "fig20": "fig19", "fig22": "fig21", "fig24": "fig23", "fig26": "fig25",
}  # fmt: skip


def read(name: str) -> dict[str, Any]:
    """A shipped table without the algorithms that are not there yet."""
    table = load_table(find_config(name))
    study = table.get("study", {})
    if "compare" in study:
        there = [one for one in study["compare"] if one not in AWAITED]
        assert len(there) > 1
        study["compare"] = there
    return table


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_configuration_loads(name):
    variants = make_variants(read(name))
    assert {one.config.name for one in variants} == {Path(name).name}


@pytest.fixture(scope="module")
def _each_data_set_is_read_once():
    """Fifty plans ask for the same few."""
    read_once = cache(lambda load, *given: load(*given))

    def load_for(kind, settings):
        return read_once(kind.load, kind.dataset or settings.dataset, settings.test_samples)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kind, "load_for", load_for)
        yield


@pytest.mark.usefixtures("_each_data_set_is_read_once")
@pytest.mark.parametrize("name", sorted(set(shipped_configs()) - {f"paper/{n}" for n in SHARED}))
def test_the_start_of_every_shipped_configuration_is_planned(name):
    """Of each configuration the first dispatches, from real data."""
    table = read(name) | {"num_seeds": 1, "max_updates": 20, "machine": {"batch_width": 8}}
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


@pytest.mark.parametrize("name", ["", "/", ".", "x" * 5000, "a\0b", "nowhere/x.toml"])
def test_what_is_no_file_is_refused_in_one_sentence(name):
    with pytest.raises(ConfigError) as caught:
        find_config(name)
    message = str(caught.value)
    assert "shipped are" in message
    assert "\n" not in message
    assert len(message) < 350


SMALL = {"max_updates": 4, "num_clients": 9, "tasks": {"softmax": {"num_active": 5}}}


def sources(tmp_path) -> list[fx.Config | dict[str, Any] | Path | str]:
    """The same in every form that a configuration may have."""
    path = tmp_path / "run.toml"
    path.write_text(fx.make_config(SMALL).to_toml())
    return [SMALL, fx.make_config(SMALL), path, str(path)]


def test_a_configuration_may_come_in_any_form(tmp_path):
    for source in sources(tmp_path):
        config = fx.load_config(source, overrides=["num_clients=7"])
        assert (config.num_clients, config.tasks["softmax"].num_active) == (7, 5)
        report = fx.plan(source, overrides=["max_updates=3"])
        assert report.events == 3
    assert SMALL["num_clients"] == 9
    assert fx.load_config("mnist").name == "mnist"
    config = fx.make_config(SMALL)
    assert fx.load_config(config) is config


def test_simulate_takes_a_table_and_overrides():
    result = fx.simulate(SMALL, overrides=["max_updates=2"], is_stopped=lambda: True)
    expected = SMALL | {"max_updates": 2, "machine": {"num_devices": 1}}
    assert result.config == fx.make_config(expected)


def test_a_study_of_a_config_is_that_of_what_was_given():
    """What was not given is each algorithm's own default, as from a table or a file."""
    overrides, methods = ["keep_first=3"], ["fedast", "sync_st"]
    study, same = (
        fx.compare(source, methods, overrides=overrides, is_stopped=lambda: True)
        for source in (fx.make_config(SMALL), SMALL)
    )
    assert [one.config for one in study.variants] == [one.config for one in same.variants]
    rates = [one.config.tasks["softmax"].test_every for one in study.variants]
    assert rates == [2, 1]


def test_given_leaves_defaults_out_and_makes_the_same():
    config = fx.make_config(SMALL)
    assert config.given() == SMALL
    assert fx.make_config(config.given()) == config
    more = config.model_copy(update={"num_seeds": 3})
    assert more.given() == SMALL | {"num_seeds": 3}
    delays = {"law": "constant", "speeds": [1.0], "shares": [1.0]}
    assert fx.make_config(SMALL | {"delays": delays}).given()["delays"] == delays


@pytest.mark.parametrize("source", [None, 3, ["mnist"], 2.5])
def test_what_is_no_configuration_is_refused(source):
    for call in (fx.load_config, fx.simulate, fx.plan, fx.compare, fx.sweep):
        with pytest.raises(ConfigError, match=r"^a configuration is the name .*, got "):
            call(source)


@pytest.mark.parametrize("overrides", ["num_seeds=3", {"num_seeds": 3}, 3])
def test_overrides_are_a_list(overrides):
    for call in (fx.load_config, fx.simulate, fx.plan, fx.compare, fx.sweep):
        with pytest.raises(ConfigError, match="overrides are a list such as"):
            call(SMALL, overrides=overrides)
    with pytest.raises(ConfigError, match="an override must be a text"):
        fx.load_config(SMALL, [3])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fx.compare(SMALL, "fedast"), "algorithms must be a list"),  # type: ignore
        (lambda: fx.compare(SMALL, []), r"algorithms must name at least one, got \[\]"),
        (lambda: fx.sweep(SMALL, 3), "a grid is a dict such as"),  # type: ignore
        (lambda: fx.sweep(SMALL, {"num_clients": 3}), r"grid\['num_clients'\] must be a list"),  # type: ignore
        (lambda: fx.sweep(SMALL, {"num_clients": "39"}), "must be a list such as"),
        (lambda: fx.sweep(SMALL, {"num_clients": [3]}, seeds="x"), "num_seeds must be a whole"),  # type: ignore
        (lambda: fx.plan(), "nothing to plan"),
    ],
)
def test_arguments_of_the_wrong_type_are_refused(call, says):
    with pytest.raises(ConfigError, match=says):
        call()


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    path = tmp_path / "marked.toml"
    path.write_bytes(b"\xef\xbb\xbf" + fx.make_config(SMALL).to_toml().encode())
    assert fx.load_config(path) == fx.make_config(SMALL)


DEEP = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"num_clients = {DEEP}", "too deep in each other"),
        (f"[{'.'.join(['a'] * 3000)}]", "at most 16 tables or lists deep"),
        (f"num_clients = {'9' * 5000}", "thousands of digits"),
        ("# " + "x" * 10_000_000, "over 10,000,000 bytes"),
    ],
)
def test_files_that_nobody_wrote_are_refused(tmp_path, text, says):
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says) as caught:
        fx.load_config(path)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [DEEP, "[" * 300 + "]" * 300, "9" * 5000])
@pytest.mark.parametrize("key", ["num_clients", "study.sweep.num_clients", "tasks.softmax.kind"])
def test_values_that_nobody_wrote_are_refused(key, value):
    with pytest.raises(ConfigError) as caught:
        fx.load_config(SMALL, overrides=[f"{key}={value}"])
    assert len(str(caught.value)) < 300
    with pytest.raises(ConfigError):
        fx.load_config(SMALL, overrides=["a." * 3000 + "b=1"])


def test_a_missing_file_is_refused_with_its_path():
    with pytest.raises(ConfigError, match=r"no configuration file 'nowhere/x\.toml'; shipped"):
        find_config("nowhere/x.toml")
