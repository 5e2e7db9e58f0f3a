"""Configurations: what is refused, in which words; defaults, overrides, and the way to TOML."""

from __future__ import annotations

import math
import re
import tomllib
from typing import Any

import pytest
from conftest import scenarios
from hypothesis import given, settings
from hypothesis import strategies as st

import fedast_jax as fx
from fedast_jax.algorithms import ALGORITHMS
from fedast_jax.algorithms.methods.server_optimizers import SERVER_OPTIMIZERS as OPTIMIZERS
from fedast_jax.clients.delays import LAWS
from fedast_jax.config.errors import ConfigError
from fedast_jax.config.settings import NAME, PRECISIONS, Config, DelayConfig, MachineConfig
from fedast_jax.config.shipped import read_table
from fedast_jax.run.resolve import load_config, make_config
from fedast_jax.study.variants import make_variants
from fedast_jax.tasks import TASKS


def table(top: dict[str, Any] | None = None, **task: Any) -> dict[str, Any]:
    """A configuration that can be run, with changes at the top and in its one task."""
    return {"max_updates": 10, **(top or {}), "tasks": {"a": {"kind": "softmax", **task}}}


WHOLE = "must be a whole number, "

BAD_TOP = {  # what is wrong: settings, and what the message must say
    "misspelt key": ({"num_client": 5}, ["'num_client'", "did you mean 'num_clients'?"]),
    "unknown key": ({"zzz": 5}, ["'zzz'", "known here are", "num_clients"]),
    "misspelt key of machine": (
        {"machine": {"batch_widht": 8}},
        ["'machine.batch_widht'", "did you mean 'batch_width'?"],
    ),
    "misspelt key of study": ({"study": {"compere": []}}, ["'study.compere'", "'compare'"]),
    "misspelt key of delays": ({"delays": {"lav": "constant"}}, ["'delays.lav'", "'law'"]),
    "N < 1": ({"num_clients": 0}, ["num_clients", "1", "got 0"]),
    "no seeds": ({"num_seeds": 0}, ["num_seeds", "got 0"]),
    "negative seed": ({"seed": -1}, ["seed", "got -1"]),
    "text for a number": (
        {"num_clients": "many"},
        ["num_clients must be a whole number, got 'many'"],
    ),
    "fraction for a count": ({"num_clients": 2.5}, ["num_clients must be a whole number, got 2.5"]),
    "boolean for a count": (
        {"num_clients": True},
        ["num_clients must be a whole number, got True"],
    ),
    "number for text": ({"algorithm": 3}, ["algorithm must be a text, got 3"]),
    "list for a table": ({"delays": [1]}, ["delays must be a table of settings, got [1]"]),
    "unknown algorithm": ({"algorithm": "fedasst"}, ["'fedasst'", "did you mean 'fedast'?"]),
    "unknown precision": (
        {"machine": {"precision": "float16"}},
        ["machine.precision must be", "'float64'", "got 'float16'"],
    ),
    "unknown law": ({"delays": {"law": "half_norml"}}, ["'half_norml'", "'half_normal'"]),
    "law unlike any": ({"delays": {"law": "zzz"}}, ["'zzz'", "choose from", "lognormal"]),
    "negative speed": (
        {"delays": {"speeds": [-1.0], "shares": [1.0]}},
        ["delays.speeds[0] must be greater than 0, got -1.0"],
    ),
    "infinite speed": ({"delays": {"speeds": [math.inf], "shares": [1.0]}}, ["speeds", "inf"]),
    "negative share": (
        {"delays": {"speeds": [1.0, 1.0], "shares": [-0.5, 1.5]}},
        ["delays.shares[0] must be greater than 0, got -0.5"],
    ),
    "shares beside one": (
        {"delays": {"speeds": [1.0, 2.0], "shares": [0.5, 0.4]}},
        ["shares must add up to 1", "0.4"],
    ),
    "shares and speeds unequal": ({"delays": {"speeds": [1.0]}}, ["one length", "1.0", "0.25"]),
    "cap below 1": ({"max_active_clients": 0}, ["max_active_clients", "got 0"]),
    "cap above N": (
        {"max_active_clients": 9, "num_clients": 8},
        ["max_active_clients", "num_clients=8", "got 9"],
    ),
    "no time": ({"time_limit": 0.0}, ["time_limit", "greater than 0", "got 0.0"]),
    "negative time": ({"time_limit": -3.0}, ["time_limit", "got -3.0"]),
    "time that is no number": ({"time_limit": math.nan}, ["time_limit", "got nan"]),
    "no updates": ({"max_updates": 0}, ["max_updates", "got 0"]),
    "no batch": ({"machine": {"batch_width": 0}}, ["machine.batch_width", "got 0"]),
    "no memory": ({"machine": {"memory_gib": 0.0}}, ["machine.memory_gib", "got 0.0"]),
}

