"""The shipped configurations: every one loads, and is found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedast_jax.config import ConfigError, load_config
from fedast_jax.config_files import find_config, shipped_configs


@pytest.mark.parametrize("name", sorted(shipped_configs()))
def test_every_shipped_configuration_loads(name):
    assert load_config(find_config(name)).name == name


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


def test_a_missing_file_is_refused_with_its_path():
    with pytest.raises(ConfigError, match=r"no configuration file 'nowhere/x\.toml'; shipped"):
        find_config("nowhere/x.toml")
