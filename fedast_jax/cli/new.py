"""``fedast new WHAT NAME``: a file to begin with, and a test of it.

The templates are the files of the folder ``templates``: ``WHAT.py`` and ``test_WHAT.py``.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from .. import algorithms, tasks
from ..clients import laws
from ..config import disk
from ..config.closest import did_you_mean
from ..config.errors import ConfigError, OutputError
from ..config.words import show

TEMPLATES = Path(__file__).parent / "templates"
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
PLACE = "NAME"  # what a template has where its name belongs
TAKEN = {
    "task": tasks.BUILT_IN,
    "method": algorithms.OWN_NAMES,
    "delay": {*laws.BUILT_IN, *laws.RESERVED},
}
"""Names of this package's own."""


def templates() -> dict[str, str]:
    """What can be begun, and the text of its file."""
    files = (path for path in disk.find(TEMPLATES, "*.txt") if not path.stem.startswith("test_"))
    return {path.stem: disk.read_text(path) for path in files}


def write_new_files(what: str, name: str, folder: Path) -> list[Path]:
    """Write ``NAME.py`` and ``test_NAME.py`` into a folder.

    Raises:
        ConfigError: there is no such template, or the name could not be one of a module, or
            is one of this package's own.
        OutputError: one of the files is there.
    """
    known = templates()
    if what not in known:
        raise ConfigError(
            f"there is nothing to begin for {show(what)}; {did_you_mean(what, known)}"
        )
    if not NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigError(
            f"a name has 1 to 40 small letters, digits and '_', begins with a letter, and is no "
            f"word of Python, got {show(name)}"
        )
    if name in TAKEN[what]:
        raise ConfigError(f"{name!r} is a name of this package's own; choose another one")
    test = disk.read_text(TEMPLATES / f"test_{what}.txt")
    files = {folder / f"{name}.py": known[what], folder / f"test_{name}.py": test}
    for path in files:
        if disk.exists(path):
            raise OutputError(f"{str(path)!r} is there already; choose another name, or move it")
    for path, text in files.items():
        disk.write_text(text.replace(PLACE, name), path, is_new=True)
    return list(files)
