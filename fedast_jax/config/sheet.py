"""A table for people, on a terminal or in a notebook; its cells are shown as they are."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.table import Table


class Row(NamedTuple):
    """One line."""

    cells: Sequence[str]
    is_bold: bool = False
    ends_section: bool = False


class Sheet(NamedTuple):
    """A title, headers and rows; a header may have several lines."""

    title: str
    words: Sequence[str]  # headers of the columns of words, which stand on the left
    numbers: Sequence[str]  # headers of the columns of numbers, on the right
    rows: Sequence[Row]
    caption: str = ""  # under the table

    def to_rich(self) -> Table:
        """For a console. Markup in a name is no markup here."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=Text(self.title, "table.title"),
            title_justify="left",
            caption=Text(self.caption, "table.caption") if self.caption else None,
            caption_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for header in self.words:
            table.add_column(Text(header), overflow="fold", min_width=min(9, len(header)))
        for header in self.numbers:
            table.add_column(Text(header), justify="right", no_wrap=True)
        for row in self.rows:
            style = "bold" if row.is_bold else None
            cells = map(Text, row.cells)
            table.add_row(*cells, style=style, end_section=row.ends_section)
        return table

    def to_html(self) -> str:
        """For a notebook."""
        sides = ["left"] * len(self.words) + ["right"] * len(self.numbers)
        headers = [*self.words, *self.numbers]
        head = "".join(map(_cell, ["th"] * len(sides), headers, sides))
        lines = [_line(row, sides) for row in self.rows]
        foot = f"<p>{escape(self.caption)}</p>" if self.caption else ""
        return (
            f"<table><caption>{escape(self.title)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{''.join(lines)}</tbody></table>{foot}"
        )


def _line(row: Row, sides: Sequence[str]) -> str:
    tag = "th" if row.is_bold else "td"
    cells = [_cell(tag, text, side) for text, side in zip(row.cells, sides, strict=True)]
    return f"<tr>{''.join(cells)}</tr>"


def _cell(tag: str, text: str, side: str) -> str:
    style = f"text-align: {side}; white-space: pre"
    return f'<{tag} style="{style}">{escape(text)}</{tag}>'
