"""Who trains what, from which version, from when until when: the asynchronous event order.

Nothing is trained here. With a fixed allocation the order of events depends on no model value, so
it is laid out ahead on the host and the engine follows (Askin et al., UAI 2024, Algorithm 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np

from ..clients.delays import Dispatches
from ..clients.presence import Presence
from .absences import make_queues
from .allocation import Rules, in_turn
from .allotment import Allotment
from .async_server import Server
from .async_state import AsyncState, TaskPlan, first_state
from .fast_forward import FastForward
from .late_starts import LateStarts
from .log import EventLog, Limits, Mark, Measure
from .reallocation import Reallocation


class Timeline(EventLog[AsyncState]):
    """Algorithm 2 for one replicate: all tasks, one pool of clients.

    Arrivals at equal times are ordered by dispatch. A cancelled request keeps its client busy until
    it would have ended. A dispatch that would wake one client too many is dropped and owed to its
    task.

    With option D the timeline waits (``is_waiting``) in the middle of every arrival at which the
    requests are shared out anew, after the update has been buffered, until ``reallocate`` says
    how.
    """

    def __init__(
        self,
        seed: int,
        tasks: Sequence[TaskPlan],
        limits: Limits,
        dispatches: Dispatches,
        realloc_period: Fraction | float | None = None,
        rules: Rules | None = None,
        presence: Presence | None = None,
    ) -> None:
        """Dispatch the first requests.

        Args:
            seed: of the replicate.
            tasks, limits: what to lay out.
            dispatches: the replicate's clients and durations.
            realloc_period: with option D, arrivals between two reallocations, in units of
                (unfinished tasks * sum of R), taken as the exact number it is; None: option S.
            rules: how requests are shared out; None: as in the paper.
            presence: when clients are on, and what is lost; None: they always are, and nothing.
        """
        super().__init__(first_state(tasks), [task.max_rounds for task in tasks])
        self._limits, rules = limits, rules or Rules()
        self._realloc = Reallocation(
            None if realloc_period is None else Fraction(realloc_period),
            rules,
            sum(task.num_active for task in tasks),
            [task.variance_scale for task in tasks],
        )
        is_shared_anew = realloc_period is not None
        self._allotment = Allotment(seed, tasks, rules, is_shared_anew=is_shared_anew)
        self._queues = make_queues(dispatches, tasks, limits.max_active_clients, presence)
        self._late = LateStarts()
        accepts = [task.accepts for task in tasks]
        self._server = Server(
            *(self, limits, self._queues, self._allotment, self._realloc, accepts, self._late)
        )
        may_be_used = not self._allotment.follows_flight
        self._ahead = FastForward(
            *(self, self._server, limits, self._queues, accepts), may_be_used=may_be_used
        )
        self._state.next_realloc = self._realloc.find_next(self._state, self.rounds)
        self._server.dispatch(in_turn(self._state.num_active))
        if rules.starts_late:
            self._late.number = self._state.num_late = len(self.requests)
        self.log_allocation()

    def advance(self, until: int) -> None:
        """Lay out events until ``until`` arrivals are in, the timeline waits or it ends."""
        state = self._state
        if state.decision is not None and state.num_arrivals <= until:
            self._server.resume()
        latest = inf if self._limits.time_limit is None else self._limits.time_limit
        while state.num_arrivals < until and state.end_reason is None and state.waiting is None:
            if state.unsent:
                self._server.send_waiting(latest)
            if not state.heap or state.heap[0][0] > latest:
                state.time, state.end_reason = latest, "time_limit"
                return
            if not self._ahead.take_events(until):
                self._server.take_event()

    def kept_updates(self, task: int) -> list[int]:
        """With option D those that the next estimate rests on."""
        return self._realloc.kept_updates(self._state, task, self.rounds[task])

    def observe(self, measure: Measure) -> None:
        """Where a running mean is asked for, estimate the spread at every arrival so far."""
        self._realloc.observe(self._state, self.rounds, measure)

    @property
    def is_waiting(self) -> bool:
        """Whether an arrival waits for ``decide``."""
        return self._state.waiting is not None and self._state.decision is None

    @property
    def must_measure(self) -> bool:
        """Whether an arrival waits, or a running mean is asked for."""
        return self.is_waiting or self._realloc.must_observe(self._state)

    def decide(self, measure: Measure) -> None:
        """EstimateVariances (Algorithm 4) of each task's updates, then Realloc."""
        self.reallocate(self._realloc.sigma_hat(self._state, self.rounds, measure))

    def reallocate(self, sigma_hat: Sequence[float]) -> None:
        """Share sum R out in proportion to ``sigma_hat`` (one number per task) and go on.

        The allocation changes when the timeline is advanced again.
        """
        self._state.decision = list(sigma_hat)

    def pending(self, task: int) -> list[int]:
        """Requests of the task that no aggregation has used yet, in order of arrival.

        Without those in flight of which only their arrival says what they train from.
        """
        if self._state.stopped[task] or self._state.end_reason:
            return []
        task_of, late = self.requests.task, self._late.number
        doomed = self._state.doomed
        return self.buffered(task) + [
            request
            for _, request in sorted(self._state.heap)
            if task_of[request] == task and request >= late and request not in doomed
        ]

    def snapshot(self) -> dict[str, Any]:
        """As in ``EventLog``, with the estimates so far."""
        return super().snapshot() | {
            "spreads": [np.array(estimates) for estimates in self._realloc.spreads]
        }

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """As in ``EventLog``."""
        super().restore(snapshot)
        self._realloc.spreads = [known.tolist() for known in snapshot["spreads"]]

    def rewind(self, mark: Mark[AsyncState]) -> None:
        """As in ``EventLog``."""
        super().rewind(mark)
        self._realloc.forget(mark.num_arrived)
        self._late.forget(self._state, self.requests)
