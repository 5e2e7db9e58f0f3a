"""Requests trained anew, one by one, from the versions that they name.

The order of events is the folder's own, as it was told before. So a request's starting version is
known, and what rounding makes of a model cannot change what happens next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import jax

from ...oracle import RealLearner, Request
from ...oracle.state import Known
from .compare import is_close
from .drift import Drift, Measured, Tolerance, lenient, strict
from .findings import Difference
from .models import SavedModels
from .told import Reader, Story, told_loop


class EnoughError(Exception):
    """The sample is as large as it is to be."""


@dataclass
class Work:
    """What has been trained and how far it was off."""

    num_requests: int = 0
    num_tests: int = 0
    losses: list[float] = field(default_factory=list)  # relative, of each test
    models: list[float] = field(default_factory=list)  # of a leaf's norm, of each final one


class Trainer(Reader):
    """Trains for real and compares; what it hands to the loop is still what the folder says."""

    def __init__(
        self,
        told: Reader,
        real: RealLearner,
        saved: SavedModels | None,
        most: int | None,
    ) -> None:
        """Begin.

        Args:
            told: what has read the same story to its end.
            real: what trains.
            saved: models to compare with.
            most: requests, after which nothing is trained but for a first test; None: all.
        """
        super().__init__(told.story)
        self.told, self.real, self.saved, self.most = told, real, saved, most
        self.precision = told.story.config.machine.precision
        self.drifts: list[Drift] = []
        self.left: Counter[tuple[int, int]] = Counter()  # trainings from a version, still to come
        self.models: dict[tuple[int, int], Any] = {}
        self.work = Work()

    def initial(self, seed: int, task: int) -> int:
        """Version 0, drawn."""
        version = super().initial(seed, task)
        if task == 0:
            self.num_tests = self.told.first_tests[self.replicate]
            self.left = self.told.uses[self.replicate].copy()
            self.drifts = [Drift() for _ in self.names]
        self.models[task, 0] = self.real.initial(seed, task)
        return version

    def train(self, seed: int, request: Request, model: int) -> tuple[Any, float]:
        """Algorithm 1."""
        work = self.work
        if self.most is not None and work.num_requests >= self.most and work.num_tests:
            raise EnoughError
        work.num_requests += 1
        self.left[request.task, model] -= 1
        return self.real.train(seed, request, self.models[request.task, model])

    def aggregate(self, task: int, model: int, updates: list[Any], known: Known) -> int:
        """The server's step; versions that nobody will train from are forgotten."""
        known = known._replace(starts=[self.models[task, one] for one in known.starts])
        new = self.real.aggregate(task, self.models[task, model], updates, known)
        for key in [key for key in self.models if key[0] == task and not self.left[key]]:
            del self.models[key]
        self.models[task, model + 1] = new
        return model + 1

    def score(self, task: int, model: int) -> tuple[float, float]:
        """Tested anew; what the folder has must be like it."""
        row = self.num_tests
        found = super().score(task, model)
        expected = self.real.score(task, self.models[task, model])
        self.work.num_tests += 1
        self.work.losses.append(abs(expected[1] - found[1]) / max(abs(expected[1]), 1e-30))
        test = self.story, row, task, expected, found, self.real.data[task].num_tests
        if too_far := difference_of(*test, lenient(self.precision)):
            raise too_far
        self.drifts[task].add(difference_of(*test, strict(self.precision)))
        return found

    def spread(self, updates: list[Any]) -> float:
        """For real."""
        return self.real.spread(updates)

    def spread_without_biases(self, updates: list[Any]) -> float:
        """For real."""
        return self.real.spread_without_biases(updates)

    def sigma_hats(self, change: int, worked_out: list[float]) -> list[float]:
        """As the folder has them, compared."""
        found = super().sigma_hats(change, worked_out)
        for task, (one, other) in enumerate(zip(worked_out, found, strict=True)):
            if not is_close(one, other, 0.0, 10 * lenient(self.precision).loss):
                row = self.mine(self.story.allocations).index[change * len(found) + task]
                raise Difference("allocations.parquet", repr(one), repr(other), row, "sigma_hat")
        return found

    def end(self, told: Any) -> None:
        """Compare the last versions."""
        for task in told.tasks if self.saved else ():
            assert self.saved is not None
            model, most = self.models[task.index, task.round], lenient(self.precision).model
            off = self.saved.check(self.replicate, task.name, "final", model, most)
            self.drifts[task.index].end(off <= strict(self.precision).model)
            self.work.models.append(off)
        self.models.clear()
        self.real.partitions.clear()


def difference_of(
    story: Story,
    row: int,
    task: int,
    expected: Measured,
    found: Measured,
    num_tests: int,
    tolerance: Tolerance,
) -> Difference | None:
    """Of a test, with its place; None: it is like what is expected."""
    which = tolerance.allows(expected, found, num_tests)
    if which is None:
        return None
    place, number = int(story.evaluations.index[row]), ("metric", "loss").index(which)
    column = "loss" if number else story.metric(task)
    one, other = repr(expected[number]), repr(found[number])
    return Difference("evaluations.parquet", one, other, place, column)


def train_again(trainer: Trainer, replicates: Iterable[int]) -> Work:
    """Train some replicates anew.

    Raises:
        Difference: something is not as it should be.
    """
    config = trainer.story.config
    loop = told_loop(config)
    with jax.enable_x64(config.machine.precision == "float64"):
        for replicate in replicates:
            told = loop(config, config.seeds[replicate], trainer)
            try:
                told.run()
            except EnoughError:
                break
            trainer.end(told)
    return trainer.work
