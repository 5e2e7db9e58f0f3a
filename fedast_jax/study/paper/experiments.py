"""The studies behind the paper's figures, and what of them is changed for a laptop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ...config.shipped import read_table
from .scales import SMOKE_WORDS, smoke
from .theorem_runs import theorem_table


class Experiment(NamedTuple):
    """One study; one or several figures show it."""

    figures: tuple[str, ...]  # ids
    laptop: Callable[[dict[str, Any]], None]  # changes the paper's table in place
    changed: tuple[str, ...]  # in words, by ``laptop``; () where it is the paper's own
    make: Callable[[str], dict[str, Any]] | None = None  # by scale; None: from ``configs/paper``
    save: tuple[str, ...] = ()  # what claims need beyond the usual tables
    ends: tuple[float, float] | None = None  # about when all targets are met: laptop, paper

    @property
    def name(self) -> str:
        """``fig6-fig7``."""
        return "-".join(self.figures)

    def table(self, scale: str, seeds: int | None = None) -> dict[str, Any]:
        """What is run at a scale."""
        table = self.make(scale) if self.make else self._scaled(scale)
        table["name"] = f"{self.name}-{scale}"
        return table if seeds is None else table | {"num_seeds": seeds}

    def expected_end(self, scale: str) -> float | None:
        """The simulated time by which a run is guessed to have met its targets."""
        places = {"laptop": 0, "paper": 1}
        return None if self.ends is None or scale not in places else self.ends[places[scale]]

    def _scaled(self, scale: str) -> dict[str, Any]:
        table = read_table(f"paper/{self.figures[0]}")
        if scale == "smoke":
            return smoke(table)
        if scale == "laptop":
            self.laptop(table)
        return table

    def changes(self, scale: str) -> tuple[str, ...]:
        """What differs from the paper's settings, in words."""
        if self.make is not None:
            return ()
        return {"smoke": SMOKE_WORDS, "laptop": self.changed}.get(scale, ())


def _as_it_is(table: dict[str, Any]) -> None:
    """The paper's own settings."""


def _replace(old: str, new: str, limit: float) -> Callable[[dict[str, Any]], None]:
    """Another kind in the place of a task, in sweeps too, and an earlier end."""

    def change(table: dict[str, Any]) -> None:
        tasks = table["tasks"].items()
        table["tasks"] = {new if name == old else name: task for name, task in tasks}
        table["time_limit"] = limit
        _rename_in_sweep(table, old, new)

    return change


def _rename_in_sweep(table: dict[str, Any], old: str, new: str) -> None:
    sweep = table.get("study", {}).get("sweep")
    if sweep:
        table["study"]["sweep"] = {
            axis.replace(f"tasks.{old}.", f"tasks.{new}."): values for axis, values in sweep.items()
        }


def _two_tasks(table: dict[str, Any]) -> None:
    """R = 192 and b = 6 for each of two tasks: sum R = 384 as everywhere."""
    table["tasks"] = {
        name: table["tasks"][name] | {"num_active": 192, "buffer_size": 6}
        for name in ("mnist", "fashion_mnist")
    }


def _six_tasks(table: dict[str, Any]) -> None:
    table["tasks"] = {"fashion_mnist": table["tasks"]["cifar10"]}
    table["time_limit"] = 120


def _active_ratio(table: dict[str, Any]) -> None:
    table["study"]["sweep"]["tasks.model.kind"] = ["fashion_mnist"]
    table["tasks"]["model"]["kind"] = "fashion_mnist"
    table["time_limit"] = 100


def _equal_tasks(table: dict[str, Any]) -> None:
    del table["study"]["sweep"]["tasks.model.kind"]
    kinds = {"tasks.model.kind, tasks.model.target_accuracy": [["mnist", 0.93],
             ["fashion_mnist", 0.72]]}  # fmt: skip
    table["study"]["sweep"] = kinds | table["study"]["sweep"]
    table["tasks"]["model"]["kind"] = "mnist"


def _small_target(table: dict[str, Any]) -> None:
    table["tasks"]["cifar10"]["target_accuracy"] = 0.35
    table["time_limit"] = 120
    table["study"]["sweep"]["keep_first"] = [10, 30, 100]


def _resnet(table: dict[str, Any]) -> None:
    task = table["tasks"].pop("cifar100") | {"kind": "mnist", "local_steps": 5}
    table["tasks"]["small"] = task | {"dirichlet_alpha": 1.0, "step_time": 1.0355}
    _rename_in_sweep(table, "cifar100", "small")


_TWO_WORDS = (
    "MNIST and Fashion-MNIST alone, with R = 192 and b = 6 each: CIFAR-10 and Shakespeare take "
    "hours",
)

EXPERIMENTS: Sequence[Experiment] = (
    Experiment(
        ("fig2",), _six_tasks, ("Fashion-MNIST in place of CIFAR-10", "time up to 120, not 1000")
    ),
    Experiment(
        ("fig3", "fig13"),
        _active_ratio,
        ("Fashion-MNIST alone, without CIFAR-10", "final: at time 100, not 1000"),
    ),
    Experiment(
        ("fig4", "fig14"),
        _replace("cifar10", "mnist", 200.0),
        ("MNIST in place of CIFAR-10", "time up to 200, not 1000"),
    ),
    Experiment(
        ("fig5", "fig15"),
        _equal_tasks,
        (
            "without CIFAR-10 and Shakespeare, which take hours",
            "Fashion-MNIST to 72%, the lower target of Table 3; MNIST as in the paper",
        ),
        ends=(200, 1000),
    ),
    Experiment(("fig6", "fig7"), _two_tasks, _TWO_WORDS, ends=(500, 1000)),
    Experiment(
        ("fig8",),
        _replace("cifar10", "mnist", 400.0),
        ("MNIST in place of CIFAR-10", "ends at time 400, not 1500"),
    ),
    Experiment(
        ("fig9",),
        _replace("cifar10", "fashion_mnist", 400.0),
        ("Fashion-MNIST in place of CIFAR-10", "ends at time 400, not 1500"),
    ),
    Experiment(
        ("fig10",), _small_target, ("to 35%, not 63%, up to time 120", "k = 10, 30 and 100 alone")
    ),
    Experiment(("fig11",), _as_it_is, (), ends=(300, 300)),
    Experiment(("fig12",), _as_it_is, (), ends=(80, 80)),
    Experiment(
        ("fig16",),
        _resnet,
        (
            "MNIST with its perceptron (to 93%) in place of CIFAR-100 with ResNet-18; alpha, local "
            "steps and delays as there",
        ),
    ),
    Experiment(("fig17", "fig18"), _two_tasks, _TWO_WORDS, ends=(900, 1400)),
    Experiment(("fig19", "fig20"), _two_tasks, _TWO_WORDS, ends=(150, 350)),
    Experiment(("fig21", "fig22"), _two_tasks, _TWO_WORDS, ends=(900, 1400)),
    Experiment(("fig23", "fig24"), _two_tasks, _TWO_WORDS, ends=(400, 650)),
    Experiment(("fig25", "fig26"), _two_tasks, _TWO_WORDS, ends=(120, 300)),
    Experiment(("thm1",), _as_it_is, (), theorem_table, ("requests",)),
)
