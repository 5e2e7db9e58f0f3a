"""Finished runs side by side: one study of all that several folders hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..config.errors import RecordError
from ..config.grid import flat_keys
from ..results.summary import Measured
from .gains import no_gain
from .recorded import Folder, Recorded, RecordedStudy, RecordedVariant

WORLD = ("num_clients", "fidelity", "delays")
TASK_WORLD = (
    "kind", "dataset", "copies", "target_accuracy", "metric", "metric_goal",
    "target_metric", "samples_per_client", "dirichlet_alpha",
    "test_samples", "step_time",
)  # fmt: skip


class SideBySide(RecordedStudy):
    """Results of several runs; seeds are paired where the runs met the same clients and data."""

    def gains(self, first: Measured, other: Measured) -> tuple[dict[str, Any], dict[str, Any]]:
        """As of one study, unless the two are of different worlds."""
        assert isinstance(first, Recorded)
        assert isinstance(other, Recorded)
        differs = difference(first, other)
        if differs is not None:
            return no_gain(f"not paired, since {differs} differs"), {}
        return super().gains(first, other)


def side_by_side(folders: Sequence[Folder]) -> RecordedStudy:
    """All results of several folders as one study; of a single folder its own.

    Raises:
        RecordError: they cannot be shown together.
    """
    if len(folders) == 1:
        return folders[0].study
    _check(folders)
    names = _names(folders)
    methods = Counter(method for folder in folders for method in folder.study.methods)
    name = " beside ".join(dict.fromkeys(folder.study.name for folder in folders))
    variants, results = [], []
    for folder, label in zip(folders, names, strict=True):
        for variant, result in zip(folder.study.variants, folder.study.results, strict=True):
            is_plain = methods[variant.method] == 1
            method = variant.method if is_plain else f"{label}: {variant.method}"
            variants.append(variant._replace(method=method))
            results.append(replace(result, config=replace(result.config, name=name)))
    order = _by_point(variants)
    table = {"name": name, "study": {"sweep": folders[0].study.axes}}
    return SideBySide(
        table, [variants[place] for place in order], [results[place] for place in order]
    )


def sources(folders: Sequence[Folder]) -> list[tuple[Folder, int]]:
    """Where each result of ``side_by_side`` comes from: its folder, and its place there."""
    places = [(folder, place) for folder in folders for place in range(len(folder.study.results))]
    order = _by_point([folder.study.variants[place] for folder, place in places])
    return [places[number] for number in order] if len(folders) > 1 else places


def difference(first: Recorded, other: Recorded) -> str | None:
    """The first setting by which the seeds of two results stand for different worlds, or None."""
    first_world, other_world = (dict(_world(result.config.table)) for result in (first, other))
    keys = [
        key
        for key in {**first_world, **other_world}
        if first_world.get(key) != other_world.get(key)
    ]
    return keys[0] if keys else None


def _world(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The settings on which clients, data, delays and targets depend."""
    yield from flat_keys({key: table.get(key) for key in WORLD} | {"availability": _on(table)})
    for name, task in table["tasks"].items():
        yield from ((f"tasks.{name}.{key}", task.get(key)) for key in TASK_WORLD)


def _on(table: Mapping[str, Any]) -> dict[str, Any]:
    """When clients are on, without what says "always": runs before 0.3 have no such table."""
    always = {"law": "always", "when_off": "wait", "loss": 0.0}
    given = table.get("availability", {})
    return {key: value for key, value in given.items() if always.get(key) != value}


def _check(folders: Sequence[Folder]) -> None:
    first = folders[0]
    seen: set[Any] = set()
    for folder in folders:
        if folder.path.resolve() in seen:
            raise RecordError(f"{str(folder.path)!r} is there twice; leave one out")
        seen.add(folder.path.resolve())
        if folder.study.points != first.study.points:
            raise RecordError(
                f"{str(folder.path)!r} and {str(first.path)!r} sweep over different settings: only "
                f"equal sweeps can be shown side by side"
            )


def _names(folders: Sequence[Folder]) -> list[str]:
    """The folders' own names, as far as they tell them apart."""
    names = [folder.path.resolve().name for folder in folders]
    paths = [str(folder.path) for folder in folders]
    return names if len(set(names)) == len(names) else paths


def _by_point(variants: Sequence[RecordedVariant]) -> list[int]:
    """For each setting of the sweep the methods in turn."""
    points = [variant.point for variant in variants]
    return sorted(range(len(variants)), key=lambda place: points.index(points[place]))
