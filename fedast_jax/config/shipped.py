"""The configurations that come with the package, by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from .settings import ConfigError


def shipped_configs() -> dict[str, Path]:
    """Name -> file, for example ``"mnist"`` or ``"paper/fig5"``.

    They lie in the installed package, or in a source checkout.
    """
    package = Path(__file__).parent.parent
    # A built wheel holds the folder inside the package; in a checkout it lies beside it.
    folder = next(
        (one / "configs" for one in (package, package.parent) if (one / "configs").is_dir()),
        package / "configs",
    )
    files = sorted(folder.rglob("*.toml"))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def find_config(name_or_path: str | Path) -> Path:
    """The file that the user means: an existing file, or else a shipped configuration's name.

    Raises:
        ConfigError: it is neither; the message names what is shipped.
    """
    path, shipped = Path(name_or_path), shipped_configs()
    if path.is_file():
        return path
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    near = difflib.get_close_matches(path.with_suffix("").as_posix(), shipped, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    plain = [name for name in shipped if "/" not in name]
    raise ConfigError(
        f"there is no configuration file {str(name_or_path)!r}; {hint}"
        f"shipped are {', '.join(plain)}, and the figures of the paper (paper/fig2 ...)"
    )
