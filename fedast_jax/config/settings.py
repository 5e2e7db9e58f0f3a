"""What was asked for: a frozen, typed, checked configuration; TOML in, TOML out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from math import prod
from typing import Any, Literal, Self, get_args

import tomli_w
from pydantic import (
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from .bounds import (
    MOST_REPLICATES,
    MOST_REQUESTS,
    MOST_SEED,
    MOST_TASKS,
    Clients,
    Events,
    Rate,
    Replicates,
    Seed,
)
from .choices import Allocation, Fidelity, Precision
from .errors import ConfigError
from .grid import flat_keys, points
from .sheet import Row, Sheet
from .tables import (
    AvailabilityConfig,
    DelayConfig,
    MachineConfig,
    NamedTask,
    Registries,
    StudyConfig,
    Table,
    TaskConfig,
    registries,
)
from .words import explain, few, show

DEEPEST = 16  # tables and lists inside each other


NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}")
"""What a run or a task may be called: it becomes part of file names, tables and pictures."""


class Config(Table):
    """A simulation: one pool of clients, several tasks, one or more seeds."""

    name: str = "run"
    algorithm: str = "fedast"
    allocation: Allocation = "static"  # options S and D
    fidelity: Fidelity = "paper"  # whom to follow where the paper and its authors' code differ
    keep_first: Clients | Literal["all"] = 30  # k: arrivals a synchronous round keeps of a task
    seed: Seed = 0
    num_seeds: Replicates = 1
    num_clients: Clients = 1000
    max_active_clients: Clients | None = None
    time_limit: Rate | None = None  # simulated time
    max_updates: Events | None = None  # arrivals of a replicate, all tasks together
    study: StudyConfig = StudyConfig()
    machine: MachineConfig = MachineConfig()
    delays: DelayConfig = DelayConfig()
    availability: AvailabilityConfig = AvailabilityConfig()
    tasks: dict[str, TaskConfig]

    @model_validator(mode="wrap")
    @classmethod
    def _fill_in_kinds(
        cls, table: Any, check: ModelWrapValidatorHandler[Self], known: ValidationInfo
    ) -> Self:
        """Complete the tasks by their kinds' defaults; ``given`` leaves these out."""
        if not isinstance(table, Mapping) or not isinstance(table.get("tasks"), Mapping):
            return check(table)
        config = check(registries(known).complete(table))
        config.model_fields_set.intersection_update(table)
        for name, task in table["tasks"].items():
            if isinstance(task, Mapping):
                config.tasks[name].model_fields_set.intersection_update(task)
        return config

    @field_validator("name", mode="after")
    @classmethod
    def _check_name(cls, name: str) -> str:
        check_names([name])
        return name

    @field_validator("tasks", mode="after")
    @classmethod
    def _check_task_names(cls, tasks: dict[str, TaskConfig]) -> dict[str, TaskConfig]:
        check_names(tasks)
        _check_copies(tasks)
        return tasks

    @model_validator(mode="after")
    def _check(self, known: ValidationInfo) -> Self:
        if not self.tasks:
            raise ValueError("at least one [tasks.NAME] table is needed")
        self._check_totals()
        self._check_methods(registries(known))
        registries(known).check_algorithm(self)
        if self.max_active_clients and self.max_active_clients > self.num_clients:
            raise ValueError(
                f"max_active_clients must be at most num_clients={self.num_clients}, "
                f"got {self.max_active_clients}"
            )
        endless = [name for name, task in self.tasks.items() if task.max_rounds is None]
        if endless and self.time_limit is None and self.max_updates is None:
            raise ValueError(
                f"nothing ends the run for certain: set time_limit, max_updates, "
                f"or tasks.{endless[0]}.max_rounds"
            )
        return self

    def _check_methods(self, known: Registries) -> None:
        """Here, not in ``StudyConfig``: what are the same depends on the allocation."""
        try:
            known.check_methods(self.study.compare, self.allocation)
        except ValueError as error:
            raise ValueError(f"study.compare: {error}") from None
        for name in self.study.settings:
            if name not in self.study.compare:
                raise ValueError(
                    f"study.settings.{name}: there is no {show(name)} in study.compare="
                    f"{list(self.study.compare)}; leave it out or add it there"
                )

    def _check_totals(self) -> None:
        """What every number allows, and all together do not."""
        tasks = self.tasks.values()
        num_tasks = sum(task.copies for task in tasks)
        if num_tasks > MOST_TASKS:
            raise ValueError(f"a run has at most {MOST_TASKS:,} tasks, got {num_tasks:,} copies")
        in_flight = sum(task.copies * task.num_active for task in tasks)
        if in_flight > MOST_REQUESTS:
            raise ValueError(
                f"the num_active of all tasks add up to at most {MOST_REQUESTS:,}, got "
                f"{in_flight:,}"
            )
        num_points = prod(map(len, self.study.sweep.values()))
        num_runs = num_points * max(len(self.study.compare), 1) * self.num_seeds
        if num_runs > MOST_REPLICATES:
            raise ValueError(
                f"all settings together have at most {MOST_REPLICATES:,} runs, got {num_runs:,}; "
                f"lower num_seeds={self.num_seeds}"
            )
        last = self.seed + self.num_seeds * (1 if self.study.paired_seeds else num_points) - 1
        if last > MOST_SEED:
            raise ValueError(
                f"seeds go up to {MOST_SEED:,}, but from seed={self.seed} on the last would be "
                f"{last:,}; lower seed"
            )

    @property
    def named_tasks(self) -> tuple[NamedTask, ...]:
        """Every task once, copies numbered from 1 (``cifar10_1``, ``cifar10_2``, ...)."""
        return tuple(
            NamedTask(name if task.copies == 1 else f"{name}_{copy + 1}", task)
            for name, task in self.tasks.items()
            for copy in range(task.copies)
        )

    @property
    def seeds(self) -> range:
        """The seed of every replicate."""
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def in_words(self) -> str:
        """What is run, in a few words."""
        methods = few(self.study.compare or (self.algorithm,))
        seeds = "1 seed" if self.num_seeds == 1 else f"{self.num_seeds} seeds"
        swept = f", {len(points(self.study.sweep))} settings" if self.study.sweep else ""
        tasks = few(task.name for task in self.named_tasks)
        return f"{self.name!r}: {methods} on {tasks}, {self.num_clients} clients{swept}, {seeds}"

    def __repr__(self) -> str:
        """One line; ``to_toml`` says it all."""
        return f"<Config {self.in_words}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """The one line, and folded away beneath it every setting by its key."""
        rows = [Row([key, str(value)]) for key, value in flat_keys(self.to_dict())]
        table = Sheet("", ["setting", "value"], [], rows).to_html()
        return f"<details><summary>{escape(self.in_words)}</summary>{table}</details>"

    def given(self) -> dict[str, Any]:
        """The settings that were given, without defaults: ``make_config`` makes the same of them.

        Where another algorithm is set in them, its own defaults of the kinds hold.
        """
        return self.model_dump(mode="json", exclude_unset=True)

    def to_dict(self) -> dict[str, Any]:
        """Every setting, defaults included; what is None or empty is left out."""
        empty = {name for name in ("compare", "sweep", "settings") if not getattr(self.study, name)}
        plain = {name for name, task in self.tasks.items() if not task.method}
        machine = set() if self.machine.side_by_side else {"side_by_side"}
        tasks = {name: {"method"} for name in plain}
        left_out = {"study": empty, "machine": machine, "tasks": tasks}
        return self.model_dump(mode="json", exclude_none=True, exclude=left_out)

    def to_toml(self) -> str:
        """The complete configuration as TOML; loading it gives an equal configuration."""
        return tomli_w.dumps(self.to_dict())


def check_names(names: Iterable[str]) -> None:
    """Raise ValueError where one is none."""
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                f"a name has 1 to 64 letters (a to z, A to Z), digits, '_', '-' and '.', and does "
                f"not begin with '.', got {show(name)}"
            )


def _check_copies(tasks: Mapping[str, TaskConfig]) -> None:
    """Raise ValueError where a copy of one task would be called like another task."""
    for name, task in tasks.items():
        stem, _, number = name.rpartition("_")
        copies = tasks[stem].copies if stem in tasks else 1
        is_number = number.isascii() and number.isdecimal() and not number.startswith("0")
        if task.copies == 1 and copies > 1 and is_number and int(number) <= copies:
            raise ValueError(
                f"{name!r} is there twice, since the {copies} copies of {stem!r} are called "
                f"{stem}_1 to {stem}_{copies}; rename one of the two"
            )


def check_config(table: Mapping[str, Any], known: Registries) -> Config:
    """Check a nested table of settings.

    Args:
        table: what was given.
        known: the kinds, algorithms and laws that it may name.
    Raises:
        ConfigError: with the first setting that is wrong, its value and the fix.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"a configuration is a table of settings, got {show(table)}")
    check_depth(table)
    try:
        return Config.model_validate(dict(table), context=known)
    except ValidationError as error:
        raise ConfigError(explain(error, TABLES)) from None


def check_depth(table: Mapping[str, Any]) -> None:
    """Raise ConfigError where tables and lists lie too deep in each other for anyone to read."""
    level: list[Any] = [table]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
            if isinstance(inner, Mapping | list | tuple)
        ]
    if level:
        raise ConfigError(f"settings lie at most {DEEPEST} tables or lists deep; these are deeper")


TABLES: dict[str, type[Table]] = {
    "": Config,
    "study": StudyConfig,
    "machine": MachineConfig,
    "delays": DelayConfig,
    "availability": AvailabilityConfig,
    "tasks": TaskConfig,
}
PRECISIONS: tuple[str, ...] = get_args(Precision)
