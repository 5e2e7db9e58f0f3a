"""What the columns of a run folder's tables hold: anybody may have changed them."""

from __future__ import annotations

import pandas as pd

WHOLE = frozenset({"replicate", "seed", "request", "client", "base_round"})
NUMBERS = frozenset(
    {
        "round", "rounds", "time", "arrivals", "accuracy", "metric", "loss", "num_active",
        "buffer_size", "sigma_hat", "target_time", "mean_staleness", "diverged", "diverged_at",
        "end_time", "dispatched_at", "started_at", "arrived_at", "used_round",
    }
)  # fmt: skip
TEXTS = frozenset({"task", "status", "end_reason", "algorithm"})


def check_columns(table: pd.DataFrame) -> None:
    """Raise ValueError where a column of a known name is there twice or holds something else."""
    if not table.columns.is_unique:
        raise ValueError("a column is there twice")
    for name in table.columns if len(table) else ():
        if not _is_right(str(name), table.loc[:, name]):
            raise ValueError(f"column {name!r} holds something else")


def _is_right(name: str, column: pd.Series) -> bool:
    if name in WHOLE:
        return pd.api.types.is_integer_dtype(column)
    if name in NUMBERS:
        return pd.api.types.is_numeric_dtype(column) or bool(column.isna().all())
    return name not in TEXTS or all(isinstance(text, str) for text in column.unique())
