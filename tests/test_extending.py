"""``docs/extending.md`` runs as it is written; ``fedast new``, ``--import`` and entry points."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_cli import run

import fedast_jax as fx
from fedast_jax import tasks as registry
from fedast_jax.algorithms import ALGORITHMS, get_algorithm
from fedast_jax.cli.job import Job
from fedast_jax.cli.new import templates, write_new_files
from fedast_jax.clients.laws import LAWS
from fedast_jax.config import plugins
from fedast_jax.config.errors import OutputError
from fedast_jax.config.plugins import import_modules, load_entry_points

PAGE = Path(__file__).parent.parent / "docs" / "extending.md"


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "TASKS", dict(registry.TASKS))
    monkeypatch.setattr(sys, "path", list(sys.path))
    algorithms, laws = dict(ALGORITHMS), dict(LAWS)
    yield
    ALGORITHMS.clear()
    ALGORITHMS.update(algorithms)
    LAWS.clear()
    LAWS.update(laws)
    for name in ("begun", "test_begun", "broken"):
        sys.modules.pop(name, None)


def run_in_turn(blocks: list[str]) -> dict:
    """What is named after all have run."""
    names: dict = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_the_page_on_extending_runs_as_it_is_written():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    with pytest.warns(UserWarning, match="replaces another") as warned:
        names = run_in_turn(blocks)
    messages = [str(one.message) for one in warned]
    assert messages == [
        f"the method {name!r} replaces another of that name" for name in ("ca2fl", "ringmaster")
    ]
    assert len(blocks[1][blocks[1].index("task =") :].splitlines()) <= 15
    walk = next(block for block in blocks if "ca2fl" in block)
    assert len(walk.split("study =")[0].strip().splitlines()) <= 25
    prices = names["priced"].summary()["tasks"]["prices"]
    assert prices["time_to_target"]["num_reached"] == 1
    labels = {variant.method for variant in names["study"].variants}
    assert labels == {"fedast", "ca2fl", "ringmaster"}
    assert get_algorithm("ca2fl").method is names["ca2fl"]


@pytest.mark.parametrize("what", templates())
def test_what_is_begun_passes_its_own_test(tmp_path, monkeypatch, what):
    monkeypatch.chdir(tmp_path)
    files = write_new_files(what, "begun", tmp_path)
    assert [path.name for path in files] == ["begun.py", "test_begun.py"]
    monkeypatch.syspath_prepend(tmp_path)
    tests = vars(importlib.import_module("test_begun"))
    for name in [name for name in tests if name.startswith("test_")]:
        tests[name]()
    with pytest.raises(OutputError, match=r"begun.py' is there already"):
        write_new_files(what, "begun", tmp_path)


def test_nothing_is_begun_under_odd_names(tmp_path):
    for name in ("", "../x", "a b", "class", "é", "x" * 41):
        with pytest.raises(fx.ConfigError, match="a name has 1 to 40 small letters"):
            write_new_files("task", name, tmp_path)
    with pytest.raises(fx.ConfigError, match="nothing to begin for 'tsak'; did you mean 'task'"):
        write_new_files("tsak", "x", tmp_path)
    for what, name in (("task", "mnist"), ("method", "fedast"), ("delay", "constant")):
        with pytest.raises(fx.ConfigError, match=f"'{name}' is a name of this package's own"):
            write_new_files(what, name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_remembers_what_it_imports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_new_files("task", "begun", tmp_path)
    Path("begun.toml").write_text("max_updates = 20\n[tasks.begun]\n")
    assert run(monkeypatch, "run", "begun.toml", "--out", "x") == 2
    assert "unknown task kind 'begun'" in capsys.readouterr().err
    assert run(monkeypatch, "run", "begun.toml", "--out", "out", "--import", "begun") == 0
    text = Job("run", [fx.load_config("begun.toml")], {"save": []}, None, ("begun",)).to_json()
    registry.TASKS.pop("begun")
    sys.modules.pop("begun")
    assert Job.from_json(text).imports == ("begun",)
    registry.TASKS.pop("begun")
    sys.modules.pop("begun")
    Path("begun.py").unlink()
    importlib.invalidate_caches()
    with pytest.raises(fx.ResumeError, match="cannot import 'begun': ModuleNotFoundError"):
        Job.from_json(text)


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("not_there", "cannot import 'not_there': ModuleNotFoundError: No module named"),
        ("broken", "cannot import 'broken': ZeroDivisionError: division by zero"),
        ("a b", "takes the name of a module, such as my_tasks or my_package.tasks, got 'a b'"),
        ("../evil", "takes the name of a module"),
        ("x" * 300, "takes the name of a module"),
    ],
)
def test_an_import_that_fails_is_told_with_its_module(tmp_path, monkeypatch, capsys, module, words):
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text("1 / 0\n")
    assert run(monkeypatch, "run", "quickstart", "--import", module) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


def test_a_file_beside_does_not_take_the_place_of_a_module(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("json.py").write_text("1 / 0\n")
    monkeypatch.delitem(sys.modules, "json")
    import_modules(["json"])


def offer(monkeypatch, *points: tuple[str, object]) -> None:
    """Installed packages with these entry points, by name."""
    found = [SimpleNamespace(name=name, value="m:x", attr="x", load=load) for name, load in points]
    monkeypatch.setattr(plugins, "_loaded", set())
    monkeypatch.setattr(plugins, "entry_points", lambda group: found)


def test_entry_points_are_loaded_when_a_name_is_not_known(monkeypatch, caplog):
    offer(monkeypatch, ("bad", lambda: 1 / 0), ("mine", lambda: registry.TASKS["digits"]))
    assert registry.get_kind("digits").name == "digits"
    assert not plugins._loaded
    assert registry.get_kind("mine").dataset == "digits"
    assert caplog.messages == ["cannot load 'bad' (m:x): ZeroDivisionError: division by zero"]
    load_entry_points("tasks")
    assert len(caplog.messages) == 1


def test_methods_of_installed_packages_are_found_by_their_names(monkeypatch, caplog):
    method = fx.Method("of_its_own", accept=lambda staleness: staleness < 3, buffer_size=1)
    offer(monkeypatch, ("bad", lambda: fx.Method), ("of_others", lambda: method))
    table = {"max_updates": 20, "num_clients": 20, "tasks": {"digits": {"num_active": 8}}}
    assert fx.make_config(table).tasks["digits"].buffer_size > 1
    assert not plugins._loaded
    config = fx.make_config({**table, "algorithm": "of_others"})
    assert config.tasks["digits"].buffer_size == 1  # its defaults are completed, too
    found = get_algorithm("of_others").method
    assert found is not None
    assert (found.name, found.accept) == ("of_others", method.accept)
    assert "bad" in caplog.messages[0]
    assert "of_its_own" not in ALGORITHMS


def test_laws_of_installed_packages_are_found_by_their_names(monkeypatch, caplog):
    offer(monkeypatch, ("bad", lambda: "no law"), ("twice", lambda: lambda u: 6.0 * u))
    table = {"max_updates": 20, "tasks": {"digits": {"num_active": 8}}}
    fx.make_config({**table, "delays": {"law": "constant"}})
    with pytest.raises(fx.ConfigError, match="needs trace"):
        fx.make_config({**table, "delays": {"law": "devices"}})
    assert not plugins._loaded
    assert fx.make_config({**table, "delays": {"law": "twice"}}).delays.law == "twice"
    assert LAWS["twice"].quantile(0.5) == 3.0
    assert "bad" in caplog.messages[0]
