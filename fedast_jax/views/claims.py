"""The claims of a figure of the paper, where a folder has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..study.recorded import Folder


def claims_section(folders: Sequence[Folder]) -> Iterator[str]:
    """A section of each folder that has claims."""
    del folders
    yield from ()
