"""Numbers that follow from a folder's own tables: summaries, gains, counts, a figure's claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...config import disk
from ..paper.folder import RECORD, VERDICTS, read_figure, read_study, verdicts
from .compare import check_json, read_json
from .findings import Audit, Difference
from .folder import Finished
from .told import Reader


def check_numbers(finished: Finished, readers: Sequence[Reader | None], audit: Audit) -> None:
    """Raise Difference where a number is not what the tables say."""
    path, study = finished.path, finished.folder.study
    summary = study.summary() if finished.folder.is_study else study.results[0].summary()
    check_json("summary.json", summary, read_json(path / "summary.json"))
    audit.checked.append("summary.json: means, spreads, gains and intervals from the tables")
    _check_manifest(finished, readers)
    audit.checked.append("manifest.json: status, arrivals, precision, fidelity")
    if disk.exists(path / RECORD):
        _check_claims(path)
        audit.checked.append(f"{VERDICTS}: what the paper says, judged by the tables")


def _check_manifest(finished: Finished, readers: Sequence[Reader | None]) -> None:
    manifest, config = finished.folder.manifest, finished.stories[0].config
    arrivals = [None if one is None else one.num_arrivals for one in readers]
    known: dict[str, Any] = {
        "status": "finished",
        "precision": config.machine.precision,
        "fidelity": config.fidelity,
    }
    found = {key: manifest.get(key) for key in known}
    counts = [one for one in arrivals if one is not None]
    if len(counts) == len(arrivals):
        known["counts"] = {"arrivals": sum(counts)}
        found["counts"] = {"arrivals": manifest["counts"].get("arrivals")}
        if finished.folder.is_study:
            known["arrivals_by_configuration"] = arrivals
            found["arrivals_by_configuration"] = manifest.get("arrivals_by_configuration")
    check_json("manifest.json", known, found)


def _check_claims(path: Path) -> None:
    """Judge what the paper says anew."""
    figure = read_figure(path)
    study = read_study(path, figure.experiment.save)
    claims = verdicts(study, figure.experiment, is_papers=not figure.changed)
    check_json(VERDICTS, {"claims": claims}, {"claims": list(figure.claims)})
    changed = list(figure.experiment.changes(figure.scale))
    if list(figure.changed) != changed:
        raise Difference(RECORD, changed, list(figure.changed), column="changed")
