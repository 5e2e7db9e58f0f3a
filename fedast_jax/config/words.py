"""Why a configuration is refused, in the user's words: one sentence with the value and the fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, time
from typing import Any

from pydantic import BaseModel, ValidationError

from .closest import did_you_mean

FEW = 4  # words of a kind in one line
MOVED = ("machine", "study")  # tables whose settings stood at the top
SHOWN = 80  # characters of a wrong value that a message shows

UNKNOWN = ("extra_forbidden", "unknown_key")
EXPECTED: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda told: "a whole number",
    "int_from_float": lambda told: "a whole number",
    "float_type": lambda told: "a number",
    "finite_number": lambda told: "a finite number",
    "greater_than": lambda told: f"greater than {number(told['gt'])}",
    "greater_than_equal": lambda told: f"at least {number(told['ge'])}",
    "less_than_equal": lambda told: f"at most {number(told['le'])}",
    "too_long": lambda told: f"a list of at most {told['max_length']} values",
    "string_type": lambda told: "a text",
    "string_unicode": lambda told: "a text of Unicode characters",
    "bool_type": lambda told: "true or false",
    "literal_error": lambda told: told["expected"],
    "tuple_type": lambda told: "a list",
    "list_type": lambda told: "a list of values",
    "dict_type": lambda told: "a table of settings",
    "model_type": lambda told: "a table of settings",
    "invalid_key": lambda told: "a table whose keys are texts",
}
"""By pydantic's type of an error, given what it tells of it: what a setting must be."""


def explain(error: ValidationError, tables: Mapping[str, type[BaseModel]]) -> str:
    """The first problem as one sentence: an unknown key before all else.

    Args:
        error: what pydantic says.
        tables: the classes of the top table (``""``), of those in it, and of each of ``tasks``.
    """
    details = sorted(error.errors(), key=lambda detail: detail["type"] not in UNKNOWN)
    first = details[0]
    where = keys(first["loc"])
    place = dotted(where)
    if first["type"] == "extra_forbidden":
        return _unknown_key(where, tables)
    if first["type"] == "unknown_key":
        return first["msg"]
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "value_error":
        message = first["msg"].removeprefix("Value error, ")
        return f"{place}: {message}" if place else message
    same = [detail for detail in details if keys(detail["loc"]) == where]
    words = " or ".join(dict.fromkeys(_expected(detail) for detail in same))
    return f"{place} must be {words}, got {show(first['input'])}"


def _expected(details: Any) -> str:
    """What one arm of a setting takes."""
    words = EXPECTED.get(details["type"])
    return words(details.get("ctx", {})) if words else details["msg"].partition(" be ")[2]


def keys(location: Iterable[str | int]) -> list[str]:
    """Pydantic's location without the names of a union's arms; ``[2]`` for the third of a list."""
    parts = [f"[{part}]" if isinstance(part, int) else part for part in location]
    inside = parts[2:] if parts[:1] == ["tasks"] else parts  # a task may have any name
    is_arm = [part.startswith(("constrained-", "literal[")) or part == "[key]" for part in inside]
    kept = [part for part, arm in zip(inside, is_arm, strict=True) if not arm]
    return parts[: len(parts) - len(inside)] + kept


def dotted(where: Iterable[str]) -> str:
    """``delays.speeds[0]``."""
    return ".".join(where).replace(".[", "[")


def show(value: object, most: int = SHOWN) -> str:
    """A value as it was written, in one line, cut short."""
    if isinstance(value, int) and value.bit_length() > 8 * SHOWN:
        return f"a number of over {value.bit_length() * 3 // 10:,} digits"
    if isinstance(value, date | time):
        return str(value)
    text = f"{value:,}" if isinstance(value, int) and abs(value) > 10**5 else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}..."


def few(words: Iterable[str]) -> str:
    """Words one after the other; of more than ``FEW`` the first, and how many there are."""
    listed = list(words)
    more = f" ... ({len(listed)} in all)" if len(listed) > FEW else ""
    return ", ".join(listed[:FEW]) + more


def number(value: float) -> str:
    """``100,000,000``, ``0``, ``1e+30``."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _home(key: str, tables: Mapping[str, type[BaseModel]]) -> str | None:
    """The table that holds what once stood at the top."""
    return next((name for name in MOVED if key in tables[name].model_fields), None)


def _unknown_key(where: list[str], tables: Mapping[str, type[BaseModel]]) -> str:
    depth = 2 if where[0] == "tasks" else 1
    table = tables[where[0] if len(where) > depth else ""]
    if len(where) == 1 and (home := _home(where[0], tables)):
        return f"{where[0]} has moved: write {home}.{where[0]}, in the table [{home}]"
    hint = did_you_mean(where[-1], table.model_fields, "known here are")
    return f"unknown key {show(dotted(where))}; {hint}"
