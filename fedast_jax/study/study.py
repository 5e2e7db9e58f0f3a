"""Several configurations as one run: a comparison of algorithms, a sweep over settings, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..config.grid import Point, parse_axis
from ..config.settings import ConfigError
from ..config.shipped import Source, read_table
from ..config.words import show
from ..results.result import Result
from ..run.resolve import make_config
from ..run.simulate import simulate_together
from .outcomes import best_setting, overall_gain, overall_summary, task_gains
from .variants import Variant, make_variants

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass
class Study:
    """A finished (or interrupted) study.

    Every table has the column ``algorithm`` first, then one for each swept setting.
    """

    table: dict[str, Any]  # what was asked for; running it again gives the same bits
    variants: list[Variant]
    results: list[Result]  # one a variant, in order

    @property
    def name(self) -> str:
        """Of the configuration."""
        return self.results[0].config.name

    @property
    def status(self) -> str:
        """``"finished"`` or ``"interrupted"``."""
        return self.results[0].status

    @property
    def num_seeds(self) -> int:
        """Of every configuration."""
        return self.results[0].config.num_seeds

    @property
    def seeds_in_words(self) -> str:
        """How many seeds a mean rests on, for titles."""
        words = f"{self.num_seeds} seeds" if self.num_seeds > 1 else "1 seed"
        diverged = sum(len(result.diverged) for result in self.results)
        return f"{words}; {diverged} runs that diverged are left out" if diverged else words

    @property
    def methods(self) -> list[str]:
        """The algorithms, in the order in which they were named."""
        return list(dict.fromkeys(variant.method for variant in self.variants))

    @property
    def points(self) -> list[Point]:
        """The settings swept over; one empty point where there is no sweep."""
        return [one.point for one in self.variants if one.method == self.variants[0].method]

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
        return make_config(self.table).sweep

    def result(self, method: str, point: Point | None = None) -> Result:
        """The result of one algorithm at one point of the sweep.

        Raises:
            KeyError: the study has no such configuration.
        """
        for variant, result in zip(self.variants, self.results, strict=True):
            if (variant.method, variant.point) == (method, point or {}):
                return result
        raise KeyError((method, point))

    def compared(self, point: Point | None = None) -> dict[str, Any]:
        """At one point of the sweep: ``algorithms`` (each one's summary and overall time), and
        ``gain`` and ``gain_per_task`` of the first algorithm against each other one."""
        results = {method: self.result(method, point) for method in self.methods}
        first, *others = results
        return {
            "algorithms": {
                method: result.summary() | {"overall": overall_summary(result)}
                for method, result in results.items()
            },
            "gain": {one: overall_gain(results[first], results[one]) for one in others},
            "gain_per_task": {one: task_gains(results[first], results[one]) for one in others},
        }

    def summary(self) -> dict[str, Any]:
        """What ``compared`` says; of a sweep for every setting, and each algorithm's best."""
        head = {"name": self.name, "status": self.status, "num_seeds": self.num_seeds}
        if self.points == [{}]:
            return head | self.compared()
        settings = [{"setting": point} | self.compared(point) for point in self.points]
        return head | {"settings": settings, "best": {one: self.best(one) for one in self.methods}}

    def best(self, method: str) -> dict[str, Any] | None:
        """The setting that suits an algorithm best, as ``outcomes.best_setting`` says."""
        return best_setting(self.points, [self.result(method, point) for point in self.points])

    def manifest(self) -> dict[str, Any]:
        """What the study was made with and what it cost, all its configurations together."""
        manifests = [result.manifest() for result in self.results]
        counts = manifests[0]["counts"]
        counts["arrivals"] = sum(one["counts"]["arrivals"] for one in manifests)
        return manifests[0]

    def figures(self) -> dict[str, Figure]:
        """The pictures that the study's shape allows, by name."""
        from .figures import study_figures

        return study_figures(self)

    def _stack(self, table_of: Callable[[Result], pd.DataFrame]) -> pd.DataFrame:
        tables = []
        for variant, result in zip(self.variants, self.results, strict=True):
            table = table_of(result).reset_index(drop=True)
            lead = {"algorithm": variant.method} | variant.point
            columns = {name: [value] * len(table) for name, value in lead.items()}
            tables.append(pd.concat([pd.DataFrame(columns), table], axis=1))
        # a configuration that was never begun would turn numbers into objects
        begun = [table for table in tables if len(table)] or tables[:1]
        stacked = pd.concat(begun, ignore_index=True)
        for key in self.points[0]:
            if not pd.api.types.is_numeric_dtype(stacked[key]):
                stacked[key] = stacked[key].map(str)
        return stacked


def compare(
    config: Source,
    algorithms: Sequence[str] = (),
    *,
    overrides: Iterable[str] = (),
    **options: Any,
) -> Study:
    """Run algorithms against each other: same seeds, clients, partitions and initial models.

    Args:
        config: what they have in common, as for ``simulate``. What was given holds for each, what
            was not is each algorithm's own default.
        algorithms: names, or ``fedast:static`` and ``fedast:dynamic``; the first is measured
            against each other one. None: those that the configuration names.
        overrides: a list of ``key=value``.
        options: as for ``simulate_together``.
    Raises:
        ConfigError, DataError: as ``simulate``.
    """
    table = read_table(config, overrides)
    if algorithms:
        table["compare"] = _list_of("algorithms", algorithms, '["fedast", "sync_st"]')
    return run_study(table, **options)


def sweep(
    config: Source,
    grid: Mapping[str, Sequence[Any]] | None = None,
    seeds: int | None = None,
    *,
    paired: bool | None = None,
    overrides: Iterable[str] = (),
    **options: Any,
) -> Study:
    """Run every combination of some settings.

    Args:
        config: what they have in common, as for ``simulate``; it may also name algorithms to
            ``compare``.
        grid: values by dotted key, for example ``{"tasks.mnist.buffer_size": [1, 3, 5]}``; keys
            joined by a comma vary together: ``{"num_clients, keep_first": [[100, 5], [500, 30]]}``.
            None: that of the configuration.
        seeds: of every setting.
        paired: whether every setting gets the same seeds; else all are different. None: as
            configured, the same by default.
        overrides: a list of ``key=value``.
        options: as for ``simulate_together``.
    Raises:
        ConfigError, DataError: as ``simulate``.
    """
    table = read_table(config, overrides)
    if grid is not None:
        table["sweep"] = _axes(grid)
    given = {"num_seeds": seeds, "paired_seeds": paired}
    table |= {key: value for key, value in given.items() if value is not None}
    return run_study(table, **options)


def run_study(
    table: Mapping[str, Any],
    *,
    simulate: Callable[..., list[Result]] = simulate_together,
    **options: Any,
) -> Study:
    """Run a table of settings with ``compare``, ``sweep`` or both, in the way of ``simulate``."""
    variants = make_variants(table)
    results = simulate([one.config for one in variants], **options)
    return Study(dict(table), variants, results)


def _axes(grid: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """A grid's values as lists."""
    if not isinstance(grid, Mapping):
        raise ConfigError(
            f'a grid is a dict such as {{"tasks.mnist.buffer_size": [1, 3]}}, got {show(grid)}'
        )
    return {key: _list_of(f"grid[{key!r}]", values, "[1, 3]") for key, values in grid.items()}


def _list_of(name: str, values: Iterable[Any], example: str) -> list[Any]:
    """An argument that must be a list: a text would be one of letters."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise ConfigError(f"{name} must be a list such as {example}, got {show(values)}")
    return list(values)


def parse_grid(options: Iterable[str]) -> dict[str, list[Any]]:
    """``KEY=VALUE,VALUE`` for each axis.

    Raises:
        ConfigError: one does not read so, or a key is there twice.
    """
    grid: dict[str, list[Any]] = {}
    for option in options:
        try:
            axis, values = parse_axis(option)
        except ValueError as error:
            raise ConfigError(f"--grid: {error}") from None
        if axis in grid:
            raise ConfigError(f"--grid: {axis!r} is there twice; join its values by commas")
        grid[axis] = values
    return grid
