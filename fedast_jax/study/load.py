"""Results read again from the folders that runs have left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config import disk
from ..config.errors import RecordError
from ..config.npz import read_npz
from ..results.output import reason_of
from ..results.result import Result
from ..run.resolve import make_config
from .recorded import Folder, Recorded, read_folder, read_table
from .study import Study
from .variants import make_variants


def load_result(folder: str | Path) -> Result:
    """Read the folder of a run: what ``Result.save`` wrote, tables, summaries and figures alike.

    Raises:
        RecordError: it is not the folder of a run, or something in it is missing or broken.
    """
    content = read_folder(Path(folder))
    if content.is_study:
        raise RecordError(f"{str(folder)!r} holds a study of several runs: read it by load_study")
    (recorded,) = content.study.results
    requests, models = _requests(content.path), _models(content.path)
    return _result(recorded, requests, models, content.manifest)


def load_study(folder: str | Path) -> Study:
    """Read the folder of a comparison or a sweep.

    Raises:
        RecordError: as ``load_result``.
    """
    content = read_folder(Path(folder))
    if not content.is_study:
        raise RecordError(f"{str(folder)!r} holds a single run: read it by load_result")
    recorded = content.study.results
    manifests = _manifests(content, len(recorded))
    results = [
        _result(one, None, None, manifest)
        for one, manifest in zip(recorded, manifests, strict=True)
    ]
    table = dict(content.study.table)
    return Study(table, make_variants(table), results)


def _manifests(content: Folder, num_results: int) -> list[dict[str, Any]]:
    """Each result's own: it shares all but its arrivals with the others."""
    whole = dict(content.manifest)
    arrivals = whole.pop("arrivals_by_configuration", None)
    if not isinstance(arrivals, list) or len(arrivals) != num_results:
        raise RecordError(
            f"{str(content.path / 'manifest.json')!r} needs arrivals_by_configuration, "
            f"{num_results} numbers; an older version may have written it: "
            "`fedast show` reads that"
        )
    return [whole | {"counts": whole["counts"] | {"arrivals": count}} for count in arrivals]


def _result(
    recorded: Recorded,
    requests: pd.DataFrame | None,
    models: Mapping[str, np.ndarray] | None,
    manifest: dict[str, Any],
) -> Result:
    config = make_config(_without_nothing(recorded.config.table))
    changes = recorded.allocations()
    return Result(config, recorded.evaluations, recorded.lanes, changes, requests, models, manifest)


def _without_nothing(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _requests(folder: Path) -> pd.DataFrame | None:
    path = folder / "requests.parquet"
    return read_table(path).astype({"used_round": "Int64"}) if disk.exists(path) else None


def _models(folder: Path) -> dict[str, np.ndarray] | None:
    path = folder / "models.npz"
    if not disk.exists(path):
        return None
    try:
        with disk.reading(path) as file:
            return read_npz(file)
    except Exception as error:  # there is no end to what readers raise on damaged bytes
        raise RecordError(f"{str(path)!r} is not as a run wrote it: {reason_of(error)}") from None
