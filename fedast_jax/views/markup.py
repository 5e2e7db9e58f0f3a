"""Pieces of HTML; every text that goes in is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def table(
    caption: str, headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0
) -> str:
    """A table that scrolls by itself where it is too wide; its first cells head their rows.

    Args:
        caption: above it.
        headers: of the columns.
        rows: texts, not yet escaped.
        numbers: from which column on there are numbers; 0: none.
    """
    sides = ["number" if numbers and place >= numbers else "" for place in range(len(headers))]
    head = "".join(
        f'<th scope="col" class="{side}">{escape(header)}</th>'
        for header, side in zip(headers, sides, strict=True)
    )
    lines = "".join(f"<tr>{_cells(row, sides)}</tr>" for row in rows)
    return scrolling(
        caption,
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{lines}</tbody></table>",
    )


def _cells(row: Sequence[str], sides: Sequence[str]) -> str:
    (first, *rest), (_, *others) = row, sides
    cells = [
        f'<td class="{side}">{escape(text)}</td>' for text, side in zip(rest, others, strict=True)
    ]
    return f'<th scope="row">{escape(first)}</th>{"".join(cells)}'


def scrolling(name: str, content: str) -> str:
    """Markup in a box that scrolls sideways, by keyboard too."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f"{content}</div>"
    )


def section(identity: str, title: str, *content: str) -> str:
    """A part of the page with its heading."""
    return (
        f'<section aria-labelledby="h-{identity}"><h2 id="h-{identity}">{escape(title)}</h2>'
        f"{''.join(content)}</section>"
    )


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph."""
    return f'<p class="{kind}">{escape(text)}</p>' if text else ""


def panels(identity: str) -> str:
    """Where the script draws, and what it says where there is nothing to draw."""
    return (
        f'<p class="muted" id="{identity}-note" role="status"></p>'
        f'<div class="panels" id="{identity}"></div>'
    )


def checkbox(text: str, attributes: str, swatch: str = "") -> str:
    """A box to tick, with its line's colour; the attributes are the caller's own."""
    line = f'<span class="swatch" {swatch}></span>' if swatch else ""
    return f'<label><input type="checkbox" {attributes}>{line}<span>{escape(text)}</span></label>'


def json_text(content: Any) -> str:
    """JSON that can stand in a script element: nothing in it can end or open one."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
