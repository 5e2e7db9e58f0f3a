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
from ..clients.presence import Presence, check_losses
from .absences import make_queues
from .allocation import Rules, in_turn, neediest
from .allotment import Allotment
from .async_state import AsyncState, TaskPlan, first_state
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
        self._accepts = [task.accepts for task in tasks]
        self._queues = make_queues(dispatches, tasks, limits.max_active_clients, presence)
        self._state.next_realloc = self._realloc.find_next(self._state, self.rounds)
        self._dispatch(in_turn(self._state.num_active))
        self._late = LateStarts(len(self.requests) if rules.starts_late else 0)
        self._state.num_late = self._late.number
        self._log_allocation()

    def advance(self, until: int) -> None:
        """Lay out events until ``until`` arrivals are in, the timeline waits or it ends."""
        state = self._state
        if state.decision is not None and state.num_arrivals <= until:
            self._resume()
        latest = inf if self._limits.time_limit is None else self._limits.time_limit
        while state.num_arrivals < until and state.end_reason is None and state.waiting is None:
            if state.unsent:
                self._send_waiting(latest)
            if not state.heap or state.heap[0][0] > latest:
                state.time, state.end_reason = latest, "time_limit"
                return
            self._take_event()

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
        in_flight = sorted(
            (time, request)
            for time, request in self._state.heap
            if task_of[request] == task and request >= late and request not in doomed
        )
        return self.buffered(task) + [request for _, request in in_flight]

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

    def _take_event(self) -> None:
        """One arrival, or the end of a cancelled request's work."""
        state = self._state
        now, request = self._queues.next_end(state, self.requests)
        task = self.requests.task[request]
        if state.doomed and request in state.doomed:
            self._lose(now, request)
            return
        if request < self._late.number:
            self._late.end(state, self.requests, self.rounds, request)
        if state.stopped[task]:  # it was cancelled: only its client was still busy
            self._end_cancelled(now)
            return
        state.time = now
        state.num_arrivals += 1
        state.num_lost = 0
        state.in_flight[task] -= 1
        self._take_update(task, request)
        if state.num_arrivals >= state.next_realloc and self._realloc.may_happen(
            state, self.rounds
        ):
            state.waiting = task
        else:
            self._finish_arrival(task)

    def _take_update(self, task: int, request: int) -> None:
        """Buffer an arrival's update, or drop it where the task's method does not accept it."""
        rounds, accepts = self.rounds[task], self._accepts[task]
        if accepts is not None:
            staleness = len(rounds) - self.requests.base_round[request]
            if not accepts(staleness, self._state.num_active[task]):
                rounds.dropped.append(request)
                return
        self._state.num_buffered[task] += 1
        rounds.arrived.append(request)

    def _end_cancelled(self, now: float) -> None:
        """Somebody is free again; no arrival may come before something is dispatched."""
        if not any(self._state.in_flight):
            self._state.time = now
            self._try_owed()

    def _lose(self, now: float, request: int) -> None:
        """A request is found out to be lost: its task dispatches another, and one is tried owed."""
        state = self._state
        task = state.doomed.pop(request)
        if request < self._late.number:
            state.num_late -= 1
        if state.stopped[task]:
            self._end_cancelled(now)
            return
        state.time = now
        state.num_lost += 1
        check_losses(state.num_lost)
        self.lost.append(request)
        state.in_flight[task] -= 1
        self._dispatch((task,))
        if self._limits.max_active_clients is not None:
            self._try_owed()

    def _send_waiting(self, latest: float) -> None:
        """Go on to when somebody is on, and make the dispatches that have waited for it."""
        state = self._state
        if state.heap and state.heap[0][0] <= state.time:
            return  # other work ends at this very moment
        now = self._queues.first_on(state.time)
        if now > latest:
            return
        state.time, tasks = now, state.unsent
        state.unsent = []
        for task in tasks:
            state.in_flight[task] -= 1
        self._dispatch(tasks)

    def _finish_arrival(self, task: int) -> None:
        """Aggregate if the buffer is full, then dispatch: K of the arrival's task, one owed."""
        state = self._state
        if state.num_buffered[task] >= state.round_size[task]:
            state.num_buffered[task] = 0
            state.round_size[task] = state.buffer_size[task]  # of the round that opens now
            if self._close_round(task):
                self._stop(task)
        if state.num_arrivals == self._limits.max_updates and state.end_reason is None:
            state.end_reason = "max_updates"
        if not state.stopped[task]:
            self._dispatch((task,) * state.num_missing(task))
        if self._limits.max_active_clients is not None:
            self._try_owed()
        if self._allotment.follow_flight(state, task):
            self._log_allocation()

    def _dispatch(self, tasks: Sequence[int]) -> None:
        """Send a request of each task, in order, with the present version of its model."""
        for task in tasks:
            self._queues.send(self._state, self.requests, task, len(self.rounds[task].end))

    def _try_owed(self) -> None:
        """Try one dispatch that is owed, for the task that is owed the largest part of its R."""
        task = neediest(self._state.owed, self._state.num_active)
        if task is not None:
            self._state.owed[task] -= 1
            self._dispatch((task,))  # where it is dropped again, it is owed again

    def _stop(self, task: int) -> None:
        """End a task at the current event: cancel its requests, hand its R_m on, dispatch."""
        state = self._state
        freed = state.num_active[task]
        state.stopped[task] = True
        state.num_active[task] = state.in_flight[task] = state.owed[task] = 0
        state.unsent = [other for other in state.unsent if other != task]
        if not state.open_tasks():
            state.end_reason = "finished"
            return
        state.counted_since = state.num_arrivals
        state.next_realloc = self._realloc.find_next(state, self.rounds)
        heirs = self._allotment.hand_on(state, freed)
        if self._realloc.period is None:  # with option D they come through K
            self._dispatch(heirs)
        self._log_allocation()

    def _resume(self) -> None:
        """Apply the allocation that was decided, and finish the arrival that waits for it."""
        state = self._state
        task, sigma_hat = state.waiting, state.decision
        assert task is not None
        assert sigma_hat is not None
        state.waiting = state.decision = None
        state.next_realloc = self._realloc.find_next(state, self.rounds)
        state.counted_from = [len(rounds.arrived) for rounds in self.rounds]
        for open_task, share in self._realloc.shares(state, self.rounds, sigma_hat).items():
            self._allotment.set_active(state, open_task, share)
        self._log_allocation(sigma_hat)
        self._finish_arrival(task)
