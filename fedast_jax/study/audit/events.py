"""The events of each configuration, told anew and compared in every column that was saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...algorithms import get_algorithm
from ...algorithms.methods.built_in import BUILT_IN
from ...config.settings import Config
from ...results.result import Result
from ...results.run_folder import as_table
from .compare import check_rows
from .expected import expected_result
from .findings import Audit, Difference
from .invariants import check_invariants
from .told import Reader, Story, tell

NAMES = ("evaluations", "allocations", "lanes", "requests")


def check_events(stories: Sequence[Story], audit: Audit) -> list[Reader | None]:
    """Compare every table with what the oracle tells.

    Returns:
        Of each configuration what has read it to its end; None where the oracle cannot.
    Raises:
        Difference: the first row of a table that is not as it should be.
    """
    for name in NAMES:
        _check_order(name, [getattr(story, name) for story in stories])
    readers = []
    for story in stories:
        reason = why_not(story)
        readers.append(_check_story(story) if reason is None else None)
        if reason:
            audit.unchecked.append(f"the order of events of {story.config.algorithm}: {reason}")
    told = [story for story, one in zip(stories, readers, strict=True) if one is not None]
    if told:
        audit.checked.append(_in_words(told))
    num_rules = max(check_invariants(story) for story in stories)
    audit.checked.append(f"{num_rules} rules that hold of every run (docs/verify.md)")
    return readers


def _in_words(told: Sequence[Story]) -> str:
    tests = sum(len(story.evaluations) for story in told)
    runs = sum(story.config.num_seeds for story in told)
    requests = [len(story.requests) for story in told if story.requests is not None]
    words = f", {sum(requests):,} requests" if requests else ""
    return (
        f"the events of {runs} replicates, told anew by the oracle: {tests:,} tests{words}, every "
        "column but what tests measured"
    )


def why_not(story: Story) -> str | None:
    """Why the oracle cannot tell a configuration's events; None: it can."""
    config = story.config
    if not is_known(config):
        return "it is a method of your own, which the oracle does not know"
    if config.algorithm == "sync_ucb_st" and story.requests is None:
        return "it chooses clients by losses that are not kept (--save requests: its choices)"
    return None


def is_known(config: Config) -> bool:
    """Whether the algorithm is this package's."""
    method = get_algorithm(config.algorithm).method
    return method is None or method in BUILT_IN


def _check_order(name: str, tables: Sequence[pd.DataFrame | None]) -> None:
    """Raise Difference where the rows of a study's table are not one configuration's after
    another's."""
    found = np.concatenate([[] if one is None else one.index.to_numpy() for one in tables])
    wrong = np.flatnonzero(found != np.arange(len(found)))
    if len(wrong):
        raise Difference(
            f"{name}.parquet", "rows in order of the configurations", "another", int(wrong[0])
        )


def _check_story(story: Story) -> Reader:
    reader = Reader(story)
    told, end = tell(story, reader)
    reader.num_arrivals = sum(one.num_arrivals for one in told)
    result = expected_result(story.config, told)
    if end is None:
        for name in NAMES:
            _check(name, result, story)
        return reader
    _check("evaluations", result, story, is_begun=True)
    _check("allocations", result, story, is_begun=True)
    row = getattr(story, end.table).index[-1:].tolist() or [-1]
    raise Difference(f"{end.table}.parquet", str(end), "no such row", row[0] + 1)


def _check(name: str, result: Result, story: Story, *, is_begun: bool = False) -> None:
    """Compare a table; if the story is only begun, as far as both go."""
    found: Any = getattr(story, name)
    if found is None:
        return
    frame: Any = getattr(result, name)
    expected: Any = frame() if callable(frame) else frame
    if is_begun:
        length = min(len(expected), len(found))
        expected, found = expected[:length], found[:length]
    check_rows(f"{name}.parquet", as_table(expected), as_table(found), found.index.tolist())
