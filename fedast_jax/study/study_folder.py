"""What a comparison or a sweep leaves on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tomli_w

from ..results.run_folder import (
    Work,
    draw,
    place,
    write_blocks,
    write_json,
    write_models,
    write_table,
    write_text,
)


class WrittenStudy(Protocol):
    """What a study's folder is written from: ``Study``."""

    @property
    def table(self) -> Mapping[str, Any]:
        """What was asked for."""
        ...

    @property
    def variants(self) -> Sequence[Any]:
        """Where each result belongs."""
        ...

    @property
    def results(self) -> Sequence[Any]:
        """One a variant."""
        ...

    @property
    def status(self) -> str:
        """``"finished"`` or ``"interrupted"``."""
        ...

    evaluations: Any
    allocations: Any
    lanes: Any
    requests: Any

    def partition(self) -> Iterable[Any]:
        """Who holds which sample."""
        ...

    def summary(self) -> dict[str, Any]:
        """Means, spreads, gains."""
        ...

    def manifest(self) -> dict[str, Any]:
        """What the study was made with and what it cost."""
        ...

    def figures(self) -> dict[str, Any]:
        """The pictures that the study's shape allows."""
        ...


def save_study(
    study: WrittenStudy, folder: Path, extras: Iterable[str] = (), work: Work | None = None
) -> Path:
    """Write the folder of a comparison or a sweep; otherwise as ``run_folder.save``."""
    files = _study_files(study) | dict(_extra_file(name, study) for name in extras)
    files["manifest.json"] = lambda path: write_json(study.manifest(), path)
    place(files, folder, work, is_interrupted=study.status == "interrupted")
    draw([study.figures], folder)
    return folder


def config_names(study: WrittenStudy) -> list[str]:
    """What the configurations of a study are called in its folder, each by its number first."""
    methods = [variant.method.replace(":", "-") for variant in study.variants]
    return [f"{number}-{method}" for number, method in enumerate(methods)]


def _study_files(study: WrittenStudy) -> dict[str, Callable[[Path], None]]:
    configs = {
        f"configs/{name}.toml": _text_file(result.config.to_toml)
        for name, result in zip(config_names(study), study.results, strict=True)
    }
    return {
        "config.toml": lambda path: write_text(tomli_w.dumps(study.table), path),
        **configs,
        "evaluations.parquet": lambda path: write_table(study.evaluations, path),
        "allocations.parquet": lambda path: write_table(study.allocations, path),
        "lanes.parquet": lambda path: write_table(study.lanes, path),
        "summary.json": lambda path: write_json(study.summary(), path),
    }


def _extra_file(name: str, study: WrittenStudy) -> tuple[str, Callable[[Path], None]]:
    return {
        "requests": ("requests.parquet", lambda path: write_table(study.requests, path)),
        "models": ("models.npz", lambda path: write_models(_models(study), path)),
        "partition": ("partition.parquet", lambda path: write_blocks(study.partition(), path)),
    }[name]


def _models(study: WrittenStudy) -> dict[str, np.ndarray]:
    return {
        f"{name}/{key}": leaf
        for name, result in zip(config_names(study), study.results, strict=True)
        for key, leaf in result.models().items()
    }


def _text_file(make: Callable[[], str]) -> Callable[[Path], None]:
    return lambda path: write_text(make(), path)
