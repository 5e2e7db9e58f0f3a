"""A segment planned while the device works is the one that is planned afterwards."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fedast_jax.oracle import SymbolicLearner
from fedast_jax.results.records import Seconds
from fedast_jax.run.driver import Driver
from fedast_jax.run.planner import Planner, Segment
from fedast_jax.run.resolve import make_config
from fedast_jax.run.snapshot import snapshot_of
from fedast_jax.study.fuzz.drive import KeepingDriver, run_driver
from fedast_jax.study.fuzz.parts import measured
from fedast_jax.study.fuzz.programs import shared_device
from fedast_jax.study.fuzz.symbols import SymbolicDevice

TASK = {"kind": "softmax", "num_active": 6, "buffer_size": 2, "test_every": 2}
AWAY = {"law": "on_off", "mean_on": 5.0, "mean_off": 3.0, "loss": 0.2}
FREE, TARGET = TASK | {"target_accuracy": "none"}, TASK | {"target_accuracy": 0.8}


class Busy(SymbolicDevice):
    """Is at work whenever it is asked."""

    is_busy = True  # type: ignore[assignment]


class Idle(SymbolicDevice):
    """Has done everything before it is asked."""

    is_busy = False  # type: ignore[assignment]


def table(**changes: Any) -> dict[str, Any]:
    tasks = {"a": dict(FREE), "b": dict(TARGET)}
    machine = {"batch_width": 4}
    return {"tasks": tasks, "num_seeds": 3, "max_updates": 90, "machine": machine} | changes


def drive(device: SymbolicDevice, settings: dict[str, Any], **how: Any) -> KeepingDriver:
    return run_driver(make_config(settings), device, window=how.pop("window", 7), **how).driver


def content(driver: KeepingDriver) -> dict[str, Any]:
    """What was measured, and all that a checkpoint would hold of the host's side."""
    found = measured(driver)
    return {name: found[name] for name in ("counts", "done", "num_begun")} | {
        "pools": [(pool["capacity"], pool["peak"]) for pool in found["pools"]]
    }


@pytest.mark.parametrize(
    ("settings", "is_planned_ahead"),
    [
        (table(), True),
        (table(allocation="dynamic"), True),
        (table(algorithm="sync_st", keep_first=3, num_clients=12), True),
        (table(algorithm="sync_ucb_st", keep_first=3, num_clients=12), False),  # losses each round
        (table(num_seeds=5, availability=AWAY), True),
    ],
    ids=["option S", "option D", "rounds", "decisions", "come and go"],
)
@pytest.mark.parametrize("capacity", [(150, 150), (8, 12)])
def test_planning_ahead_changes_nothing(settings, is_planned_ahead, capacity, monkeypatch):
    kept = count_kept(monkeypatch)
    ahead = drive(Busy(SymbolicLearner()), settings, capacity=capacity, num_resident=2)
    num_ahead = len(kept)
    after = drive(Idle(SymbolicLearner()), settings, capacity=capacity, num_resident=2)
    assert len(kept) == num_ahead  # none by a device that is never at work
    assert (num_ahead > 0) is is_planned_ahead
    assert str(content(ahead)) == str(content(after))


def count_kept(monkeypatch: pytest.MonkeyPatch) -> list[Segment]:
    """The segments planned ahead that were carried out."""
    kept: list[Segment] = []
    following = Planner.next

    def noted(planner: Planner, window: int) -> Segment:
        is_ahead = planner.ahead is not None
        segment = following(planner, window)
        if is_ahead:
            kept.append(segment)
        return segment

    monkeypatch.setattr(Planner, "next", noted)
    return kept


def test_what_was_planned_beyond_a_target_is_taken_back(monkeypatch):
    """The first test of a task that any accuracy satisfies ends it, planned on or not."""
    dropped: list[int] = []
    drop = Planner.drop_ahead

    def noted(planner: Planner) -> None:
        dropped.append(planner.ahead is not None)
        drop(planner)

    monkeypatch.setattr(Planner, "drop_ahead", noted)
    tasks = {"a": dict(FREE), "b": TASK | {"target_accuracy": 1e-9}}
    driver = drive(Busy(SymbolicLearner()), table(tasks=tasks), num_resident=3)
    assert any(dropped)
    for record in driver.done:
        assert len(record.lanes[1].round_end) == TASK["test_every"]
        assert record.lanes[1].target_time is not None


def test_a_checkpoint_takes_back_what_was_planned_ahead():
    class Saving(Busy):
        def on_segment(self, driver: Driver) -> None:
            super().on_segment(driver)
            was_ahead.append(driver.planner.ahead is not None)
            snapshot_of(driver)
            assert driver.planner.ahead is None

    was_ahead: list[bool] = []
    saving = drive(Saving(SymbolicLearner()), table())
    assert any(was_ahead)
    assert str(content(saving)) == str(content(drive(Busy(SymbolicLearner()), table())))


def test_a_device_does_not_wait_for_the_last_call_of_a_segment(monkeypatch):
    """The driver finds it at work, plans on, and all scores are those of a device that waits."""
    settings = table(machine={"batch_width": 4, "precision": "float32"}, num_seeds=2)
    kept = count_kept(monkeypatch)
    device = shared_device()
    monkeypatch.setattr(type(device), "is_busy", property(lambda one: one._begun is not None))
    ahead = run_driver(make_config(settings), device, window=7).driver
    assert kept
    waiting = shared_device()
    monkeypatch.setattr(type(waiting), "is_busy", False)
    assert str(content(ahead)) == str(
        content(run_driver(make_config(settings), waiting, window=7).driver)
    )


def test_time_of_a_phase_that_is_named_at_its_end():
    seconds = Seconds()
    with seconds.measure(lambda: "train"):
        time.sleep(0.002)
    assert seconds.train >= 0.002
    assert seconds.plan == 0
