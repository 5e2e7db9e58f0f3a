"""The requests of a finished run, a comparison or a sweep, where they were saved."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..config import disk
from .recorded import Folder, reading, split
from .recorded_kinds import check_columns

NAME = "requests"
COLUMNS = [
    "replicate", "request", "task", "client", "dispatched_at", "started_at", "arrived_at",
    "base_round", "used_round", "status",
]  # fmt: skip


def has_requests(folder: Folder) -> bool:
    """Whether it was run with ``--save requests``."""
    return disk.exists(_path(folder))


def num_requests(folder: Folder) -> int:
    """Rows of the table."""
    import pyarrow.parquet as pq

    with reading(_path(folder)), disk.reading(_path(folder)) as file:
        return pq.read_metadata(file).num_rows


def read_requests(folder: Folder, first: int, last: int) -> list[pd.DataFrame]:
    """The requests of some replicates, a table for each result of the folder.

    Args:
        folder: with saved requests.
        first, last: of the replicates that are read.
    Raises:
        RecordError: the table is broken or of another version.
    """
    import pyarrow.parquet as pq

    from ..config.parquet import read_parquet

    path = _path(folder)
    with reading(path), disk.reading(path) as file:
        keys = list(folder.study.variants[0].point)
        columns = [*(["algorithm", *keys] if folder.is_study else []), *COLUMNS]
        known = pq.read_schema(file).names
        missing = [column for column in columns if column not in known]
        if missing:
            raise ValueError(f"there is no column {missing[0]!r}")
        wanted = [("replicate", ">=", first), ("replicate", "<=", last)]
        table = read_parquet(file, columns=columns, filters=wanted).to_pandas()
        check_columns(table)
    parts = split(folder.path, NAME, table, folder.study.variants, folder.is_study)
    return [part.reset_index(drop=True) for part in parts]


def _path(folder: Folder) -> Path:
    return folder.path / f"{NAME}.parquet"
