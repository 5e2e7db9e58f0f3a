"""A run folder read again: its tables and what they need, without data, timeline or device."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pandas as pd

from ..config import disk
from ..config.bounds import MOST_REPLICATES, MOST_TASKS
from ..config.errors import RecordError, UserError
from ..config.goal import ACCURACY, Goal, Word
from ..config.grid import Point, flat_keys, points
from ..config.words import few, show
from ..results.output import reason_of
from ..results.summary import summarise
from .recorded_kinds import check_columns
from .shown import ShownStudy
from .tables import are_of_one_kind

COLUMNS = {  # of each table, those that are used here; True: numbers
    "evaluations": {"replicate": True, "task": False, "time": True, "accuracy": True},
    "allocations": {"replicate": True, "task": False, "time": True, "num_active": True},
    "lanes": {
        "replicate": True,
        "seed": True,
        "task": False,
        "rounds": True,
        "accuracy": True,
        "loss": True,
        "target_time": True,
        "mean_staleness": True,
        "diverged": True,
        "diverged_at": True,
        "end_reason": False,
        "end_time": True,
    },
}
STATUSES = ("finished", "interrupted")


class RecordedTarget(NamedTuple):
    """Of a task's settings what figures show."""

    target: float | None
    goal: Goal = Goal()


class RecordedTask(NamedTuple):
    """A task by its name."""

    name: str
    settings: RecordedTarget


@dataclass(frozen=True)
class RecordedConfig:
    """What tables and figures need of a configuration; its kinds need not be known here."""

    name: str
    algorithm: str
    seed: int
    num_seeds: int
    named_tasks: tuple[RecordedTask, ...]
    table: Mapping[str, Any]  # every setting

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> RecordedConfig:
        """From a complete configuration; raises whatever is wrong with it."""
        tasks = [copy for name, task in table["tasks"].items() for copy in _copies(name, task)]
        if not tasks or not 1 <= int(table["num_seeds"]) <= MOST_REPLICATES:
            raise ValueError(f"no task, or not 1 to {MOST_REPLICATES:,} seeds")
        names = str(table["name"]), str(table["algorithm"])
        return cls(*names, int(table["seed"]), int(table["num_seeds"]), tuple(tasks), table)


@dataclass(frozen=True, eq=False)
class Recorded:
    """One setting of a run, read from a folder."""

    config: RecordedConfig
    status: str
    evaluations: pd.DataFrame
    lanes: pd.DataFrame
    changes: pd.DataFrame

    def allocations(self) -> pd.DataFrame:
        """R_m and b_m whenever they changed."""
        return self.changes

    def summary(self) -> dict[str, Any]:
        """As of the run itself."""
        return summarise(self)


class RecordedVariant(NamedTuple):
    """Where a result belongs in a study."""

    method: str
    point: Point


@dataclass(frozen=True, repr=False)
class RecordedStudy(ShownStudy):
    """A study read from a folder."""

    variants: list[RecordedVariant]
    results: list[Recorded]


class Folder(NamedTuple):
    """What a run has left; one that is no study has one result."""

    path: Path
    study: RecordedStudy
    is_study: bool
    manifest: dict[str, Any]


def read_folder(path: Path) -> Folder:
    """Read the folder of a run, a comparison or a sweep.

    Raises:
        RecordError: it is none, or something in it is missing or broken.
    """
    if not disk.is_folder(path):
        what = "is not a folder" if disk.exists(path) else "does not exist"
        raise RecordError(f"cannot show {str(path)!r}: it {what}; name the folder of a run")
    table, manifest = _read_toml(path / "config.toml"), _read_json(path / "manifest.json")
    is_study = disk.is_folder(path / "configs")
    configs = _read_configs(path / "configs") if is_study else [path / "config.toml"]
    variants = _variants(path, table, len(configs))
    tables = {name: _read_table(path / f"{name}.parquet", name) for name in COLUMNS}
    parts = {name: split(path, name, tables[name], variants, is_study) for name in tables}
    results = []
    for number, config in enumerate(configs):
        with reading(config):
            parsed = RecordedConfig.parse(_read_toml(config))
        own_tables = {name: part[number] for name, part in parts.items()}
        results.append(_recorded(path, parsed, manifest["status"], own_tables))
    return Folder(path, RecordedStudy(table, variants, results), is_study, manifest)


def _recorded(
    path: Path, config: RecordedConfig, status: str, tables: Mapping[str, pd.DataFrame]
) -> Recorded:
    """A result, if its tables are those of its configuration."""
    known = {task.name for task in config.named_tasks}
    for name, table in tables.items():
        unknown = sorted(set(table.task) - known)
        if unknown:
            raise RecordError(
                f"{str(path / name)!r} has a task {show(unknown[0])} that its configuration has "
                f"not: the folder has been changed"
            )
    evaluations, changes, lanes = (tables[name] for name in COLUMNS)
    _check_lanes(path, lanes, config)
    for task in config.named_tasks:
        if not {task.settings.goal.column} <= set(evaluations) & set(lanes):
            raise RecordError(
                f"{str(path)!r} has no values of {task.settings.goal.metric!r}, by which its "
                f"configuration judges {task.name!r}: the folder has been changed"
            )
    return Recorded(config, status, evaluations, lanes, changes)


