"""The models that a folder has saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ...run.executor import path_name
from ..recorded import reading
from .findings import Difference

FILE = "models.npz"


class SavedModels:
    """Those of one configuration; each leaf is read when it is asked for."""

    def __init__(self, leaves: Mapping[str, np.ndarray], prefix: str, path: Path) -> None:
        self.leaves, self.prefix, self.path = leaves, prefix, path

    def key(self, replicate: int, task: str, when: str, leaf: str) -> str:
        """Of a leaf in the file."""
        return f"{self.prefix}{replicate}/{task}/{when}/{leaf}"

    def check(self, replicate: int, task: str, when: str, model: Any, tolerance: float) -> float:
        """Compare a model, leaf by leaf.

        Args:
            replicate, task, when: which; ``"initial"`` or ``"final"``.
            model: what it should be.
            tolerance: of each leaf's norm.
        Returns:
            The largest distance found, in the same unit.
        Raises:
            Difference: a leaf is another one.
        """
        most = 0.0
        for name, leaf in _named(model):
            key = self.key(replicate, task, when, name)
            found, expected = self._leaf(key), np.asarray(leaf)
            if (found.shape, found.dtype) != (expected.shape, expected.dtype):
                words = [f"{one.dtype}{list(one.shape)}" for one in (expected, found)]
                raise Difference(FILE, words[0], words[1], column=key)
            off = _distance(expected, found)
            if not off <= tolerance:
                raise _first_off(key, expected, found)
            most = max(most, off)
        return most

    def load(self, replicate: int, task: str, when: str, template: Any) -> Any:
        """A model, as a tree like the template."""
        leaves = [self._leaf(self.key(replicate, task, when, name)) for name, _ in _named(template)]
        return jax.tree.unflatten(jax.tree.structure(template), leaves)

    def _leaf(self, key: str) -> np.ndarray:
        if key not in self.leaves:
            raise Difference(FILE, "a leaf of a model", "none", column=key)
        with reading(self.path):
            return self.leaves[key]


def _distance(expected: np.ndarray, found: np.ndarray) -> float:
    """Relative to the norm; what is no number is like itself."""
    if not np.array_equal(np.isnan(expected), np.isnan(found)):
        return np.inf
    norm = np.linalg.norm(np.nan_to_num(expected.ravel().astype(np.float64)))
    off = np.linalg.norm(np.nan_to_num((found - expected).ravel().astype(np.float64)))
    return float(off / norm) if norm else float(off)


def _first_off(key: str, expected: np.ndarray, found: np.ndarray) -> Difference:
    """The number of a leaf that is off by most."""
    off = np.nan_to_num(np.abs(found - expected).astype(np.float64), nan=np.inf)
    place = tuple(int(one) for one in np.unravel_index(np.argmax(off), off.shape))
    one, other = repr(float(expected[place])), repr(float(found[place]))
    return Difference(FILE, one, other, column=f"{key}{list(place)}")


def _named(model: Any) -> Iterator[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(model)
    return ((path_name(path), leaf) for path, leaf in leaves)
