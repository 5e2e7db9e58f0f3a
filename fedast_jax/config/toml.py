"""Configurations from TOML files, and single settings changed by ``key=value``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from . import disk
from .errors import ConfigError
from .grid import parse_value
from .words import show

LARGEST_FILE = 10**7  # bytes


def _name_of(path: Path) -> str:
    """What a run is called after its file: that without what no name can have."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", path.stem).lstrip(".")[:64] or "run"


def load_table(path: str | Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """What ``load_config`` reads, before it is checked and completed.

    Raises:
        ConfigError: the file is missing or broken, or an override is no ``key=value``.
    """
    table = _parse_toml(_read_text(path), str(path))
    table.setdefault("name", _name_of(Path(path)))
    _place_trace(table, Path(path).parent)
    apply_overrides(table, list(overrides))
    _place_trace(table, Path())
    return table


def _read_text(path: str | Path) -> str:
    """A configuration file's text, without the mark that some editors put in front of it."""
    try:
        if disk.stamp(path).st_size > LARGEST_FILE:
            raise ConfigError(
                f"{str(path)!r} is no configuration: it has over {LARGEST_FILE:,} bytes"
            )
        return disk.read_bytes(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read the configuration {str(path)!r}: {reason}") from None


def _parse_toml(text: str, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        reason = "its lists or tables lie too deep in each other"
    except tomllib.TOMLDecodeError as error:
        reason = str(error)
    except ValueError:
        reason = "it has a number of thousands of digits"
    raise ConfigError(f"{path!r} is not valid TOML: {reason}")


def _place_trace(table: dict[str, Any], folder: Path) -> None:
    """Let relative paths of recorded things start from a folder, in place."""
    for name in ("delays", "availability"):
        part = table.get(name)
        if isinstance(part, dict) and isinstance(part.get("trace"), str) and part["trace"]:
            part["trace"] = str(folder.absolute() / part["trace"])


def apply_overrides(table: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set every ``key=value``, in place; an ``algorithm`` takes the place of ``study.compare``.

    Raises:
        ConfigError: one does not read so.
    """
    study = table.get("study")
    names = [one.partition("=")[0].strip() for one in overrides if isinstance(one, str)]
    if "algorithm" in names and isinstance(study, dict):
        study.pop("compare", None)
    for override in overrides:
        _apply_override(table, override)


def _apply_override(table: dict[str, Any], override: str) -> None:
    """Set one ``key=value`` in nested tables, in place.

    Raises:
        ConfigError: it does not read so.
    """
    if not isinstance(override, str):
        raise ConfigError(f"an override must be a text key=value, got {show(override)}")
    key, sign, text = override.partition("=")
    names = key.strip().split(".")
    if not sign or not all(names):
        raise ConfigError(f"an override must read key=value, got {show(override)}")
    try:
        value = parse_value(text)
    except ValueError as error:
        raise ConfigError(f"cannot read the value of {show(key)}: {error}") from None
    set_value(table, key, value)


def set_value(table: dict[str, Any], key: str, value: Any) -> None:
    """Put a value at a dotted key of nested tables, in place.

    Raises:
        ConfigError: the key leads through a value.
    """
    names = key.strip().split(".")
    for name in names[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"cannot set {key!r}: {name!r} is a value, not a table")
    table[names[-1]] = value
