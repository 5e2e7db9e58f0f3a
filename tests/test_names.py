"""What runs and tasks may be called."""

from __future__ import annotations

import pytest

import fedast_jax as fx
from fedast_jax.config.toml import load_table

BAD = ["", "$x^$", r"$\foo$", "[/red]", "../../evil", ".hidden", "a b", "é", "a\n", "x" * 65, "a:b"]


def settings(**more) -> dict:
    return {"max_updates": 4, "tasks": {"digits": {}}} | more


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_name_is_refused(name):
    with pytest.raises(fx.ConfigError, match="name: a name has 1 to 64 letters") as error:
        fx.make_config(settings(name=name))
    assert str(error.value).endswith(f"got {name!r}")
    with pytest.raises(fx.ConfigError, match="tasks: a name has 1 to 64 letters"):
        fx.make_config(settings(tasks={name: {"kind": "digits"}}))


@pytest.mark.parametrize("name", ["a", "_a-1.b", "-", "x" * 64])
def test_what_is_a_name(name):
    tasks = {name: {"kind": "digits"}}
    assert fx.make_config(settings(name=name, tasks=tasks)).name == name


def test_a_run_is_called_after_its_file_without_what_no_name_has(tmp_path):
    path = tmp_path / ".my run (2) é.toml"
    path.write_text("max_updates = 4\n[tasks.digits]\n")
    assert load_table(path)["name"] == "my-run--2---"
    assert fx.load_config(path).name == "my-run--2---"


def test_two_tasks_of_one_name_are_refused():
    tasks = {"digits": {"copies": 2}, "digits_1": {"kind": "digits"}}
    with pytest.raises(fx.ConfigError, match="'digits_1' is there twice, since the 2 copies of"):
        fx.make_config(settings(tasks=tasks))


@pytest.mark.parametrize("name", ["digits_0", "digits_3", "digits_01", "digits_1_1", "digits_"])
def test_names_beside_those_of_copies(name):
    tasks = {"digits": {"copies": 2}, name: {"kind": "digits"}}
    config = fx.make_config(settings(tasks=tasks))
    assert [task.name for task in config.named_tasks] == ["digits_1", "digits_2", name]