BAD_TASK = {
    "misspelt key": ({"bufer_size": 2}, ["'tasks.a.bufer_size'", "did you mean 'buffer_size'?"]),
    "b > R": ({"num_active": 4, "buffer_size": 5}, ["tasks.a", "num_active=4", "got 5"]),
    "b < 1": ({"buffer_size": 0}, ["tasks.a.buffer_size", "got 0"]),
    "R < 1": ({"num_active": 0}, ["tasks.a.num_active", "got 0"]),
    "target of 0": ({"target_accuracy": 0.0}, ["tasks.a.target_accuracy", "got 0.0"]),
    "target above 1": ({"target_accuracy": 1.5}, ["tasks.a.target_accuracy", "got 1.5"]),
    "target in per cent": ({"target_accuracy": 93}, ["tasks.a.target_accuracy", "got 93"]),
    "target that is no number": ({"target_accuracy": math.nan}, ["target_accuracy", "got nan"]),
    "client rate of 0": ({"client_lr": 0.0}, ["tasks.a.client_lr", "got 0.0"]),
    "negative client rate": ({"client_lr": -0.1}, ["tasks.a.client_lr", "got -0.1"]),
    "infinite client rate": ({"client_lr": math.inf}, ["tasks.a.client_lr", "finite", "got inf"]),
    "client rate that is no number": ({"client_lr": math.nan}, ["tasks.a.client_lr", "got nan"]),
    "negative server rate": ({"server_lr": -1.0}, ["tasks.a.server_lr", "got -1.0"]),
    "infinite server rate": ({"server_lr": math.inf}, ["tasks.a.server_lr", "got inf"]),
    "text for a rate": ({"client_lr": "fast"}, ["tasks.a.client_lr", "number", "got 'fast'"]),
    "negative decay": ({"weight_decay": -1e-4}, ["tasks.a.weight_decay", "got -0.0001"]),
    "negative delay": ({"step_time": -0.5}, ["tasks.a.step_time", "got -0.5"]),
    "no samples": ({"samples_per_client": 0}, ["tasks.a.samples_per_client", "got 0"]),
    "alpha of 0": ({"dirichlet_alpha": 0.0}, ["tasks.a.dirichlet_alpha", "got 0.0"]),
    "no copies": ({"copies": 0}, ["tasks.a.copies", "got 0"]),
    "no tests": ({"test_every": 0}, ["tasks.a.test_every", "got 0"]),
    "no rounds": ({"max_rounds": 0}, ["tasks.a.max_rounds", "got 0"]),
    "batch of 0": ({"batch_size": 0}, ["tasks.a.batch_size", "got 0"]),
    "batch of another word": ({"batch_size": "some"}, ["tasks.a.batch_size", "got 'some'"]),
    "batch above the samples": (
        {"batch_size": 30, "samples_per_client": 20},
        ["tasks.a", "samples_per_client=20", "got 30"],
    ),
    "epochs and steps": ({"local_epochs": 1, "local_steps": 1}, ["tasks.a", "not both"]),
    "no epochs": ({"local_epochs": 0}, ["tasks.a.local_epochs", "got 0"]),
    "unknown kind": ({"kind": "mnst"}, ["'mnst'", "did you mean 'mnist'?"]),
    "kind unlike any": ({"kind": "zzzzz"}, ["'zzzzz'", "choose from", "cifar10"]),
    "kind that is no text": ({"kind": 3}, ["tasks.a.kind", "got 3"]),
    "unknown server optimizer": (
        {"server_optimizer": "adm"},
        ["tasks.a.server_optimizer", "'adam'", "got 'adm'"],
    ),
    "dataset of a kind that has one": ({"dataset": "mnist"}, ["tasks.a", "dataset", "tfds"]),
    "tfds without a dataset": ({"kind": "tfds"}, ["tasks.a", "dataset"]),
}


