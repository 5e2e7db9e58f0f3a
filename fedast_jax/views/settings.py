"""The configuration of a page's results, with what differs from the defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..config.errors import ConfigError
from ..config.grid import flat_keys
from ..study.recorded import Recorded
from .shown import Shown

NOTHING = "none"
FEW_RESULTS = 4  # whose values are told apart by name
FEW_VALUES = 12
LIMITS = ("time_limit", "max_updates")  # one must be given: none has a default


class Setting(NamedTuple):
    """A line of the table."""

    key: str
    value: str
    default: str
    is_changed: bool


def settings_of(shown: Shown) -> tuple[list[Setting], list[str]]:
    """Every setting by its key, and why defaults are unknown where they are."""
    given = [dict(flat_keys(_named(result))) for result in shown.results]
    defaults, unknown = [], []
    for result in shown.results:
        found = default_settings(result)
        defaults.append(found if isinstance(found, dict) else None)
        unknown += [found] if isinstance(found, str) else []
    keys = dict.fromkeys(
        key for table in [*given, *(one for one in defaults if one is not None)] for key in table
    )
    names = [shown.name_of(number) for number in range(len(given))]
    lines = [_setting(key, names, given, defaults) for key in keys]
    return lines, list(dict.fromkeys(unknown))


def default_settings(result: Recorded) -> dict[str, Any] | str:
    """The settings of the same method on the same kinds where nothing is given, or why not."""
    from ..run.resolve import make_config

    table = result.config.table
    tasks = {
        name: {key: task[key] for key in ("kind", "dataset") if task.get(key) is not None}
        for name, task in table["tasks"].items()
    }
    try:
        config = make_config({"algorithm": table["algorithm"], "tasks": tasks, LIMITS[1]: 1})
    except ConfigError as error:
        return f"defaults of {table['algorithm']} are not known here: {error}"
    found = dict(flat_keys(config.to_dict()))
    own = {f"tasks.{name}.kind": name for name in tasks}
    return {key: value for key, value in found.items() if key not in LIMITS} | own


def _named(result: Recorded) -> Mapping[str, Any]:
    """Without the name, which several folders side by side lose, and what a study holds."""
    left_out = ("name", "algorithm", "study")
    return {key: value for key, value in result.config.table.items() if key not in left_out}


def _setting(
    key: str,
    names: list[str],
    given: list[dict[str, Any]],
    defaults: list[dict[str, Any] | None],
) -> Setting:
    values = [_words(table.get(key)) for table in given]
    known = [None if table is None else _words(table.get(key)) for table in defaults]
    changed = any(
        default is not None and value != default
        for value, default in zip(values, known, strict=True)
    )
    standard = [default for default in known if default is not None]
    return Setting(key, _joined(values, names), _distinct(standard), changed)


def _words(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value)) or "all"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _joined(values: list[str], names: list[str]) -> str:
    if len(set(values)) == 1 or len(values) > FEW_RESULTS:
        return _distinct(values)
    return "; ".join(f"{value} ({name})" for value, name in zip(values, names, strict=True))


def _distinct(values: Iterable[str]) -> str:
    found = list(dict.fromkeys(values))
    more = f" and {len(found) - FEW_VALUES} more" if len(found) > FEW_VALUES else ""
    return "; ".join(found[:FEW_VALUES]) + more
