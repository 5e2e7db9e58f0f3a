"""The folder of a figure: a study's, with ``figure.json``, ``claims.json`` and the pictures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ...config import disk
from ...config.errors import ConfigError, OutputError, RecordError
from ...config.grid import flat_keys
from ...config.words import show
from ...results.checksums import add_checksums
from ...results.pictures import write_pictures
from ...results.run_folder import write_json
from ...results.style import DPI, for_print
from ..recorded import Folder, RecordedStudy, read_folder, read_table
from .experiments import EXPERIMENTS, Experiment
from .judge import judge
from .registry import FIGURES
from .scales import SCALES

FORMAT = 1  # of figure.json and claims.json
RECORD, VERDICTS = "figure.json", "claims.json"


@dataclass(frozen=True, repr=False)
class StudyWithRequests(RecordedStudy):
    """A study whose folder holds its requests."""

    requests: pd.DataFrame


class FigureFolder(NamedTuple):
    """What a figure has left."""

    path: Path
    experiment: Experiment
    scale: str
    changed: Sequence[str]  # from the paper's settings, in words
    num_cores: int | None
    claims: Sequence[Mapping[str, Any]]
    content: Folder


def write_figures(folder: Path, experiment: Experiment, scale: str) -> list[Path]:
    """Draw every figure of a study that has ended, and judge what the paper says of it.

    Args:
        folder: of the study.
        experiment, scale: what it is.
    Returns:
        The pictures' files and ``claims.json``.
    Raises:
        RecordError: the folder is not whole, or lacks what a claim needs.
    """
    study = read_study(folder, experiment.save)
    record = _record(experiment, scale)
    write_json(record, folder / RECORD)
    claims = verdicts(study, experiment, is_papers=not record["changed"])
    write_json({"format": FORMAT, "claims": claims}, folder / VERDICTS)
    add_checksums(folder, [folder / RECORD, folder / VERDICTS])
    pictures = {name: FIGURES[name].draw(study) for name in experiment.figures}
    return [*for_print(write_pictures)(pictures, folder / "figures", DPI), folder / VERDICTS]


def verdicts(
    study: RecordedStudy, experiment: Experiment, *, is_papers: bool
) -> list[dict[str, Any]]:
    """Of every claim; the paper's own numbers are asked for at its own settings alone."""
    return [
        {"figure": name, **judge(claim).to_json()}
        for name in experiment.figures
        for claim in FIGURES[name].claims(study)
        if is_papers or not claim.needs_paper
    ]


def read_study(folder: Path, needed: Sequence[str] = ()) -> RecordedStudy:
    """The study of a folder, with what else is needed of it.

    Raises:
        RecordError: it has not ended, or lacks something; the message says what would save it.
    """
    content = read_folder(folder)
    if content.manifest["status"] != "finished":
        raise RecordError(
            f"{str(folder)!r} has not ended: go on with it by 'fedast resume {folder}'"
        )
    if "requests" not in needed:
        return content.study
    path = folder / "requests.parquet"
    if not disk.exists(path):
        raise RecordError(
            f"{str(folder)!r} has no requests, which this figure needs: run it again by 'fedast "
            "figure', or with --save requests"
        )
    study = content.study
    return StudyWithRequests(study.table, study.variants, study.results, read_table(path))


def check_same(folder: Path, table: Mapping[str, Any]) -> None:
    """Raise OutputError where a folder holds anything else than what is to be run."""
    there, wanted = (dict(flat_keys(one)) for one in (read_folder(folder).study.table, table))
    for key in {**wanted, **there}:
        if key.partition(".")[0] not in ("name", "machine") and there.get(key) != wanted.get(key):
            raise OutputError(
                f"{str(folder)!r} holds something else: its {key} is {show(there.get(key))}, not "
                f"{show(wanted.get(key))}; name another folder with --out"
            )


def read_figure(folder: Path) -> FigureFolder:
    """What ``write_figures`` has left.

    Raises:
        RecordError: it is no such folder, or of another format.
    """
    record, claims = (_read(folder / name) for name in (RECORD, VERDICTS))
    experiment = next((one for one in EXPERIMENTS if one.name == record.get("study")), None)
    if experiment is None or record.get("scale") not in SCALES:
        raise RecordError(f"{str(folder / RECORD)!r} names no figure of this version")
    return FigureFolder(
        folder,
        experiment,
        record["scale"],
        record.get("changed", ()),
        record.get("num_cores"),
        claims.get("claims", ()),
        read_folder(folder),
    )


def _record(experiment: Experiment, scale: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "study": experiment.name,
        "figures": list(experiment.figures),
        "scale": scale,
        "changed": list(experiment.changes(scale)),
        "num_cores": os.cpu_count(),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(disk.read_text(path))
    except FileNotFoundError:
        raise RecordError(
            f"{str(path.parent)!r} is not the folder of a figure: there is no {path.name!r} in "
            f"it; 'fedast figure ID --out {path.parent}' writes it"
        ) from None
    except (OSError, ValueError, RecursionError):
        raise RecordError(f"{str(path)!r} is not as it was written") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        found = content.get("format") if isinstance(content, dict) else None
        raise RecordError(
            f"{str(path)!r} is of format {show(found)}, this version reads {FORMAT}: draw it again "
            "by 'fedast figure'"
        )
    return content


def check_scale(scale: str) -> str:
    """Raise ConfigError where there is none of this name."""
    if scale not in SCALES:
        raise ConfigError(f"--scale is one of {', '.join(SCALES)}, got {show(scale)}")
    return scale
