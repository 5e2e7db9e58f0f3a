"""A small run in which much happens: its settings, drawn, and how the driver goes about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...algorithms import get_algorithm
from ...config.settings import Config
from ...oracle import shared_out
from ...run.executor import Executor
from ...run.resolve import make_config
from .choices import Choices
from .drive import Ran, run_driver

EQUAL = {"speeds": [1.0], "shares": [1.0]}
DELAYS: list[dict[str, Any]] = [
    {"law": "shifted_exponential"},
    {"law": "constant", **EQUAL},  # many ties
    {"law": "constant"},
    {"law": "half_normal"},
]


class Scenario(NamedTuple):
    """A configuration and how the driver goes about it."""

    config: Config
    capacity: tuple[int, int]  # rows of each pool at the start
    num_resident: int
    window: int  # events of a segment

    def run(self, executor: Executor, **more: Any) -> Ran:
        """Run it on an executor; ``more`` goes to ``run_driver``."""
        return run_driver(
            self.config,
            executor,
            capacity=self.capacity,
            num_resident=self.num_resident,
            window=self.window,
            **more,
        )


class Drawn(NamedTuple):
    """A scenario whose settings have not been checked yet."""

    table: dict[str, Any]
    capacity: tuple[int, int]
    num_resident: int
    window: int

    def checked(self) -> Scenario:
        """With a configuration."""
        return Scenario(make_config(self.table), *self[1:])


def draw_scenario(
    choose: Choices,
    targets: Sequence[float | str] = ("none", 0.3, 0.8, 0.9, 0.97),
    widths: Sequence[int] = (1, 2, 3, 8),
    capacities: Sequence[tuple[int, int]] = ((1, 1), (6, 4), (30, 9), (150, 150)),
    most_active: int = 10,
    num_updates: tuple[int, int] = (1, 120),
    num_tasks: tuple[int, int] = (1, 4),
    granule: int = 1,
    precision: str = "float32",
    **top: Any,
) -> Drawn:
    """Draw a scenario: ties, caps, stops, few rows, tiny windows.

    Args:
        choose: whom to ask.
        targets: accuracies, of which each task has one.
        widths, capacities: W and rows, of which the run has one.
        most_active, granule: R is a multiple of ``granule``, up to ``most_active`` of them.
        num_updates, num_tasks: between which numbers the arrivals and the tasks are.
        precision: of the models.
        top: further settings, as they are, or one of a list.
    """
    names = ["a", "b", "c", "d"][: choose.whole(*num_tasks)]
    tasks = {name: draw_task(choose, targets, most_active, granule) for name in names}
    if len(names) == 2 and choose.coin():
        tasks["b"]["copies"] = 2
    num_clients = choose.one_of([1, 2, 3, 5, 20, 100])
    table = {
        "tasks": tasks,
        "seed": choose.whole(0, 9),
        "num_seeds": choose.whole(1, 3),
        "num_clients": num_clients,
        "max_updates": choose.whole(*num_updates),
        "machine": {"batch_width": choose.one_of(widths), "precision": precision},
        "delays": choose.one_of(DELAYS),
    }
    for name, value in top.items():
        table[name] = choose.one_of(value) if isinstance(value, list) else value
    if choose.coin():
        table["max_active_clients"] = choose.whole(1, min(num_clients, 8))
    if choose.coin():
        table["time_limit"] = choose.one_of([2.0, 9.0, 30.0])
    if get_algorithm(table.get("algorithm", "fedast")).is_synchronous:
        draw_rounds(choose, table)
    capacity, num_resident = choose.one_of(capacities), choose.whole(1, 3)
    windows = [1, 3, 10] if min(capacity) < 5 else [1, 3, 10, 50]  # each that is too large is tried
    return Drawn(table, capacity, num_resident, choose.one_of(windows))


def draw_task(
    choose: Choices, targets: Sequence[float | str], most_active: int, granule: int = 1
) -> dict[str, Any]:
    """Settings of one task; those that shape compiled programs stay with the kind."""
    num_active = granule * choose.whole(1, most_active)
    table = {
        "kind": choose.one_of(["softmax", "tanh"]),
        "num_active": num_active,
        "buffer_size": choose.whole(1, num_active),
        "test_every": choose.whole(1, 3),
        "target_accuracy": choose.one_of(targets),
        "step_time": choose.one_of([0.5, 0.5, 0.7]),
    }
    if choose.coin():
        table["max_rounds"] = choose.whole(1, 12)
    return table


def draw_rounds(choose: Choices, table: dict[str, Any]) -> None:
    """Give a scenario's table what synchronous algorithms need: clients for every task."""
    weights = []
    for task in table["tasks"].values():
        task["sync_weight"] = choose.one_of([1.0, 1.0, 2.0, 3.5, 0.1])
        weights += [task["sync_weight"]] * task.get("copies", 1)
    table["num_clients"] = max(table["num_clients"], len(weights))
    num_active = choose.whole(len(weights), min(table["num_clients"], 16))
    table["max_active_clients"] = num_active
    if num_active == table["num_clients"]:
        del table["max_active_clients"]  # it is the default
    most = min(shared_out(weights, num_active))
    table["keep_first"] = "all" if choose.coin() else choose.whole(1, most)
