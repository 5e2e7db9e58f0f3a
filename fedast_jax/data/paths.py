"""Where data sets, downloads and decoded copies live. Every folder can be set from outside."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from ..config import disk
from .errors import DataError

APP = "fedast-jax"


def user_folder() -> Path | None:
    """The folder that the user keeps data sets in, ``$FEDAST_DATA_DIR``; None where not set.

    Raises:
        DataError: if the variable names something that is not a folder.
    """
    value = os.environ.get("FEDAST_DATA_DIR")
    if not value:
        return None
    folder = Path(value).expanduser()
    if not disk.is_folder(folder):
        raise DataError(
            f"FEDAST_DATA_DIR is {value!r}, which is not a folder: make it, or unset the variable"
        )
    return folder


def download_folder() -> Path:
    """Where ``fedast data prepare`` puts files (it need not exist yet)."""
    return platformdirs.user_data_path(APP) / "datasets"


def cache_folder() -> Path:
    """Where decoded copies are kept: ``$FEDAST_CACHE_DIR``, or the user's cache folder."""
    value = os.environ.get("FEDAST_CACHE_DIR")
    return Path(value).expanduser() if value else platformdirs.user_cache_path(APP)


def tfds_folder() -> Path:
    """Where TensorFlow Datasets keeps prepared sets: ``$TFDS_DATA_DIR`` or its default."""
    value = os.environ.get("TFDS_DATA_DIR")
    return Path(value).expanduser() if value else Path.home() / "tensorflow_datasets"
