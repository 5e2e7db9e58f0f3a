"""Refusals of settings: what is expected, in the user's words, and what was given."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

import fedast_jax as fx
from fedast_jax.config.settings import Config, MachineConfig, TaskConfig
from fedast_jax.config.words import show

TASK = {"kind": "softmax"}


def refusal(top: dict[str, Any], **task: Any) -> str:
    with pytest.raises(fx.ConfigError) as caught:
        fx.make_config({"max_updates": 3, "tasks": {"a": {**TASK, **task}}, **top})
    message = str(caught.value)
    assert not any(word in message for word in ("valid", "Input", "tuple", "dict", "instance"))
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("top", "says"),
    [
        ({"num_clients": 2.5}, "num_clients must be a whole number, got 2.5"),
        ({"num_clients": 0}, "num_clients must be at least 1, got 0"),
        (
            {"num_clients": 10**10},
            "num_clients must be at most 100,000,000, got 10,000,000,000",
        ),
        ({"time_limit": "x"}, "time_limit must be a number, got 'x'"),
        ({"time_limit": float("inf")}, "time_limit must be a finite number, got inf"),
        ({"time_limit": 0.0}, "time_limit must be greater than 0, got 0.0"),
        ({"name": 3}, "name must be a text, got 3"),
        ({"name": date(2020, 1, 2)}, "name must be a text, got 2020-01-02"),
        ({"study": {"paired_seeds": "yes"}}, "study.paired_seeds must be true or false, got 'yes'"),
        ({"allocation": "x"}, "allocation must be 'static' or 'dynamic', got 'x'"),
        ({"keep_first": "x"}, "keep_first must be a whole number or 'all', got 'x'"),
        ({"study": {"compare": "fedast"}}, "study.compare must be a list, got 'fedast'"),
        ({"study": {"compare": [1]}}, "study.compare[0] must be a text, got 1"),
        ({"delays": {"speeds": 3}}, "delays.speeds must be a list, got 3"),
        ({"delays": [1]}, "delays must be a table of settings, got [1]"),
        ({"delays": {"speeds": [1.0] * 1001}}, "delays.speeds must be a list of at most 1000"),
        ({"study": {"sweep": 3}}, "study.sweep must be a table of settings, got 3"),
        (
            {"study": {"sweep": {"num_clients": 3}}},
            "study.sweep.num_clients must be a list of values, got 3",
        ),
        ({"machine": 3}, "machine must be a table of settings, got 3"),
        ({"tasks": 3}, "tasks must be a table of settings, got 3"),
        ({3: 4}, "[3] must be a table whose keys are texts"),
        ({"tasks": {3: {}}}, "tasks.3.kind must be a text, got 3"),
    ],
)
def test_every_kind_of_refusal_says_what_is_expected(top, says):
    assert refusal(top).startswith(says)


def test_a_task_may_be_called_like_an_arm_of_pydantic():
    with pytest.raises(fx.ConfigError, match=r"^tasks\.constrained-int\.copies must be"):
        fx.make_config({"max_updates": 3, "tasks": {"constrained-int": {**TASK, "copies": 0}}})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (12, "12"),
        (10**12, "1,000,000,000,000"),
        ("x" * 200, "'" + "x" * 79 + "..."),
        ([1, 2], "[1, 2]"),
    ],
)
def test_values_are_shown_in_one_short_line(value, shown):
    assert show(value) == shown


def test_a_number_of_thousands_of_digits_is_not_written_out():
    assert show(10**5000) == "a number of over 4,983 digits"


LARGE = {
    "num_clients": 10**10, "num_seeds": 10**8, "seed": 2**31,
    "max_active_clients": 10**10, "keep_first": 10**10, "max_updates": 10**12,
    "time_limit": 1e300,
}  # fmt: skip
LARGE_MACHINE = {
    "batch_width": 10**9, "num_devices": 10**6, "checkpoint_seconds": 1e300, "memory_gib": 1e300,
}  # fmt: skip
LARGE_TASK = {
    "copies": 10**7, "num_active": 10**9, "buffer_size": 10**9, "samples_per_client": 10**9,
    "local_epochs": 10**12, "local_steps": 10**12, "batch_size": 10**9, "max_rounds": 10**12,
    "test_every": 10**12, "test_samples": 10**12, "client_lr": 1e300, "server_lr": 1e300,
    "weight_decay": 1e300, "sync_weight": 1e300, "dirichlet_alpha": 1e300, "step_time": 1e300,
    "proximal": 1e300, "staleness_a": 1e300, "staleness_bound": 1e300, "target_metric": 1e300,
}  # fmt: skip


@pytest.mark.parametrize("key", LARGE)
def test_every_number_has_an_upper_bound(key):
    assert refusal({key: LARGE[key]}).startswith(f"{key} must be at most ")


@pytest.mark.parametrize("key", LARGE_MACHINE)
def test_every_number_of_the_machine_has_an_upper_bound(key):
    said = refusal({"machine": {key: LARGE_MACHINE[key]}})
    assert said.startswith(f"machine.{key} must be at most ")


@pytest.mark.parametrize("key", LARGE_TASK)
def test_every_number_of_a_task_has_an_upper_bound(key):
    assert refusal({}, **{key: LARGE_TASK[key]}).startswith(f"tasks.a.{key} must be at most ")


def test_no_number_was_forgotten():
    """All others are from 0 to 1, in a table, or a method's, whose bounds it names itself."""
    others = {"target_accuracy", "precision", "method", "side_by_side"}
    models = ((Config, LARGE), (MachineConfig, LARGE_MACHINE), (TaskConfig, LARGE_TASK))
    for model, bounded in models:
        kinds = {name: str(field.annotation) for name, field in model.model_fields.items()}
        numbers = {name for name, kind in kinds.items() if "int" in kind or "float" in kind}
        assert numbers - others == set(bounded)


@pytest.mark.parametrize(
    ("top", "task", "says"),
    [
        ({}, {"copies": 100, "num_active": 10**6}, "add up to at most 10,000,000, got 100,000,000"),
        ({}, {"samples_per_client": 10**7, "local_epochs": 10**3}, "10,000,000 local steps, got"),
        ({"seed": 2**31 - 1, "num_seeds": 2}, {}, "the last would be 2,147,483,648; lower seed"),
        (
            {"study": {"sweep": {"num_clients": [*range(2, 2000)]}}},
            {},
            "at most 1,000 settings, got 1,998",
        ),
        (
            {"study": {"sweep": {"num_clients": [5, 6]}}, "num_seeds": 600_000},
            {},
            "1,000,000 runs, got 1,200",
        ),
    ],
)
def test_what_numbers_make_together_has_bounds_too(top, task, says):
    assert says in refusal(top, **task)


def test_a_second_task_counts_too():
    tasks = {"a": {**TASK, "copies": 60}, "b": {**TASK, "copies": 60}}
    assert "at most 100 tasks, got 120" in refusal({"tasks": tasks})
