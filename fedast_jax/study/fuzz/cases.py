"""One case: settings and conditions, all drawn from one seed; as TOML it can be kept."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import tomli_w

from ...algorithms import get_algorithm
from ...algorithms.methods.bound import Bound
from ...config.errors import ConfigError
from ...config.settings import Config
from ...oracle import SymbolicLearner
from ...run.resolve import make_config, resolve
from . import kinds as kinds
from .choices import Seeded
from .families import CONDITIONS, EXTRAS, Extra, draw_family
from .knobs import Knobs, changed, knobs_of, small_numbers
from .recorded import with_files
from .scenario import Scenario, draw_scenario


@dataclass(frozen=True)
class Case:
    """What one seed stands for."""

    seed: int
    table: dict[str, Any]  # of the settings; traces by their words
    knobs: Knobs

    @cached_property
    def config(self) -> Config:
        """Checked.

        Raises:
            ConfigError: it cannot be run.
        """
        return make_config(with_files(self.table))

    @property
    def scenario(self) -> Scenario:
        """With the knobs that a driver takes."""
        knobs = self.knobs
        return Scenario(self.config, knobs.capacity, knobs.num_resident, knobs.window)

    @cached_property
    def learner(self) -> SymbolicLearner:
        """What models of symbols depend on."""
        return SymbolicLearner(self.knobs.diverging or None, seen_by(self.config))

    @property
    def step_updates(self) -> int | None:
        """Most updates that a step aggregates; None: the driver's choice."""
        if not self.knobs.is_tight:
            return None
        config = self.config
        return get_algorithm(config.algorithm).largest_round(config)

    def to_toml(self) -> str:
        """All of it; ``from_toml`` is the inverse."""
        table = {"seed": self.seed, "knobs": changed(self.knobs), "config": self.table}
        return tomli_w.dumps(table)

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """What ``to_toml`` wrote.

        Raises:
            ConfigError: it is no TOML, or does not hold a case.
        """
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"this is no TOML: {error}") from None
        seed, knobs, config = (table.get(name) for name in ("seed", "knobs", "config"))
        if not isinstance(config, dict) or not isinstance(knobs or {}, dict):
            raise ConfigError("a case has the tables [config] and, if it likes, [knobs]")
        return cls(seed if isinstance(seed, int) else 0, config, knobs_of(knobs or {}))


def draw_case(seed: int) -> Case:
    """The case of a seed."""
    choose = Seeded(seed)
    family, knobs = draw_family(choose)
    drawn = draw_scenario(choose, **family)
    for name, condition in CONDITIONS.items():
        knobs = knobs._replace(**{name: condition(choose)})
    knobs = knobs._replace(
        capacity=drawn.capacity, num_resident=drawn.num_resident, window=drawn.window
    )
    case = Case(seed, drawn.table, knobs)
    if knobs.is_real:
        return on_devices(case, choose)
    for extra in EXTRAS:
        case = with_extra(case, extra, choose)
    return case


def on_devices(case: Case, choose: Seeded) -> Case:
    """On two devices, one time in three."""
    if not choose.one_in(3):
        return case
    machine = {**case.table["machine"], "num_devices": 2}
    return replace(case, table={**case.table, "machine": machine})


def with_extra(case: Case, extra: Extra, choose: Seeded) -> Case:
    """With some settings more, where these go with the rest."""
    found = extra(choose, case.table)
    if found is None:
        return case
    changed_case = replace(case, table=found)
    return changed_case if is_accepted(changed_case) else case


def is_accepted(case: Case) -> bool:
    """Whether it is a configuration that can be run."""
    with small_numbers():
        try:
            assert case.config
        except ConfigError:
            return False
    return True


def seen_by(config: Config) -> list[list[str]]:
    """Of each task: what its method makes of updates depends on."""
    return [
        _seen(Bound(task.method, task.settings, config.num_clients))
        for task in resolve(config).tasks
    ]


def _seen(method: Bound) -> list[str]:
    names: Mapping[str, str] = {"previous": "previous", "start": "starts"}
    if method.is_plain:
        return []
    return [
        "staleness",
        "weights",
        *(names[need] for need in sorted(method.method.needs) if need in names),
    ]
