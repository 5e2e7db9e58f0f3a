"""Faults planted in the engine on purpose: each is found within a few scenarios."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify
from typing import Any

import pytest

from fedast_jax.algorithms import asynchronous, queues
from fedast_jax.algorithms.allotment import Allotment
from fedast_jax.algorithms.async_server import Server
from fedast_jax.algorithms.async_state import AsyncState
from fedast_jax.algorithms.methods.bound import Bound
from fedast_jax.engine.planning import pool
from fedast_jax.engine.planning.pool import LanePool
from fedast_jax.run.replicate import Replicate
from fedast_jax.study.fuzz.cases import draw_case
from fedast_jax.study.fuzz.fuzz import Failure, try_case

WITHIN = 10  # scenarios
Patch = Callable[[Any, str, Any], None]


def older(patch: Patch) -> None:
    """An update's weight is that of one that is a round older."""
    weight = Bound.weight
    patch(Bound, "weight", lambda self, age, active: weight(self, age + 1, active))


def younger_are_dropped(patch: Patch) -> None:
    """An update that is dropped at some age is taken at it."""
    accepts = Bound.accepts
    patch(Bound, "accepts", lambda self, age, active: accepts(self, max(age - 1, 0), active))


def last_of_ties(patch: Patch) -> None:
    """Of equal times the one dispatched last."""

    def pop(heap):
        entry = min(heap, key=lambda one: (one[0], -one[1]))
        heap.remove(entry)
        heapify(heap)
        return entry

    patch(queues, "heappop", pop)


def owed_is_forgotten(patch: Patch) -> None:
    """What the cap has dropped is never tried again."""
    patch(Server, "try_owed", lambda self: None)


def round_too_early(patch: Patch) -> None:
    """A new b counts for the round that is open."""
    set_size = Allotment._set_size

    def at_once(self, state, task, size):
        set_size(self, state, task, size)
        state.round_size[task] = size

    patch(Allotment, "_set_size", at_once)


def lost_counts(patch: Patch) -> None:
    """A request that is lost is counted as an arrival."""
    lose = Server._lose

    def and_count(self, now, request):
        lose(self, now, request)
        self._log.state.num_arrivals += 1

    patch(Server, "_lose", and_count)


def too_many_kept(patch: Patch) -> None:
    """What was trained for the first requests after a cut is kept."""
    cut = Replicate.cut
    patch(Replicate, "cut", lambda self, *given: cut(self, *given) + 5)


def row_freed_too_early(patch: Patch) -> None:
    """The updates that a method may yet ask for are forgotten."""
    patch(LanePool, "_previous", lambda self, lane, version: [])


def one_test_late(patch: Patch) -> None:
    """The first test of every segment is left out."""
    tests = pool._tests
    patch(pool, "_tests", lambda lane, start, end: tests(lane, start, end)[1:])


def one_client_too_many(patch: Patch) -> None:
    """The cap on active clients lets one more in."""
    make = asynchronous.make_queues

    def wide(dispatches, tasks, most, presence):
        return make(dispatches, tasks, None if most is None else most + 1, presence)

    patch(asynchronous, "make_queues", wide)


def three_at_once(patch: Patch) -> None:
    """K is not bounded by what all tasks together lack."""

    def missing(self, task):
        return min(2, self.num_active[task] - self.in_flight[task] - self.owed[task])

    patch(AsyncState, "num_missing", missing)


def owed_is_not_saved(patch: Patch) -> None:
    """A resumed run has forgotten what it owes."""
    restore = asynchronous.Timeline.restore

    def forget(self, snapshot):
        restore(self, snapshot)
        self._state.owed = [0] * len(self._state.owed)

    patch(asynchronous.Timeline, "restore", forget)


def unwound_too_far(patch: Patch) -> None:
    """What was lost before a mark is forgotten with what came after it."""
    rewind = asynchronous.Timeline.rewind

    def forget(self, mark):
        rewind(self, mark)
        del self.lost[:]

    patch(asynchronous.Timeline, "rewind", forget)


FAULTS = {  # and a seed shortly before that which finds it: from 0 on they take up to 140
    older: 8,
    younger_are_dropped: 135,
    last_of_ties: 2,
    owed_is_forgotten: 27,
    round_too_early: 4,
    lost_counts: 26,
    too_many_kept: 38,
    row_freed_too_early: 35,
    one_test_late: 0,
    one_client_too_many: 8,
    three_at_once: 38,
    owed_is_not_saved: 27,
    unwound_too_far: 26,
}


def first_failure(seeds: range) -> Failure | None:
    """Of the cases whose models are symbols."""
    cases = (case for case in map(draw_case, seeds) if case.knobs.is_symbolic)
    return next(filter(None, map(try_case, cases)), None)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(monkeypatch, fault):
    fault(monkeypatch.setattr)
    found = first_failure(range(FAULTS[fault], FAULTS[fault] + WITHIN))
    assert found is not None
    monkeypatch.undo()
    assert try_case(found.case) is None  # it was the fault
