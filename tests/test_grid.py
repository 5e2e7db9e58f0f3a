"""The settings of a sweep: how they are read, combined, named and refused."""

from __future__ import annotations

import re

import pytest

from fedast_jax.config.errors import ConfigError
from fedast_jax.config.grid import parse_axis, points, short_name, value_name
from fedast_jax.run.resolve import make_config
from fedast_jax.study.study import parse_grid
from fedast_jax.study.variants import make_variants

BASE = {"max_updates": 10, "num_seeds": 2, "seed": 5, "tasks": {"softmax": {}, "tanh": {}}}


def test_every_combination_the_last_axis_fastest():
    grid = {"a.b": [1, 2], "c, d": [[3, 4], [5, 6]]}
    assert points(grid) == [
        {"a.b": 1, "c": 3, "d": 4},
        {"a.b": 1, "c": 5, "d": 6},
        {"a.b": 2, "c": 3, "d": 4},
        {"a.b": 2, "c": 5, "d": 6},
    ]
    assert points({}) == [{}]


@pytest.mark.parametrize(
    ("option", "axis", "values"),
    [
        ("tasks.a.buffer_size=1,3,5", "tasks.a.buffer_size", [1, 3, 5]),
        ("tasks.a.client_lr = 0.1, 1e-2", "tasks.a.client_lr", [0.1, 0.01]),
        ("delays.law=constant,half_normal", "delays.law", ["constant", "half_normal"]),
        ("a,b=[1,2],[3,4]", "a,b", [[1, 2], [3, 4]]),
        ("tasks.a.target_accuracy=none,0.5", "tasks.a.target_accuracy", ["none", 0.5]),
        ("a=1", "a", [1]),
    ],
)
def test_axes_are_read(option, axis, values):
    assert parse_axis(option) == (axis, values)


def test_names_are_short():
    axis = "tasks.a.buffer_size, tasks.b.buffer_size"
    assert (short_name(axis), value_name(axis, [3, 3])) == ("buffer_size", "3")
    assert value_name(axis, [3, 5]) == "3, 5"
    assert (short_name("a.b, c"), value_name("a.b, c", [3, 3])) == ("b, c", "3, 3")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["a"], ["--grid", "KEY=VALUE", "'a'"]),
        (["a="], ["'a' has no values"]),
        (["=1"], ["KEY=VALUE"]),
        (["a=1", "a=2"], ["'a' is there twice"]),
    ],
)
def test_bad_options_are_refused(options, says):
    with pytest.raises(ConfigError) as caught:
        parse_grid(options)
    assert all(part in str(caught.value) for part in says), str(caught.value)


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        ({"tasks.softmax.bufer_size": [1]}, ["tasks.softmax.bufer_size", "'buffer_size'"]),
        ({"num_client": [10]}, ["'num_client'", "'num_clients'"]),
        ({"tasks.sotfmax.buffer_size": [1]}, ["no table 'tasks.sotfmax'", "tasks.softmax"]),
        ({"delay.law": ["constant"]}, ["no table 'delay'", "delays"]),
        ({"tasks.softmax.buffer_size": [1, "x"]}, ["tasks.softmax.buffer_size", "got 'x'"]),
        ({"tasks.softmax.buffer_size": [1, 9]}, ["tasks.softmax", "num_active=6", "got 9"]),
        ({"num_clients": []}, ["'num_clients' has no values"]),
        ({"num_clients": 3}, ["study.sweep.num_clients", "list", "got 3"]),
        ({"num_clients": [10, 10]}, ["value 10 twice"]),
        ({"a.b, c": [[1, 2], [3]]}, ["lists of 2 values", "got [3]"]),
        ({"num_clients": [1], "num_clients, seed": [[1, 2]]}, ["'num_clients'", "once"]),
        ({"algorithm": ["fedast", "sync_st"]}, ["'algorithm' cannot be swept", "study.compare"]),
        ({"seed": [1, 2]}, ["'seed' cannot be swept", "num_seeds"]),
        ({"study.sweep": [1]}, ["'study.sweep' cannot be swept"]),
        ({"machine.batch_width": [4, 8]}, ["'machine.batch_width' cannot be swept", "every"]),
        ({"machine": [{}]}, ["'machine' cannot be swept"]),
        ({"batch_width": [4, 8]}, ["batch_width has moved"]),
    ],
)
def test_bad_sweeps_are_refused(sweep, says):
    with pytest.raises(ConfigError) as caught:
        make_variants(BASE | {"study": {"sweep": sweep}})
    assert all(part in str(caught.value) for part in says), str(caught.value)
    assert "\n" not in str(caught.value)


def test_dotted_keys_need_no_quotes_in_toml():
    nested = {"tasks": {"softmax": {"buffer_size": [1, 2]}}}
    config = make_config(BASE | {"study": {"sweep": nested}})
    assert config.study.sweep == {"tasks.softmax.buffer_size": [1, 2]}


@pytest.mark.parametrize(
    ("paired", "seeds"),
    [
        ({}, [(5, 6)] * 3),
        ({"paired_seeds": False}, [(5, 6), (7, 8), (9, 10)]),
        ({"paired_seeds": True}, [(5, 6)] * 3),
    ],
)
def test_seeds_of_the_settings(paired, seeds):
    table = BASE | {"study": {"sweep": {"num_clients": [10, 20, 30]}} | paired}
    assert [tuple(one.config.seeds) for one in make_variants(table)] == seeds


def test_algorithms_share_the_seeds_of_a_setting():
    study = {"compare": ["fedast", "sync_st"], "paired_seeds": False}
    study["sweep"] = {"num_clients": [10, 20]}
    variants = make_variants(BASE | {"keep_first": 2, "study": study})
    assert [(one.method, one.point["num_clients"], one.config.seed) for one in variants] == [
        ("fedast", 10, 5), ("sync_st", 10, 5), ("fedast", 20, 7), ("sync_st", 20, 7),
    ]  # fmt: skip


def test_a_kind_can_be_swept_and_brings_its_defaults():
    table = {"max_updates": 10, "tasks": {"model": {"kind": "mnist"}}}
    axis = re.sub(" ", "", "tasks.model.kind, tasks.model.copies")
    table["study"] = {"sweep": {axis: [["mnist", 2], ["cifar10", 1]]}}
    first, second = (one.config for one in make_variants(table))
    assert [len(one.named_tasks) for one in (first, second)] == [2, 1]
    assert [one.tasks["model"].target for one in (first, second)] == [0.93, 0.63]
