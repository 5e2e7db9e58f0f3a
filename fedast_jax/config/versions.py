"""Versions of the program and of what its results depend on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("fedast-jax", "jax", "jaxlib", "flax", "optax", "numpy", "pandas", "pyarrow")


def package_versions() -> dict[str, str]:
    """By name."""
    return {name: package_version(name) for name in PACKAGES}


def package_version(name: str) -> str:
    """The installed version of a package, in words where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
