"""What the paper claims of a figure and whether it holds, where a folder is that of a figure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..config import disk
from ..study.recorded import Folder, reading
from .markup import section, table

VERDICTS, RECORD = "claims.json", "figure.json"
HEADERS = ["claim", "the paper", "verdict", "here", "95% interval", "seeds", "why it is open"]


def claims_section(folders: Sequence[Folder]) -> Iterator[str]:
    """A section with a table for each folder that has claims; none where none has.

    Raises:
        RecordError: the claims of a folder are broken.
    """
    found = [(folder, _read(folder, VERDICTS)) for folder in folders]
    tables = [_table(folder, content) for folder, content in found if content is not None]
    if tables:
        yield section("claims", "What the paper claims", *tables)


def figure_commands(folder: Folder) -> Iterator[tuple[str, str]]:
    """The command that makes a figure's folder again."""
    record = _read(folder, RECORD)
    if record is not None:
        with reading(folder.path / RECORD):
            name, scale = str(record["figures"][0]), str(record["scale"])
            if not (name.isidentifier() and scale.isidentifier()):
                raise ValueError(f"it names the figure {name!r} at the scale {scale!r}")
        yield "make the figure again", f"fedast figure {name} --scale {scale}"


def _read(folder: Folder, name: str) -> Mapping[str, Any] | None:
    path = folder.path / name
    if not disk.exists(path):
        return None
    with reading(path):
        content = json.loads(disk.read_text(path))
        if not isinstance(content, Mapping):
            raise ValueError("it holds no table")
        return content


def _table(folder: Folder, content: Mapping[str, Any]) -> str:
    with reading(folder.path / VERDICTS):
        rows = [_row(claim) for claim in content["claims"]]
    return table(str(folder.path), HEADERS, rows)


def _row(claim: Mapping[str, Any]) -> list[str]:
    low, high = claim["interval"] or (None, None)
    interval = "" if low is None else f"{_number(low)} to {_number(high)}"
    needed, reason = claim.get("seeds_needed"), claim.get("reason") or ""
    more = f"about {int(needed):,} seeds would tell" if needed else ""
    return [
        f"{claim['figure']}: {claim['words']}",
        str(claim.get("paper") or ""),
        str(claim["verdict"]),
        _number(claim["estimate"]),
        interval,
        str(claim["num_seeds"]),
        "; ".join(words for words in (str(reason), more) if words),
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{float(value):.4g}"
