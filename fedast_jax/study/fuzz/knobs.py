"""Conditions that only tests meet: how a scenario is gone about, and numbers made small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from ...algorithms import absences, queues
from ...algorithms import authors as engine_authors
from ...clients import delays
from ...clients.laws import LAWS, DelayLaw
from ...config.errors import ConfigError
from ...config.words import show
from ...oracle import authors as oracle_authors
from ...oracle import dispatches

CHUNK = delays.CHUNK
CHUNKED = (delays, absences, queues, dispatches)
GRANULES = (32, 7, 8)  # of the authors' code: granule, window, least rounds
NO_STOPS = (False,)


class Knobs(NamedTuple):
    """How a scenario is gone about; whatever it is, the engine must do what the oracle does."""

    capacity: tuple[int, int] = (150, 150)  # rows of each pool at the start: versions, updates
    num_resident: int = 3
    window: int = 50  # events of a segment
    is_tight: bool = False  # whether a step aggregates no more than the largest round
    stops: tuple[bool, ...] = NO_STOPS  # in turn, whether the second run is killed after a segment
    interrupt_at: int = 0  # the device's call in which it is interrupted; 0: never
    rewinds: int = 0  # events that it lays out and takes back before each segment
    diverging: int = 0  # about one version in so many has no finite loss; 0: none
    chunk: int = CHUNK  # dispatches drawn at once
    granules: tuple[int, int, int] = GRANULES
    is_real: bool = False  # whether models are trained, and not made of symbols

    @property
    def is_symbolic(self) -> bool:
        """Whether the device is made of symbols."""
        return not self.is_real


def steps(u: np.ndarray) -> np.ndarray:
    """0, 1, 2 or 3: ties, and requests that take no time."""
    return np.floor(4 * u)


def nothing(u: np.ndarray) -> np.ndarray:
    """No time at all."""
    return np.zeros_like(u)


OWN_LAWS = {"steps": DelayLaw(steps), "nothing": DelayLaw(nothing)}


@contextmanager
def small_numbers(granules: tuple[int, int, int] = GRANULES, chunk: int = CHUNK) -> Iterator[None]:
    """Within it engine and oracle have other numbers, and there are two more delay laws.

    Args:
        granules: GRANULE, WINDOW and LEAST_ROUNDS of the authors' rules.
        chunk: dispatches drawn at once, so that their chunks meet within short runs.
    """
    with ExitStack() as stack:
        for module in (engine_authors, oracle_authors):
            for name, value in zip(("GRANULE", "WINDOW", "LEAST_ROUNDS"), granules, strict=True):
                stack.enter_context(patch.object(module, name, value))
        for module in CHUNKED:
            stack.enter_context(patch.object(module, "CHUNK", chunk))
        stack.enter_context(patch.dict(LAWS, OWN_LAWS))
        yield


def knobs_of(table: dict[str, Any]) -> Knobs:
    """As TOML has them: lists in the place of tuples.

    Raises:
        ConfigError: one is unknown, or nothing can be run with it.
    """
    given: dict[str, Any] = {
        key: tuple(one) if isinstance(one, list) else one for key, one in table.items()
    }
    usual = Knobs()._asdict()
    for name, value in given.items():
        if name not in usual or not _is_usable(value, usual[name], least=name in FROM_1):
            raise ConfigError(f"knobs.{name}={show(value)} is no knob of a case")
    return Knobs(**given)


FROM_1 = ("capacity", "num_resident", "window", "chunk")
MOST = 10**6


def _is_usable(value: Any, usual: Any, least: int) -> bool:
    """Whether a value is of the kind of another one, and neither too small nor too large."""
    if isinstance(usual, tuple):
        is_long = isinstance(value, tuple) and len(value) >= (
            1 if usual == NO_STOPS else len(usual)
        )
        return is_long and all(_is_usable(one, usual[0], least) for one in value)
    return type(value) is type(usual) and least <= value <= MOST


def changed(knobs: Knobs) -> dict[str, Any]:
    """Those that are not what they are by themselves."""
    usual = Knobs()._asdict()
    return {name: value for name, value in knobs._asdict().items() if value != usual[name]}
