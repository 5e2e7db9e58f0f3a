"""What to run, as calls of the library are given it: a configuration, or own tasks by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ..config.errors import ConfigError
from ..config.grid import flat_keys
from ..config.settings import Config
from ..config.shipped import Source, check_overrides, read_table
from ..config.toml import set_value
from ..tasks import Task, register_task
from .options import RunOptions

OPTIONS = {option.name for option in fields(RunOptions)}
SHORT = {"seeds": "num_seeds"}


def read_source(
    source: Source, overrides: Iterable[str] = (), settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The settings of a source as they were given, unchecked and without defaults; a copy.

    Own tasks in it are registered under their names.

    Args:
        source: as for ``simulate``.
        overrides: a list of ``key=value``.
        settings: more of them by key, of tables by dicts; an ``algorithm`` is run alone.
    Raises:
        ConfigError: as ``load_config``.
    """
    table = read_table(_with_kinds(source), overrides)
    changes = {SHORT.get(key, key): value for key, value in (settings or {}).items()}
    if "algorithm" in changes and isinstance(table.get("study"), dict):
        table["study"].pop("compare", None)
    for key, value in flat_keys(registered(changes)):
        set_value(table, key, value)
    return table


def is_plain(source: Source, overrides: Iterable[str], settings: Mapping[str, Any]) -> bool:
    """Whether a source is a checked configuration to which nothing is changed."""
    return isinstance(source, Config) and not check_overrides(overrides) and not settings


def split_options(keywords: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords of a call: those of ``RunOptions``, and the others, which are settings."""
    options = {key: value for key, value in keywords.items() if key in OPTIONS}
    return options, {key: value for key, value in keywords.items() if key not in OPTIONS}


def _with_kinds(source: Source) -> Source:
    """A source without own tasks: their names stand for them."""
    if isinstance(source, Task):
        raise ConfigError(f'tasks are run by name: {{"mine": task}}, got {source!r} alone')
    if isinstance(source, Mapping) and any(isinstance(one, Task) for one in source.values()):
        source = {"tasks": source}
    return registered(source) if isinstance(source, Mapping) else source


def registered(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """A table of settings with a kind for each own task among its ``tasks``."""
    tasks = table.get("tasks") if isinstance(table, Mapping) else None
    if not isinstance(tasks, Mapping):
        return table
    return {**table, "tasks": {name: _kind_of(name, task) for name, task in tasks.items()}}


def _kind_of(name: Any, task: Any) -> Any:
    if not isinstance(task, Task):
        return task
    register_task(name, task)
    return {"kind": name}
