"""Configurations from wherever they come: shipped ones by name, files, tables, Configs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from . import disk
from .closest import closest
from .errors import ConfigError
from .settings import Config
from .toml import apply_overrides, load_table
from .words import show

LONGEST_PATH = 140  # characters of it in a message

Source = str | Path | Mapping[str, Any] | Config
"""The name of a shipped configuration, a TOML file, a nested table of settings, or a Config."""


def read_table(source: Source, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """The settings as they were given, unchecked and without defaults; a copy.

    An ``algorithm`` among the overrides beats the source's ``study.compare``: it is run alone.

    Raises:
        ConfigError: as ``load_config``.
    """
    overrides = check_overrides(overrides)
    if isinstance(source, str | Path):
        return load_table(find_config(source), overrides)
    if not isinstance(source, Mapping | Config):
        raise ConfigError(
            f"a configuration is the name of a shipped one, the path of a TOML file, a dict of "
            f"settings or a Config, got {show(source)}"
        )
    table = source.given() if isinstance(source, Config) else deepcopy(dict(source))
    apply_overrides(table, overrides)
    return table


def check_overrides(overrides: Iterable[str]) -> list[str]:
    """As a list.

    Raises:
        ConfigError: it is none.
    """
    if isinstance(overrides, str | Mapping) or not isinstance(overrides, Iterable):
        raise ConfigError(
            f'overrides are a list such as ["num_seeds=3", "num_clients=50"], got {show(overrides)}'
        )
    return list(overrides)


def shipped_configs() -> dict[str, Path]:
    """Name -> file, for example ``"mnist"`` or ``"paper/fig5"``.

    They lie in the installed package, or in a source checkout.
    """
    package = Path(__file__).parent.parent
    # A built wheel holds the folder inside the package; in a checkout it lies beside it.
    folder = next(
        (
            parent / "configs"
            for parent in (package, package.parent)
            if disk.is_folder(parent / "configs")
        ),
        package / "configs",
    )
    files = disk.find(folder, "**/*.toml")
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def find_config(name_or_path: str | Path) -> Path:
    """The file that the user means: an existing file, or else a shipped configuration's name.

    Raises:
        ConfigError: it is neither; the message names what is shipped.
    """
    path, shipped = Path(name_or_path), shipped_configs()
    if _is(disk.is_file, path):
        return path
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    if str(name_or_path) and _is(disk.is_folder, path):
        reason = f"{str(name_or_path)!r} is a folder"
    else:
        reason = f"there is no configuration file {show(str(name_or_path), LONGEST_PATH)}"
    near = closest(str(name_or_path).removesuffix(".toml"), shipped)
    hint = f"did you mean {near!r}? " if near else ""
    plain = [name for name in shipped if "/" not in name]
    raise ConfigError(
        f"{reason}; {hint}"
        f"shipped are {', '.join(plain)}, and the figures of the paper (paper/fig2 ...)"
    )


def _is(what: Callable[[Path], bool], path: Path) -> bool:
    """Whether something is there; not where its name is too long for any file system."""
    try:
        return what(path)
    except OSError:
        return False
