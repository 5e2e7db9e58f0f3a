"""A run's events told anew by the oracle; what tests measured is read, not measured again.

Nothing is trained: a model is the number of its version. What the order of events takes from
models is what a folder has of them: each test's metric and loss, option D's estimates, and whom
Sync-UCB-ST has chosen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...config.settings import Config
from ...oracle import OneReplicate, Request, loop_of
from ...oracle.state import Known
from ...oracle.ucb import UcbRounds


class EndOfStoryError(Exception):
    """The folder has no more of what an event needs; the message says what that is."""

    def __init__(self, table: str, row: int, words: str) -> None:
        super().__init__(words)
        self.table, self.row = table, row


class Story(NamedTuple):
    """What a folder has of one configuration: DataFrames; ``requests`` None if not saved."""

    config: Config
    evaluations: Any
    allocations: Any
    lanes: Any
    requests: Any

    def metric(self, task: int) -> str:
        """The column that a task is judged by."""
        return self.config.named_tasks[task].settings.goal.column


class Reader:
    """In place of a learner: reads what a learner would have found out."""

    def __init__(self, story: Story) -> None:
        self.story, self.replicate = story, -1
        tests, names = story.evaluations, [task.name for task in story.config.named_tasks]
        self.names = names
        self.metrics = [tests[story.metric(task)].to_numpy(float) for task in range(len(names))]
        self.losses = tests["loss"].to_numpy(float)
        self.num_tests = 0  # read so far, of all replicates
        self.num_arrivals = 0  # of all replicates, once they are told
        self.first_tests: list[int] = []  # of each replicate, among all
        self.uses: list[Counter[tuple[int, int]]] = []  # by replicate: (task, version) -> trainings

    def initial(self, seed: int, task: int) -> int:
        """Version 0."""
        if task == 0:
            self.replicate = seed - self.story.config.seed
            self.first_tests.append(self.num_tests)
            self.uses.append(Counter())
        return 0

    def train(self, seed: int, request: Request, model: int) -> tuple[Any, float]:
        """Nothing."""
        self.uses[-1][request.task, model] += 1
        return None, 0.0

    def aggregate(self, task: int, model: int, updates: list[Any], known: Known) -> int:
        """The next version."""
        return model + 1

    def score(self, task: int, model: int) -> tuple[float, float]:
        """As the next row has it, whatever that row says of itself: it is compared later."""
        row = self.num_tests
        if row == len(self.losses):
            words = f"a test of {self.names[task]} after round {model}"
            raise EndOfStoryError("evaluations", row, words)
        self.num_tests += 1
        return float(self.metrics[task][row]), float(self.losses[row])

    def spread(self, updates: list[Any]) -> float:
        """Not asked for: ``sigma_hats`` is."""
        return 1.0

    spread_without_biases = spread

    def sigma_hats(self, change: int, worked_out: list[float]) -> list[float]:
        """As the folder has them after so many changes of the replicate's allocation."""
        del worked_out
        mine = self.mine(self.story.allocations)
        found = mine.sigma_hat[change * len(self.names) : (change + 1) * len(self.names)]
        if len(found) < len(self.names):
            words = f"reallocation {change} of replicate {self.replicate}"
            raise EndOfStoryError("allocations", len(self.story.allocations), words)
        return found.tolist()

    def mine(self, table: Any) -> Any:
        """The replicate's rows of a table."""
        return table.loc[table.replicate == self.replicate, :]

    def clients(self, first: int, count: int) -> list[int]:
        """Of the replicate's requests from one on."""
        assert self.story.requests is not None
        found = self.mine(self.story.requests).client[first : first + count]
        if len(found) < count:
            words = f"request {first + count - 1} of replicate {self.replicate}"
            raise EndOfStoryError("requests", len(self.story.requests), words)
        return found.tolist()


class ToldShares:
    """Of ``Asynchronous``: option D's estimates are read."""

    learner: Any
    allocations: list[Any]

    def sigma_hats(self) -> list[float]:
        """Of all tasks."""
        worked_out = super().sigma_hats()  # type: ignore[misc]
        return self.learner.sigma_hats(len(self.allocations), worked_out)


class ToldChoice:
    """Of ``UcbRounds``: its choices, which rest on training losses, are read."""

    learner: Any
    requests: list[Any]
    sizes: list[int]

    def choose(self, random: np.random.Generator) -> list[int]:
        """The round's clients, the first task's first."""
        return self.learner.clients(len(self.requests), sum(self.sizes))


def told_loop(config: Config) -> Any:
    """The oracle's loop for a configuration, which reads what it cannot work out."""
    loop: Any = loop_of(config)
    told = ToldChoice if loop is UcbRounds else ToldShares
    return type(f"Told{loop.__name__}", (told, loop), {})


def tell(story: Story, reader: Reader) -> tuple[Sequence[OneReplicate], EndOfStoryError | None]:
    """Every replicate's events, as far as the folder has what they need.

    Returns:
        The replicates, the last of them not ended where there is an error beside them.
    """
    loop, told = told_loop(story.config), []
    for seed in story.config.seeds:
        told.append(loop(story.config, seed, reader))
        try:
            told[-1].run()
        except EndOfStoryError as end:
            return told, end
    return told, None
