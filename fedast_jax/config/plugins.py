"""Code of others that adds tasks, methods and laws: modules by name, and installed entry points.

Such a module is imported for what it does then: it calls ``register_task`` and the like.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from .errors import ConfigError
from .words import show

MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
LONGEST = 200  # characters of a module's name

log = logging.getLogger("fedast_jax")
_loaded: set[str] = set()  # groups of entry points


def import_modules(names: Iterable[str]) -> None:
    """Import modules for what they register; those beside the working directory are found, too.

    Raises:
        ConfigError: one cannot be imported; with its name and why.
    """
    for name in names:
        _import(name)


def _import(name: str) -> None:
    if not isinstance(name, str) or len(name) > LONGEST or not MODULE.fullmatch(name):
        raise ConfigError(
            f"--import takes the name of a module, such as my_tasks or my_package.tasks, got "
            f"{show(name)}"
        )
    here = os.getcwd()
    if here not in sys.path:  # last, so that nothing installed gives way to a file that lies here
        sys.path.append(here)
    try:
        import_module(name)
    except Exception as error:
        raise ConfigError(f"cannot import {name!r}: {in_words(error)}") from error


def load_entry_points(group: str, register: Callable[[str, Any], Any] | None = None) -> None:
    """Load what installed packages offer as ``fedast_jax.GROUP``, once in a process.

    What cannot be loaded is left out, with a note: it may have nothing to do with the run.

    Args:
        group: "tasks", "methods" or "delays".
        register: is called with the name and the object of an entry point that names no module;
            None: such an entry point is imported and no more.
    """
    if group in _loaded:
        return
    _loaded.add(group)
    for point in entry_points(group=f"fedast_jax.{group}"):
        try:
            found = point.load()
            if register is not None and point.attr:
                register(point.name, found)
        except Exception as error:
            log.warning("cannot load %r (%s): %s", point.name, point.value, in_words(error))


def in_words(error: BaseException) -> str:
    """An error's kind and the first line of what it says."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
