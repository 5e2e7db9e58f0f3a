"""Results read again from the folders that runs have left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config.errors import RecordError
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
    return _result(content, recorded, _requests(content.path), _models(content.path))


def load_study(folder: str | Path) -> Study:
    """Read the folder of a comparison or a sweep.

    Raises:
        RecordError: as ``load_result``.
    """
    content = read_folder(Path(folder))
    if not content.is_study:
        raise RecordError(f"{str(folder)!r} holds a single run: read it by load_result")
    results = [_result(content, recorded, None, None) for recorded in content.study.results]
    table = dict(content.study.table)
    return Study(table, make_variants(table), results)


def _result(
    content: Folder,
    recorded: Recorded,
    requests: pd.DataFrame | None,
    models: Mapping[str, np.ndarray] | None,
) -> Result:
    config = make_config(_without_nothing(recorded.config.table))
    changes = recorded.allocations()
    return Result(
        config, recorded.evaluations, recorded.lanes, changes, requests, models, content.manifest
    )


def _without_nothing(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value is not None}


def _requests(folder: Path) -> pd.DataFrame | None:
    path = folder / "requests.parquet"
    return read_table(path).astype({"used_round": "Int64"}) if path.exists() else None


def _models(folder: Path) -> dict[str, np.ndarray] | None:
    path = folder / "models.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
