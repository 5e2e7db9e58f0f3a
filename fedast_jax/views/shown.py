"""What a page shows: finished folders as one study, and where each of its results came from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ..config.grid import short_name, value_name
from ..results.palette import in_words, method_styles
from ..study.beside import side_by_side, sources
from ..study.recorded import Folder, Recorded, RecordedStudy, read_folder

MOST_PAIRS = 2000  # of a result and a task, whose curves a page can hold


class Dimension(NamedTuple):
    """What results of a page differ in: their methods, or the values of a swept setting."""

    name: str
    values: list[str]  # as they are shown
    colours: list[str] | None  # of methods: their own


class Shown:
    """Folders side by side, as far as a page can hold their curves."""

    def __init__(self, folders: Sequence[Folder]) -> None:
        """Put them side by side.

        Raises:
            RecordError: they cannot be.
        """
        self.folders = folders
        self.study: RecordedStudy = side_by_side(folders)
        self.sources = sources(folders)
        self.tasks = list(self.study.tasks)
        self.num_left_out = max(0, len(self.study.results) - max(1, MOST_PAIRS // len(self.tasks)))

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Shown:
        """From the folders of runs, comparisons or sweeps.

        Raises:
            RecordError: one is none, or they cannot be side by side.
        """
        return cls([read_folder(path) for path in paths])

    @property
    def results(self) -> list[Recorded]:
        """Those that have curves on the page."""
        return self.study.results[: len(self.study.results) - self.num_left_out]

    @cached_property
    def dimensions(self) -> list[Dimension]:
        """Methods first, then what was swept; what all results share is none."""
        methods = self.study.methods
        styles = method_styles(methods)
        colours = [styles[method]["color"] for method in methods]
        found = [Dimension("method", [in_words(method).strip() for method in methods], colours)]
        names = [short_name(axis) for axis in self.study.axes]
        for axis, values in self.study.axes.items():
            short = short_name(axis)
            name = short if names.count(short) == 1 else axis
            found.append(Dimension(name, [value_name(axis, value) for value in values], None))
        return found

    def places(self, number: int) -> list[int]:
        """Of a result: its value in each dimension, by number."""
        variant, axes = self.study.variants[number], self.study.axes
        point = self.study.points.index(variant.point)
        places = [self.study.methods.index(variant.method)]
        for size in reversed([len(values) for values in axes.values()]):
            point, place = divmod(point, size)
            places.insert(1, place)
        return places

    def name_of(self, number: int) -> str:
        """A result in words: its method, and what the sweep has set, as far as they differ."""
        pairs = zip(self.dimensions, self.places(number), strict=True)
        (method, place), *swept = pairs
        words = [f"{one.name} = {one.values[at]}" for one, at in swept if len(one.values) > 1]
        is_needed = len(method.values) > 1 or not words
        return ", ".join([method.values[place], *words] if is_needed else words)

    @cached_property
    def seeds(self) -> list[str]:
        """Each replicate by its seed, where all results have the same."""
        num_seeds = self.study.num_seeds
        firsts = {result.config.seed for result in self.study.results}
        if len(firsts) == 1:
            first = firsts.pop()
            return [f"seed {first + number}" for number in range(num_seeds)]
        return [f"replicate {number}" for number in range(num_seeds)]