def refusal(wrong: dict[str, Any]) -> str:
    """The message for a table that cannot be run: one line, one sentence."""
    with pytest.raises(ConfigError) as caught:
        make_config(wrong)
    message = str(caught.value)
    assert "\n" not in message
    assert "pydantic" not in message
    assert caught.value.__suppress_context__  # no traceback of pydantic's beside it
    return message


@pytest.mark.parametrize("name", BAD_TOP)
def test_bad_settings_are_refused(name):
    settings_, says = BAD_TOP[name]
    message = refusal(table(settings_))
    assert all(part in message for part in says), message


@pytest.mark.parametrize("name", BAD_TASK)
def test_bad_tasks_are_refused(name):
    settings_, says = BAD_TASK[name]
    message = refusal(table(**settings_))
    assert all(part in message for part in says), message


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_updates": 3}, ["tasks", "missing"]),
        ({"max_updates": 3, "tasks": {}}, ["[tasks.NAME]"]),
        ({"max_updates": 3, "tasks": 7}, ["tasks", "got 7"]),
        ({"max_updates": 3, "tasks": {"mnist": 7}}, ["tasks.mnist", "got 7"]),
        ({"max_updates": 3, "tasks": {"mnits": {}}}, ["'mnits'", "did you mean 'mnist'?"]),
        ({"tasks": {"mnist": {}}}, ["time_limit", "max_updates", "tasks.mnist.max_rounds"]),
    ],
)
def test_tables_without_a_run_are_refused(wrong, says):
    message = refusal(wrong)
    assert all(part in message for part in says), message


def test_the_unknown_key_is_named_before_what_follows_from_it():
    """``num_activ = 2`` leaves R at its default, but that is not what was meant."""
    message = refusal(table({"num_clients": 0}, num_activ=2))
    assert "'tasks.a.num_activ'" in message
    assert "'num_active'" in message


@pytest.mark.parametrize("target", [1.0, 1e-3, "none"])
def test_targets_up_to_one_are_taken(target):
    config = make_config(table(target_accuracy=target))
    assert config.tasks["a"].target == (None if target == "none" else target)


