"""What an audit has found: what was checked, what could not be, and what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Difference(Exception):
    """A place at which a folder is not what it should be."""

    file: str
    expected: Any
    found: Any
    row: int | None = None  # of a table, from 0
    column: str | None = None  # of a table; of JSON or TOML the dotted key

    def __str__(self) -> str:
        """One line."""
        row = "" if self.row is None else f", row {self.row}"
        column = "" if self.column is None else f", {self.column}"
        return f"{self.file}{row}{column}: expected {self.expected}, found {self.found}"


@dataclass
class Audit:
    """The outcome of ``verify``.

    Attributes:
        checked: what agrees, a sentence each.
        unchecked: what could not be checked and what would allow it, a sentence each.
        differences: what is wrong, in the order in which it was met; sums first.
    """

    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.differences
