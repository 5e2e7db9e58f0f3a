"""How long a figure would take here: planned in full, and the speed of each kind measured once.

Both are kept in the cache folder (``figures.json``), by machine and versions; whoever removes the
file has them made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax

from ...config import disk
from ...config.versions import package_versions
from ...data.cache import atomic_write
from ...data.errors import DataError
from ...data.paths import cache_folder
from ...run.plan import plan
from ..forecast import examples_per_second
from ..variants import make_variants
from .experiments import Experiment

KEPT = "figures.json"


def predicted(experiment: Experiment, scale: str) -> str:
    """In words: ``4 min``; why not, where the data is not there."""
    try:
        return in_words(predicted_seconds(experiment, scale))
    except DataError:
        return "no data"


def predicted_seconds(experiment: Experiment, scale: str) -> float:
    """Of training alone, for the seeds that the scale has.

    Raises:
        DataError: a data set is missing.
    """
    table = experiment.table(scale)
    seeds, ends = table["num_seeds"], experiment.expected_end(scale)
    table["num_seeds"] = 1
    if ends is not None:
        table["time_limit"] = min(ends, table["time_limit"])
    examples = _kept(_key(table), lambda: _examples(table))
    rates = {
        kind: _kept(f"{kind} {_machine()}", lambda kind=kind: _rate(kind)) for kind in examples
    }
    return seeds * sum(number / rates[kind] for kind, number in examples.items())


def in_words(seconds: float) -> str:
    """``20 s``, ``4 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _examples(table: Mapping[str, Any]) -> dict[str, int]:
    """Training examples of each kind that one seed goes through."""
    _say(f"planning {table['name']}")
    report = plan(*(variant.config for variant in make_variants(table)))
    examples: dict[str, int] = {}
    for row in report.rows:
        number = row["arrivals"] * row["examples_per_update"]
        examples[row["kind"]] = examples.get(row["kind"], 0) + number
    return examples


def _rate(kind: str) -> float:
    _say(f"measuring how fast {kind} trains")
    return examples_per_second(kind)


def _say(what: str) -> None:
    print(f"{what} (once; kept in {cache_folder()}) ...", file=sys.stderr)


def _kept(key: str, make: Any) -> Any:
    """A number from the cache, or made and put there."""
    path = cache_folder() / KEPT
    known = _read(path)
    if key not in known:
        known[key] = make()
        with suppress(OSError), atomic_write(path) as stream:
            stream.write(json.dumps(known, indent=2).encode())
    return known[key]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(disk.read_text(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _key(table: Mapping[str, Any]) -> str:
    text = json.dumps([table, package_versions()["fedast-jax"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _machine() -> str:
    device = jax.local_devices()[0].device_kind
    versions = package_versions()
    return f"{platform.node()} {device} {os.cpu_count()} {versions['fedast-jax']} {versions['jax']}"