def test_whole_numbers_are_rates_too():
    """TOML's ``client_lr = 1`` is an integer."""
    assert make_config(table(client_lr=1)).tasks["a"].client_lr == 1.0


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"no configuration file .*none\.toml"):
        load_config(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="is a folder; shipped are"):
        load_config(tmp_path)
    broken = tmp_path / "broken.toml"
    broken.write_text("num_clients = = 3\n")
    with pytest.raises(ConfigError, match=r"broken\.toml.* is not valid TOML: .*line 1"):
        load_config(broken)
    broken.write_bytes(b"name = '\xff'\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(broken)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text("max_updates = 10\n[tasks.softmax]\nnum_active = 5\n")
    return path


def test_a_file_is_named_after_itself(file):
    config = load_config(file)
    assert config.name == "small"
    assert config.tasks["softmax"].num_active == 5
    assert load_config(file, ["name=other"]).name == "other"


def test_overrides(file):
    given_ = [
        "num_clients=7",
        "tasks.softmax.client_lr = 0.25",
        "delays.law=constant",
        "tasks.tanh.kind='tanh'",
        "tasks.softmax.target_accuracy=none",
        "delays.speeds=[1.0]",
        "delays.shares=[1]",
    ]
    config = load_config(file, given_)
    assert config.num_clients == 7
    assert config.tasks["softmax"].client_lr == 0.25
    assert config.delays == DelayConfig(law="constant", speeds=(1.0,), shares=(1.0,))
    assert list(config.tasks) == ["softmax", "tanh"]
    assert config.tasks["softmax"].target is None


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("num_clients", "key=value, got 'num_clients'"),
        ("=3", "key=value, got '=3'"),
        ("tasks..x=3", "key=value"),
        ("max_updates.x=3", "'max_updates' is a value"),
        ("num_clients=few", "got 'few'"),
        ("num_clints=3", "did you mean 'num_clients'"),
        ("tasks.softmax.num_activ=3", "did you mean 'num_active'"),
    ],
)
def test_bad_overrides_are_refused(file, override, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        load_config(file, [override])


MOVED = {
    "machine": ("precision", "batch_width", "memory_gib", "num_devices", "checkpoint_seconds"),
    "study": ("compare", "sweep", "paired_seeds"),
}


@pytest.mark.parametrize(
    ("home", "key"), [(home, key) for home, keys in MOVED.items() for key in keys]
)
def test_settings_that_stood_at_the_top_say_where_they_are(home, key, file):
    says = f"^{key} has moved: write {home}\\.{key}, in the table \\[{home}\\]$"
    for value in (8, {"num_clients": [8]}, ["fedast", "sync_st"]):
        with pytest.raises(ConfigError, match=says):
            make_config(table({key: value}))
    with pytest.raises(ConfigError, match=says):
        load_config(file, [f"{key}=8"])
    file.write_text(f"{key} = 8\n{file.read_text()}")
    with pytest.raises(ConfigError, match=says):
        load_config(file)


def test_settings_of_machine_and_study_by_overrides(file):
    given = ["machine.batch_width=8", "machine.num_devices=2", 'study.compare=["fedast","sync_st"]']
    config = load_config(file, [*given, "study.sweep.num_clients=[40, 50]", "keep_first=2"])
    assert config.machine == MachineConfig(batch_width=8, num_devices=2)
    assert config.study.compare == ("fedast", "sync_st")
    assert config.study.sweep == {"num_clients": [40, 50]}
    assert config.given()["machine"] == {"batch_width": 8, "num_devices": 2}
    assert make_config(config.to_dict()) == config


def test_an_algorithm_among_the_overrides_takes_the_place_of_compare(file):
    file.write_text(file.read_text() + '[study]\ncompare = ["fedast", "sync_st"]\n')
    source = load_config(file)
    for one in (file, source, source.given()):
        config = load_config(one, [" algorithm = fedbuff"])
        assert (config.algorithm, config.study.is_wanted) == ("fedbuff", False)
    assert source.study.compare == ("fedast", "sync_st")
    config = load_config(file, ["algorithm=fedbuff", "study.sweep.num_clients=[40, 50]"])
    assert config.study.sweep == {"num_clients": [40, 50]}
    both = ["algorithm=fedast", 'study.compare=["fedast", "sync_st"]']
    with pytest.raises(ConfigError, match=r"algorithm='fedast' says nothing beside study\.compare"):
        make_variants(read_table(file, both))


def test_memory_that_does_not_suffice_says_what_to_lower():
    with pytest.raises(ConfigError) as caught:
        fx.simulate(make_config(table({"machine": {"memory_gib": 1e-3, "batch_width": 2}})))
    message = str(caught.value)
    assert all(
        part in message for part in ["num_active=6", "machine.batch_width", "machine.memory_gib"]
    )
    assert "\n" not in message


# Defaults, derived numbers, and TOML.


@pytest.mark.parametrize(
    ("kind", "client_lr", "weight_decay", "step_time", "target"),
    [
        ("mnist", 0.1, 3e-4, 0.148 / 2, 0.93),
        ("fashion_mnist", 0.06, 3e-4, 0.240 / 2, 0.82),
        ("cifar10", 0.1, 7e-4, 0.228 / 2, 0.63),
    ],
)
def test_defaults_are_the_papers(kind, client_lr, weight_decay, step_time, target):
    task = make_config({"max_updates": 1, "tasks": {kind: {}}}).tasks[kind]
    assert (task.client_lr, task.weight_decay, task.target) == (client_lr, weight_decay, target)
    assert task.step_time == pytest.approx(step_time)
    assert (task.server_lr, task.batch_size, task.work.num_steps) == (0.1, 32, 27)
    assert (task.samples_per_client, task.dirichlet_alpha, task.test_every) == (300, 0.1, 4)
    assert (task.num_active, task.buffer_size) == (96, 3)


@pytest.mark.parametrize("kind", sorted(TASKS))
def test_every_kinds_defaults_can_be_run(kind):
    task = {"dataset": "some_set"} if kind == "tfds" else {}
    config = make_config({"max_updates": 1, "tasks": {kind: task}})
    assert config.tasks[kind].work.num_steps >= 1


def test_local_counts_replace_each_other():
    steps = make_config(table(local_steps=4)).tasks["a"]
    assert (steps.local_steps, steps.local_epochs, steps.work.num_steps) == (4, None, 4)
    epochs = make_config({"max_updates": 1, "tasks": {"tanh": {"local_epochs": 2}}}).tasks["tanh"]
    assert (epochs.local_steps, epochs.local_epochs, epochs.work.num_steps) == (None, 2, 4)


def test_batch_size_all_is_one_step_an_epoch():
    task = make_config(table(batch_size="all", local_epochs=5)).tasks["a"]
    assert (task.work.batch_size, task.work.num_steps) == (25, 5)


def test_copies_are_written_out():
    config = make_config({"max_updates": 1, "tasks": {"softmax": {"copies": 2}, "tanh": {}}})
    assert [task.name for task in config.named_tasks] == ["softmax_1", "softmax_2", "tanh"]


def test_seeds_count_up():
    assert list(make_config(table({"seed": 7, "num_seeds": 3})).seeds) == [7, 8, 9]


def test_a_configuration_is_frozen():
    config = make_config(table())
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3
    with pytest.raises(ValueError, match="frozen"):
        config.tasks["a"].num_active = 3


def test_toml_holds_every_setting():
    """What is None has no place in TOML, nor an empty table; all else is written."""
    config = make_config(table({"time_limit": 3.0}))
    written = tomllib.loads(config.to_toml())
    for part, model, left_out in [
        (written, config, set()),
        (written["study"], config.study, {"compare", "sweep", "settings"}),
        (written["machine"], config.machine, {"side_by_side"}),
        (written["tasks"]["a"], config.tasks["a"], {"method"}),
        (written["delays"], config.delays, set()),
    ]:
        known = {name for name in type(model).model_fields if getattr(model, name) is not None}
        assert set(part) == known - left_out


def round_trip(config: Config, path) -> Config:
    path.write_text(config.to_toml())
    return load_config(path)


@given(scenario=scenarios())
def test_toml_round_trip(scenario, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    assert round_trip(scenario.config, path) == scenario.config


AWKWARD = [0.1, 1 / 3, 1e-300, 1e22, 5e-324, 1e30]


@given(
    rate=st.sampled_from(AWKWARD) | st.floats(1e-12, 1e12),
    name=st.from_regex(NAME, fullmatch=True),
    precision=st.sampled_from(PRECISIONS),
    law=st.sampled_from(sorted(LAWS)),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    steps=st.none() | st.integers(1, 9),
)
@settings(max_examples=100)
def test_toml_round_trip_of_awkward_values(
    rate, name, precision, law, optimizer, steps, tmp_path_factory
):
    task = {"client_lr": rate, "server_optimizer": optimizer, "batch_size": "all"}
    if steps:
        task["local_steps"] = steps
    top = {"name": name, "time_limit": rate, "delays": {"law": law}}
    top |= {"machine": {"precision": precision, "memory_gib": rate}}
    config = make_config(table(top, **task))
    assert round_trip(config, tmp_path_factory.getbasetemp() / "awkward.toml") == config


def test_every_algorithm_can_be_named():
    for name in ALGORITHMS:
        assert make_config(table({"algorithm": name})).algorithm == name
