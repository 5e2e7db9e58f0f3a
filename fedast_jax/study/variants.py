"""The configurations that a study runs: its algorithms side by side, for every swept setting."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from ..algorithms.labels import Label, parse_label
from ..config.errors import ConfigError
from ..config.grid import Point, axis_keys, points
from ..config.settings import Config
from ..config.tables import MachineConfig
from ..config.toml import set_value
from ..run.resolve import make_config


class Variant(NamedTuple):
    """One configuration of a study."""

    method: str  # the algorithm as the study names it: "fedast:dynamic"
    point: Point  # what the sweep has set
    config: Config


def make_variants(table: Mapping[str, Any]) -> list[Variant]:
    """The configurations of a table whose ``study`` has ``compare``, ``sweep`` or both.

    Each is made from the table anew, since a kind's defaults differ by algorithm.

    Raises:
        ConfigError: one of them cannot be run, or a swept setting does not exist.
    """
    base = make_config(table)
    study = base.study
    if study.compare and "algorithm" in table:
        raise ConfigError(
            f"algorithm={base.algorithm!r} says nothing beside "
            f"study.compare={list(study.compare)}; leave one of them out"
        )
    check_keys(base)
    common = {**table, "study": {"paired_seeds": study.paired_seeds}}
    labels = [parse_label(label) for label in study.compare]
    return [
        _variant(common, base, label, number, point)
        for number, point in enumerate(points(study.sweep))
        for label in labels or [Label(base.algorithm, base.algorithm, None)]
    ]


def with_machine(table: Mapping[str, Any], machine: MachineConfig) -> dict[str, Any]:
    """A table of settings that names what a machine has settled; see ``run.devices.settle``."""
    settled = {"num_devices": machine.num_devices, "side_by_side": machine.side_by_side}
    named = {key: value for key, value in settled.items() if value}
    if not named:
        return dict(table)
    return {**table, "machine": {**named, **table.get("machine", {}), **named}}


def check_keys(base: Config) -> None:
    """Raise ConfigError where a sweep would set something in a table that is not there."""
    tables = [f"tasks.{name}" for name in base.tasks]
    known = {"delays", "availability", *tables, *(f"{table}.method" for table in tables)}
    own = [key for settings in base.study.settings.values() for key in settings]
    for key in own + [key for axis in base.study.sweep for key in axis_keys(axis)]:
        parent = key.rpartition(".")[0]
        if parent and parent not in known:
            verb = "set" if key in own else "sweep"
            raise ConfigError(
                f"cannot {verb} {key!r}: there is no table {parent!r}, only "
                f"{', '.join(sorted(known))}"
            )


def _variant(
    common: Mapping[str, Any], base: Config, label: Label, number: int, point: Point
) -> Variant:
    table = deepcopy(dict(common)) | label.settings
    for key, value in {**base.study.settings.get(label.text, {}), **point}.items():
        set_value(table, key, value)
    if not base.study.paired_seeds:
        table["seed"] = base.seed + number * base.num_seeds
    try:
        return Variant(label.text, point, make_config(table))
    except ConfigError as error:
        place = f"{label.text}: " if base.study.compare else ""
        raise ConfigError(f"{place}{error}") from None
