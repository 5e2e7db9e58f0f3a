"""A finished folder as an audit reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...config import disk
from ...config.errors import RecordError
from ...run.resolve import make_config
from ..paper.folder import RECORD
from ..recorded import Folder, read_folder, read_table, reading, split
from ..study import Study
from ..study_folder import config_names
from ..variants import Variant, make_variants
from .compare import check_json
from .models import FILE, SavedModels
from .told import Story


class Finished(NamedTuple):
    """A run, a comparison or a sweep; a run has one variant."""

    folder: Folder
    variants: Sequence[Variant]
    stories: Sequence[Story]  # one a variant
    models: Sequence[SavedModels] | None

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder.path


def check_finished(path: Path) -> None:
    """Raise RecordError where there is no finished run."""
    if not disk.is_folder(path):
        what = "is not a folder" if disk.exists(path) else "does not exist"
        raise RecordError(f"cannot verify {str(path)!r}: it {what}; name the folder of a run")
    for name in ("config.toml", "manifest.json"):
        if not disk.is_file(path / name):
            raise RecordError(
                f"{str(path)!r} is not the folder of a run that has ended: there is no {name!r} in "
                "it"
            )
    try:
        status = json.loads(disk.read_text(path / "manifest.json"))["status"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return  # it is damaged, which is for the audit to say
    if status == "interrupted":
        raise RecordError(
            f"{str(path)!r} holds a run that was interrupted: finish it by 'fedast resume {path}'"
        )


def read_finished(path: Path) -> Finished:
    """Read a folder; the configurations must be those that ``config.toml`` stands for.

    Raises:
        RecordError, ConfigError: something in it cannot be read or run.
        Difference: a configuration is another one.
    """
    if disk.exists(path / RECORD):
        from ..paper.quadratic import use_quadratic

        use_quadratic()
    folder = read_folder(path)
    variants = _variants(folder)
    requests = _requests(folder)
    stories = [
        Story(variant.config, one.evaluations, one.allocations(), one.lanes, frame)
        for variant, one, frame in zip(variants, folder.study.results, requests, strict=True)
    ]
    return Finished(folder, variants, stories, _models(folder, variants))


def _variants(folder: Folder) -> list[Variant]:
    table, found = dict(folder.study.table), folder.study.results
    if not folder.is_study:
        config = make_config(table)
        return [Variant(config.algorithm, {}, config)]
    variants = make_variants(table)
    names = config_names(Study(table, variants, []))
    for name, variant, one in zip(names, variants, found, strict=True):
        check_json(f"configs/{name}.toml", variant.config.to_dict(), one.config.table)
    return variants


def _requests(folder: Folder) -> list[Any]:
    path, variants = folder.path / "requests.parquet", folder.study.variants
    if not disk.exists(path):
        return [None] * len(variants)
    table = read_table(path)
    with reading(path):
        table = table.astype({"used_round": "Int64"})
    return split(folder.path, "requests", table, variants, folder.is_study)


def _models(folder: Folder, variants: Sequence[Variant]) -> list[SavedModels] | None:
    path = folder.path / FILE
    if not disk.exists(path):
        return None
    with reading(path):
        leaves = np.load(path, allow_pickle=False)
    if not folder.is_study:
        return [SavedModels(leaves, "", path)]
    names = config_names(Study({}, list(variants), []))
    return [SavedModels(leaves, f"{name}/", path) for name in names]
