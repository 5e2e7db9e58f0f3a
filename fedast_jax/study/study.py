"""Several configurations as one run: a comparison of algorithms, a sweep over settings, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ..algorithms.methods.record import Method
from ..config.errors import ConfigError
from ..config.grid import Point, parse_axis
from ..config.shipped import Source
from ..config.toml import set_value
from ..config.words import show
from ..results.extras import check_extras
from ..results.result import Result
from ..results.run_folder import check_folder
from ..run.method_settings import with_method_names
from ..run.simulate import simulate_together
from ..run.sources import read_source, split_options
from .shown import ShownStudy
from .study_folder import save_study
from .variants import Variant, make_variants, with_machine


@dataclass(frozen=True, repr=False)
class Study(ShownStudy):
    """A finished (or interrupted) study that was run here.

    Every table has the column ``algorithm`` first, then one for each swept setting.
    """

    table: dict[str, Any]  # what was asked for; running it again gives the same bits
    variants: list[Variant]
    results: list[Result]  # one a variant, in order

    def result(self, method: str, point: Point | None = None) -> Result:
        """The result of one algorithm at one point of the sweep.

        Raises:
            KeyError: the study has no such configuration.
        """
        return self.results[self._number(method, point)]

    def partition(self) -> Iterator[pd.DataFrame]:
        """Rows as of ``Result.partition``, in blocks of clients."""
        for variant, result in zip(self.variants, self.results, strict=True):
            for block in result.partition():
                yield self._with_setting(variant, block)

    @cached_property
    def requests(self) -> pd.DataFrame:
        """One row per request of each replicate, in order of dispatch.

        Raises:
            ValueError: the study did not keep its requests.
        """
        return self._stack(lambda result: result.requests())

    def save(self, folder: str | Path, extras: Iterable[str] = ()) -> Path:
        """Write the folder that ``fedast compare`` leaves; ``fedast_jax.load_study`` reads it.

        Args:
            folder, extras: as of ``Result.save``.
        Raises:
            OutputError, ValueError: as ``Result.save``.
        """
        check_folder(Path(folder))
        wanted = list(extras)
        for result in self.results:
            check_extras(result, wanted)
        return save_study(self, Path(folder), wanted)

    def manifest(self) -> dict[str, Any]:
        """What the study was made with and what it cost, all its configurations together."""
        manifests = [result.manifest() for result in self.results]
        arrivals = [manifest["counts"]["arrivals"] for manifest in manifests]
        counts = manifests[0]["counts"] | {"arrivals": sum(arrivals)}
        return manifests[0] | {"counts": counts, "arrivals_by_configuration": arrivals}


def compare(
    config: Source,
    algorithms: Sequence[str | Method] | None = None,
    *,
    overrides: Iterable[str] = (),
    **options: Any,
) -> Study:
    """Run algorithms against each other: same seeds, clients, partitions and initial models.

    Args:
        config: what they have in common, as for ``simulate``. What was given holds for each, what
            was not is each algorithm's own default.
        algorithms: names, methods, or ``fedast:static`` and ``fedast:dynamic``; the first is
            measured against each other one. None: those that the configuration names.
        overrides: a list of ``key=value``.
        options: as for ``simulate``: of the run, and settings.
    Raises:
        ConfigError, DataError: as ``simulate``.
    """
    options, settings = split_options(options)
    table = read_source(config, overrides, settings)
    if algorithms is not None:
        labels = _list_of("algorithms", algorithms, '["fedast", "sync_st"]')
        if not labels:
            raise ConfigError(
                "algorithms must name at least one, got []; without it, the "
                "configuration's own are run"
            )
        set_value(table, "study.compare", labels)
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
        options: as for ``simulate``: of the run, and settings.
    Raises:
        ConfigError, DataError: as ``simulate``.
    """
    options, settings = split_options(options)
    table = read_source(config, overrides, settings)
    if grid is not None:
        set_value(table, "study.sweep", _axes(grid))
    for key, value in {"num_seeds": seeds, "study.paired_seeds": paired}.items():
        if value is not None:
            set_value(table, key, value)
    return run_study(table, **options)


def run_study(
    table: Mapping[str, Any],
    *,
    simulate: Callable[..., list[Result]] = simulate_together,
    **options: Any,
) -> Study:
    """Run what a table of settings has in its ``study``, in the way of ``simulate``."""
    table = with_method_names(table)
    variants = make_variants(table)
    results = simulate([variant.config for variant in variants], **options)
    if not results:  # they are process 0's
        return Study(dict(table), variants, results)
    used = [result.config for result in results]
    named = [
        variant._replace(config=config) for variant, config in zip(variants, used, strict=True)
    ]
    return Study(with_machine(table, used[0].machine), named, results)


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
