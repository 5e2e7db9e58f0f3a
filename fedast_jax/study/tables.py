"""A study as tables: all that can be said of it without what has run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import pandas as pd

from ..config.grid import Point, flat_keys
from ..results.summary import Measured, diverged_replicates
from .outcomes import best_setting, overall_gain, overall_summary, task_gains


class Side(Protocol):
    """Where one result belongs in a study."""

    @property
    def method(self) -> str:
        """The algorithm as the study names it."""
        ...

    @property
    def point(self) -> Point:
        """What the sweep has set."""
        ...


@dataclass(frozen=True, repr=False)
class StudyTables:
    """A finished (or interrupted) study, run here or read from its folder.

    Every table has the column ``algorithm`` first, then one for each swept setting.
    """

    table: Mapping[str, Any]  # what was asked for; running it again gives the same bits
    variants: Sequence[Side]
    results: Sequence[Measured]  # one a variant, in order

    @property
    def name(self) -> str:
        """Of the configuration."""
        return self.results[0].config.name

    @property
    def status(self) -> str:
        """``"finished"`` or ``"interrupted"``."""
        return max(result.status for result in self.results)

    @property
    def num_seeds(self) -> int:
        """Of every configuration; of folders side by side the most."""
        return max(result.config.num_seeds for result in self.results)

    @property
    def seeds_in_words(self) -> str:
        """How many seeds a mean rests on, for titles."""
        counts = sorted({result.config.num_seeds for result in self.results})
        words = "1 seed" if counts == [1] else f"{' or '.join(map(str, counts))} seeds"
        diverged = sum(len(diverged_replicates(result)) for result in self.results)
        return f"{words}; {diverged} runs that diverged are left out" if diverged else words

    @property
    def methods(self) -> list[str]:
        """The algorithms, in the order in which they were named."""
        return list(dict.fromkeys(variant.method for variant in self.variants))

    @property
    def tasks(self) -> dict[str, set[float | None]]:
        """Every task, and the targets that it has."""
        targets: dict[str, set[float | None]] = {}
        for task in [task for result in self.results for task in result.config.named_tasks]:
            targets.setdefault(task.name, set()).add(task.settings.target)
        return targets

    @property
    def points(self) -> list[Point]:
        """The settings swept over; one empty point where there is no sweep."""
        return [
            variant.point for variant in self.variants if variant.method == self.variants[0].method
        ]

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """One row per test."""
        return self._stack(lambda result: result.evaluations)

    @cached_property
    def allocations(self) -> pd.DataFrame:
        """R_m and b_m whenever they changed."""
        return self._stack(lambda result: result.allocations())

    @cached_property
    def lanes(self) -> pd.DataFrame:
        """One row per replicate and task: how it ended."""
        return self._stack(lambda result: result.lanes)

    @cached_property
    def axes(self) -> dict[str, list[Any]]:
        """What the sweep goes through: keys joined by a comma, and their values."""
        grid = self.table.get("study", {}).get("sweep", {})
        return {axis: list(values) for axis, values in flat_keys(grid)}

    def result(self, method: str, point: Point | None = None) -> Measured:
        """The result of one algorithm at one point of the sweep.

        Raises:
            KeyError: the study has no such configuration.
        """
        return self.results[self._number(method, point)]

    def compared(self, point: Point | None = None) -> dict[str, Any]:
        """At one point of the sweep: ``algorithms`` (each one's summary and overall time), and
        ``gain`` and ``gain_per_task`` of the first algorithm against each other one."""
        results = {method: self.result(method, point) for method in self.methods}
        first, *others = results
        gains = {other: self.gains(results[first], results[other]) for other in others}
        return {
            "algorithms": {
                method: result.summary() | {"overall": overall_summary(result)}
                for method, result in results.items()
            },
            "gain": {other: overall for other, (overall, _) in gains.items()},
            "gain_per_task": {other: per_task for other, (_, per_task) in gains.items()},
        }

    def gains(self, first: Measured, other: Measured) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of the first over the other: in overall time, and by task."""
        return overall_gain(first, other), task_gains(first, other)

    def summary(self) -> dict[str, Any]:
        """What ``compared`` says; of a sweep for every setting, and each algorithm's best."""
        head = {"name": self.name, "status": self.status, "num_seeds": self.num_seeds}
        if self.points == [{}]:
            return head | self.compared()
        settings = [{"setting": point} | self.compared(point) for point in self.points]
        return head | {
            "settings": settings,
            "best": {method: self.best(method) for method in self.methods},
        }

    def best(self, method: str) -> dict[str, Any] | None:
        """The setting that suits an algorithm best, as ``outcomes.best_setting`` says."""
        return best_setting(self.points, [self.result(method, point) for point in self.points])

    def __repr__(self) -> str:
        """One line."""
        swept = f", {len(self.points)} settings" if self.axes else ""
        return (
            f"<{type(self).__name__} {self.name!r}: {' against '.join(self.methods)}{swept}, "
            f"{self.seeds_in_words}, {self.status}>"
        )

    def _number(self, method: str, point: Point | None) -> int:
        for number, variant in enumerate(self.variants):
            if (variant.method, variant.point) == (method, point or {}):
                return number
        raise KeyError((method, point))

    def _stack(self, table_of: Callable[[Any], pd.DataFrame]) -> pd.DataFrame:
        tables = [
            self._with_setting(variant, table_of(result))
            for variant, result in zip(self.variants, self.results, strict=True)
        ]
        # a configuration that was never begun would turn numbers into objects
        begun = [table for table in tables if len(table)] or tables[:1]
        return pd.concat(begun, ignore_index=True)

    def _with_setting(self, variant: Side, table: pd.DataFrame) -> pd.DataFrame:
        """A result's table with columns in front that say whose it is."""
        values = {"algorithm": variant.method}
        values |= {key: self._shown(key, value) for key, value in variant.point.items()}
        columns = {name: [value] * len(table) for name, value in values.items()}
        return pd.concat([pd.DataFrame(columns), table.reset_index(drop=True)], axis=1)

    def _shown(self, key: str, value: Any) -> Any:
        """A swept value as tables have it: a number where all of its key's are, else text."""
        return value if are_of_one_kind([point[key] for point in self.points]) else str(value)


def are_of_one_kind(values: Sequence[Any]) -> bool:
    """Whether all are numbers, or all truth values: then they can share a column as they are."""
    kinds = {isinstance(value, bool) for value in values}
    return len(kinds) == 1 and all(isinstance(value, int | float) for value in values)