def _copies(name: str, task: Mapping[str, Any]) -> Iterator[RecordedTask]:
    goal, copies = _goal(task), int(task["copies"])
    value = task["target_accuracy"] if goal.is_accuracy else task.get("target_metric", "none")
    target = RecordedTarget(None if value == "none" else float(value), goal)
    if copies > MOST_TASKS:
        raise ValueError(f"it has over {MOST_TASKS} copies of a task")
    if copies == 1:
        yield RecordedTask(name, target)
    else:
        yield from (RecordedTask(f"{name}_{copy + 1}", target) for copy in range(copies))


def _goal(task: Mapping[str, Any]) -> Goal:
    """What a task's tests measure."""
    word = task.get("metric_goal", "at least")
    if word not in get_args(Word) or not isinstance(task.get("metric", ""), str):
        raise ValueError(f"its metric is {task.get('metric')!r}, {word!r}")
    return Goal(task.get("metric", ACCURACY), word)


def _read_configs(folder: Path) -> list[Path]:
    """In the order in which they ran: each file's name begins with its number."""
    with reading(folder):
        return sorted(
            disk.find(folder, "*.toml"), key=lambda path: int(path.name.partition("-")[0])
        )


def _variants(path: Path, table: Mapping[str, Any], num_configs: int) -> list[RecordedVariant]:
    """What a study runs; one without name of a run."""
    with reading(path / "config.toml"):
        study = table.get("study", {})
        labels = list(study.get("compare") or [table.get("algorithm", "fedast")])
        grid = dict(flat_keys(study.get("sweep", {})))
        num_named = len(labels) * prod(map(len, grid.values()))  # billions, perhaps
        if num_named != num_configs:
            raise ValueError(f"it names {num_named} configurations, and there are {num_configs}")
        return [RecordedVariant(label, point) for point in points(grid) for label in labels]


def split(
    path: Path,
    name: str,
    table: pd.DataFrame,
    variants: list[RecordedVariant],
    is_study: bool,
) -> list[pd.DataFrame]:
    """A study's table, cut into those of its configurations."""
    if not is_study:
        return [table]
    with reading(path / f"{name}.parquet"):
        keys = list(variants[0].point)
        numeric = {
            key: are_of_one_kind([variant.point[key] for variant in variants]) for key in keys
        }
        rest = [column for column in table if column not in ("algorithm", *keys)]
        groups: dict[Any, Any] = dict(iter(table.groupby(["algorithm", *keys], sort=False)))
        return [
            groups.get(
                (method, *(value if numeric[key] else str(value) for key, value in point.items())),
                table.iloc[:0],
            )[rest]
            for method, point in variants
        ]


def read_table(path: Path) -> pd.DataFrame:
    """A table of a run folder."""
    from ..config.parquet import read_parquet

    with reading(path), disk.reading(path) as file:
        table = read_parquet(file).to_pandas()
        check_columns(table)
        return table


def _read_table(path: Path, name: str) -> pd.DataFrame:
    table = read_table(path)
    with reading(path):
        for column, is_number in COLUMNS[name].items():
            if is_number != pd.api.types.is_numeric_dtype(table[column]) and len(table):
                raise ValueError(f"column {column!r} holds something else")
        return table


def _check_lanes(path: Path, lanes: pd.DataFrame, config: RecordedConfig) -> None:
    """Raise RecordError where a replicate has not one row for each task."""
    with reading(path / "lanes.parquet"):
        begun = pd.unique(lanes.replicate)
        pairs = len(lanes[["replicate", "task"]].drop_duplicates())
        if not pairs == len(lanes) == len(begun) * len(config.named_tasks):
            raise ValueError("a replicate needs one row for each task")
        if len(begun) and not 0 <= begun.min() <= begun.max() < config.num_seeds:
            raise ValueError(f"there are replicates 0 to {config.num_seeds - 1}")


def _read_toml(path: Path) -> dict[str, Any]:
    with reading(path):
        return tomllib.loads(disk.read_text(path, "utf-8-sig"))


def _read_json(path: Path) -> dict[str, Any]:
    with reading(path):
        content = json.loads(disk.read_text(path))
        if content["status"] not in STATUSES:
            raise ValueError(f"its status is {content['status']!r}")
        return content


@contextmanager
def showing(paths: Iterable[Path]) -> Iterator[None]:
    """Tables can be changed in ways that only what is drawn of them meets: told in one sentence."""
    try:
        yield
    except (UserError, OSError):
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise RecordError(
            f"cannot show {few(repr(str(path)) for path in paths)}: a table is not as a run wrote "
            f"it ({reason_of(error)})"
        ) from error


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """What goes wrong with a file, in one sentence."""
    try:
        yield
    except FileNotFoundError:
        raise RecordError(
            f"{str(path.parent)!r} is not the folder of a run that has ended: there is no "
            f"{path.name!r} in it"
        ) from None
    except RecordError:
        raise
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError,
        OverflowError,
    ) as error:  # fmt: skip
        words = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        reason = " ".join(words.split()) or type(error).__name__
        raise RecordError(f"{str(path)!r} is not as a run wrote it: {reason[:200]}") from None
