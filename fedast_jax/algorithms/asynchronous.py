"""Who trains what, from which version, from when until when: the asynchronous event order.

Nothing is trained here. With a fixed allocation the order of events depends on no model value, so
it is laid out ahead on the host and the engine follows (spec section 1, Algorithm 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import heappop, heappush, heapreplace
from math import inf, isinf
from typing import Any

import numpy as np

from ..clients.delays import CHUNK, Dispatches, Stream, generator
from .allocation import (
    NUM_UPDATES,
    Rules,
    follow,
    in_turn,
    neediest,
    next_multiple,
    share_out_known,
)
from .log import EventLog, Limits, Mark, Measure, State


@dataclass(frozen=True)
class TaskPlan:
    """What the timeline must know of one task."""

    num_active: int  # R_m at the start
    buffer_size: int  # b_m at the start
    max_rounds: int | None  # T_m
    duration_scale: float  # tau_m * beta_m: one request's time in units of the law; or the trace's
    variance_scale: float = 1.0  # eta_c * eta_s * tau_m of EstimateVariances, or the rules' factor
    keeps_buffer_size: bool = False  # whether b_m stays when R_m changes


@dataclass
class _State(State):
    """What continues from one event to the next."""

    in_flight: list[int] = field(default_factory=list)  # requests that have not arrived
    owed: list[int] = field(default_factory=list)  # dispatches that the cap has dropped; A_m counts
    round_size: list[int] = field(default_factory=list)  # b_m at which the open round closes
    num_buffered: list[int] = field(default_factory=list)  # |B_m|
    heap: list[tuple[float, int]] = field(default_factory=list)  # (arrival time, request)
    last_request: dict[int, int] = field(default_factory=dict)  # client -> end of its queue
    num_attempts: int = 0  # dispatches tried, the dropped ones included
    counted_since: int = 0  # arrivals when the number of unfinished tasks last changed
    next_realloc: float = inf  # arrivals at which the requests are to be shared out anew
    waiting: int | None = None  # option D: the task whose arrival waits for a new allocation
    decision: list[float] | None = None  # and that allocation's sigma_hat, once it is known
    num_late: int = 0  # first requests that have not ended, where they train from a later version
    counted_from: list[int] = field(default_factory=list)  # arrivals of each at the reallocation


class Timeline(EventLog[_State]):
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
    ) -> None:
        """Dispatch the first requests.

        Args:
            seed: of the replicate.
            tasks, limits: what to lay out.
            dispatches: the replicate's clients and durations.
            realloc_period: with option D, arrivals between two reallocations, in units of
                (unfinished tasks * sum of R), taken as the exact number it is; None: option S.
            rules: how requests are shared out; None: as in the paper.
        """
        super().__init__(
            _State(
                num_active=[task.num_active for task in tasks],
                buffer_size=[task.buffer_size for task in tasks],
                stopped=[False] * len(tasks),
                in_flight=[0] * len(tasks),
                owed=[0] * len(tasks),
                round_size=[task.buffer_size for task in tasks],
                num_buffered=[0] * len(tasks),
                counted_from=[0] * len(tasks),
            ),
            [task.max_rounds for task in tasks],
        )
        self._seed, self._tasks, self._limits, self._dispatches = seed, tasks, limits, dispatches
        self._rules = rules or Rules()
        self._realloc_period = None if realloc_period is None else Fraction(realloc_period)
        self._granule = None if realloc_period is None else self._rules.flight_granule
        self._spreads: list[list[float]] = [[] for _ in tasks]  # per arrival, as far as known
        self._scale = [task.duration_scale for task in tasks]
        self._chunk_start, self._clients, self._steps = -CHUNK, [0], [0.0]
        self._append = [column.append for column in vars(self.requests).values()]
        self._buffer = [rounds.arrived.append for rounds in self.rounds]
        self._state.next_realloc = self._find_next_realloc()
        self._dispatch(in_turn(self._state.num_active))
        self._num_late = len(self.requests) if self._rules.starts_late else 0
        self._state.num_late = self._num_late
        self._log_allocation()

    def advance(self, until: int) -> None:
        """Lay out events until ``until`` arrivals are in, the timeline waits or it ends."""
        state = self._state
        if state.decision is not None and state.num_arrivals <= until:
            self._resume()
        latest = inf if self._limits.time_limit is None else self._limits.time_limit
        while state.num_arrivals < until and state.end_reason is None and state.waiting is None:
            self._refill(until, latest)
            if state.num_arrivals == until:
                return
            if not state.heap or state.heap[0][0] > latest:
                state.time, state.end_reason = latest, "time_limit"
                return
            self._take_event()

    def _refill(self, until: int, latest: float) -> None:
        """Lay out events as long as each is an arrival that only dispatches of its task follow.

        Nearly all are, and this loop is what planning costs: it does in local names what
        ``_take_event`` and, where one request replaces the arrival, ``_dispatch`` would, and
        leaves all else to them.
        """
        state, requests, heap = self._state, self.requests, self._state.heap
        if self._limits.max_active_clients is not None or state.num_late or not self._is_settled():
            return
        task_of, client_of, arrives_at = requests.task, requests.client, requests.arrives_at
        add_task, add_client, add_dispatch, add_start, add_arrival, add_base = self._append
        last, num_buffered, in_flight = state.last_request, state.num_buffered, state.in_flight
        num_active, round_size, scales = state.num_active, state.round_size, self._scale
        buffer_size = state.buffer_size
        ends = [rounds.end for rounds in self.rounds]
        count, attempts, chunk_start = state.num_arrivals, state.num_attempts, self._chunk_start
        limit, follows_flight = min(until, self._next_special() - 1), self._granule is not None
        while count < limit:
            now, request = heap[0]
            task, client = task_of[request], client_of[request]
            size = round_size[task]
            if (
                now > latest
                or num_buffered[task] >= size
                or (follows_flight and in_flight[task] != num_active[task])
                or len(ends[task]) + 1 == self.last_round[task]
                or not num_active[task]
            ):
                break
            if last[client] == request:
                del last[client]
            count += 1
            self._buffer[task](request)
            num_buffered[task] += 1
            if num_buffered[task] == size:
                num_buffered[task], round_size[task] = 0, buffer_size[task]
                state.time, state.num_arrivals = now, count
                self._close_round(task)
            if in_flight[task] != num_active[task]:  # R has changed
                heappop(heap)
                in_flight[task] -= 1
                missing = self._num_missing(task)
                if missing > 0:
                    state.time, state.num_attempts = now, attempts
                    self._dispatch((task,) * missing)
                    attempts, chunk_start = state.num_attempts, self._chunk_start
                state.time = now
                if self._granule is not None:
                    state.num_arrivals = count
                    self._follow_flight(task)
                continue
            place = attempts - chunk_start
            if not 0 <= place < CHUNK:
                place = self._turn_to_chunk(attempts)
                chunk_start = self._chunk_start
            attempts += 1
            client = self._clients[place]
            start = arrives_at[last[client]] if client in last else now
            request, arrival = len(arrives_at), start + scales[task] * self._steps[place]
            add_task(task)
            add_client(client)
            add_dispatch(now)
            add_start(start)
            add_arrival(arrival)
            add_base(len(ends[task]))
            last[client] = request
            heapreplace(heap, (arrival, request))
            state.time = now
        state.num_arrivals, state.num_attempts = count, attempts

    def _take_event(self) -> None:
        """One arrival, or the end of a cancelled request's work."""
        state = self._state
        now, request = heappop(state.heap)
        task, client = self.requests.task[request], self.requests.client[request]
        if state.last_request[client] == request:
            del state.last_request[client]
        if request < self._num_late:
            self._end_late(request)
        if state.stopped[task]:  # it was cancelled: only its client was still busy
            if not any(state.in_flight):  # no arrival will come before something is dispatched
                state.time = now
                self._try_owed()
            return
        state.time = now
        state.num_arrivals += 1
        state.in_flight[task] -= 1
        state.num_buffered[task] += 1
        self._buffer[task](request)
        if state.num_arrivals >= state.next_realloc and self._may_reallocate():
            state.waiting = task
        else:
            self._finish_arrival(task)

    def _next_special(self) -> float:
        """The number of the next arrival that the allocation or the limits hang on."""
        most = self._limits.max_updates
        return min(self._state.next_realloc, inf if most is None else most)

    def kept_updates(self, task: int) -> list[int]:
        """With option D the task's last V arrivals, or those of the next running estimate."""
        arrived, window = self.rounds[task].arrived, self._rules.window
        if self._realloc_period is None:
            return []
        if window is None:
            return arrived[-NUM_UPDATES:].tolist()
        if isinf(self._state.next_realloc):
            return []
        return arrived[max(0, len(self._spreads[task]) + 1 - window) :].tolist()

    def observe(self, measure: Measure) -> None:
        """Where a running mean is asked for, estimate the spread at every arrival so far."""
        state, window = self._state, self._rules.window
        if window is None or state.end_reason or isinf(state.next_realloc):
            return
        for task, rounds in enumerate(self.rounds):
            known = self._spreads[task]
            if state.stopped[task]:
                continue
            stop = len(rounds.arrived) if self.is_waiting else rounds.num_used
            known.extend([np.nan] * (min(stop, window) - len(known)))  # too few updates by then
            windows = [
                rounds.arrived[place + 1 - window : place + 1].tolist()
                for place in range(len(known), stop)
            ]
            if windows:
                known.extend(measure.spreads(task, windows))

    @property
    def is_waiting(self) -> bool:
        """Whether an arrival waits for ``decide``."""
        return self._state.waiting is not None and self._state.decision is None

    def decide(self, measure: Measure) -> None:
        """EstimateVariances (Algorithm 4) of each task's updates, then Realloc."""
        self.reallocate(
            [
                0.0
                if self._state.stopped[task]
                else self._rules.weight(self._spread(measure, task), plan.variance_scale)
                for task, plan in enumerate(self._tasks)
            ]
        )

    def _spread(self, measure: Measure, task: int) -> float:
        """Of the last V updates, or the mean since the last reallocation."""
        window = self._rules.window
        if window is None:
            return measure.spread(task, self.kept_updates(task))
        counted = self._spreads[task][max(window, self._state.counted_from[task]) :]
        return sum(counted) / len(counted)

    def reallocate(self, sigma_hat: Sequence[float]) -> None:
        """Share sum R out in proportion to ``sigma_hat`` (one number per task) and go on.

        The allocation changes when the timeline is advanced again.
        """
        self._state.decision = list(sigma_hat)

    def snapshot(self) -> dict[str, Any]:
        """As in ``EventLog``, with the estimates so far."""
        return super().snapshot() | {"spreads": [np.array(known) for known in self._spreads]}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """As in ``EventLog``."""
        super().restore(snapshot)
        self._spreads = [known.tolist() for known in snapshot["spreads"]]

    def _stop(self, task: int) -> None:
        """End a task at the current event: cancel its requests, hand its R_m on, dispatch.

        The freed requests go to the unfinished tasks in proportion to their R (remainder: one
        each, at random); b follows R (spec section 1.5).
        """
        state = self._state
        freed = state.num_active[task]
        state.stopped[task] = True
        state.num_active[task] = state.in_flight[task] = state.owed[task] = 0
        others = [other for other, stopped in enumerate(state.stopped) if not stopped]
        if not others:
            state.end_reason = "finished"
            return
        state.counted_since = state.num_arrivals
        state.next_realloc = self._find_next_realloc()
        extras = self._share_out(freed, others)
        for other, extra in zip(others, extras, strict=True):
            self._set_active(other, state.num_active[other] + extra)
        if self._realloc_period is None:  # with option D they come through K
            self._dispatch([others[place] for place in in_turn(extras)])
        self._log_allocation()

    def pending(self, task: int) -> list[int]:
        """Requests of the task that no aggregation has used yet, in order of arrival.

        Without those in flight of which only their arrival says what they train from.
        """
        if self._state.stopped[task] or self._state.end_reason:
            return []
        task_of, late = self.requests.task, self._num_late
        in_flight = sorted(
            entry for entry in self._state.heap if task_of[entry[1]] == task and entry[1] >= late
        )
        return self.buffered(task) + [request for _, request in in_flight]

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
            self._dispatch((task,) * self._num_missing(task))
        if self._limits.max_active_clients is not None:
            self._try_owed()
        if self._granule is not None and not state.stopped[task]:
            self._follow_flight(task)

    def _num_missing(self, task: int) -> int:
        """K: requests to dispatch after an arrival (spec section 1.4); none where it is below 1.

        What a task is owed counts as if it were in flight.
        """
        state = self._state
        missing = state.num_active[task] - state.in_flight[task] - state.owed[task]
        if missing < 2:
            return missing
        return min(2, missing, sum(state.num_active) - sum(state.in_flight) - sum(state.owed))

    def _find_next_realloc(self) -> float:
        """Arrivals at the next multiple of c_period since a task last ended; never for one task."""
        state = self._state
        unfinished = state.stopped.count(False)
        if self._realloc_period is None or unfinished < 2 or self._is_blocked():
            return inf
        period = self._realloc_period * unfinished * sum(plan.num_active for plan in self._tasks)
        since = state.counted_since
        return since + next_multiple(state.num_arrivals - since, period)

    def _is_blocked(self) -> bool:
        """Whether a task ended with too few rounds for there ever to be a reallocation."""
        least, stopped = self._rules.least_rounds, self._state.stopped
        return least >= 0 and any(
            is_over and len(rounds) <= least
            for is_over, rounds in zip(stopped, self.rounds, strict=True)
        )

    def _may_reallocate(self) -> bool:
        """Whether there are rounds and estimates enough, now that a reallocation is due."""
        rules, state = self._rules, self._state
        return all(
            len(rounds) > rules.least_rounds
            and (
                rules.window is None
                or stopped
                or len(rounds.arrived) > max(rules.window, counted_from)
            )
            for rounds, stopped, counted_from in zip(
                self.rounds, state.stopped, state.counted_from, strict=True
            )
        )

    def _resume(self) -> None:
        """Apply the allocation that was decided, and finish the arrival that waits for it."""
        state = self._state
        task, sigma_hat = state.waiting, state.decision
        assert task is not None
        assert sigma_hat is not None
        state.waiting = state.decision = None
        state.next_realloc = self._find_next_realloc()
        state.counted_from = [len(rounds.arrived) for rounds in self.rounds]
        open_tasks = [one for one, stopped in enumerate(state.stopped) if not stopped]
        shares = share_out_known(
            self._rules.share_out,
            [sigma_hat[one] for one in open_tasks],
            [state.num_active[one] for one in open_tasks],
            [len(self.rounds[one].arrived) for one in open_tasks],
        )
        for one, share in zip(open_tasks, shares, strict=True):
            self._set_active(one, share)
        self._log_allocation(sigma_hat)
        self._finish_arrival(task)

    def _set_active(self, task: int, num_active: int) -> None:
        """Change R_m; b_m follows in proportion to the start, or the requests in flight instead."""
        plan = self._tasks[task]
        self._state.num_active[task] = num_active
        if not plan.keeps_buffer_size and self._granule is None:
            self._set_size(task, follow(num_active, plan.num_active, plan.buffer_size))

    def _set_size(self, task: int, size: int) -> None:
        """Change b_m, which counts from the next round on, by the authors' rules at once."""
        self._state.buffer_size[task] = size
        if self._rules.at_once:
            self._state.round_size[task] = size

    def _follow_flight(self, task: int) -> None:
        """Let b_m follow the requests in flight."""
        size = self._size_in_flight(task)
        if self._state.buffer_size[task] != size:
            self._set_size(task, size)
            self._log_allocation()

    def _size_in_flight(self, task: int) -> int:
        """One update for every granule of requests in flight that is begun, at least one."""
        if self._granule is None or self._tasks[task].keeps_buffer_size:
            return self._state.buffer_size[task]
        return max(1, -(-self._state.in_flight[task] // self._granule))

    def _is_settled(self) -> bool:
        """Whether every b_m is what the requests in flight make it."""
        sizes, stopped = self._state.buffer_size, self._state.stopped
        return self._granule is None or all(
            stopped[task] or size == self._size_in_flight(task) for task, size in enumerate(sizes)
        )

    def _end_late(self, request: int) -> None:
        """A first request has ended; if it counts it trains from the version current now."""
        task = self.requests.task[request]
        self._state.num_late -= 1
        if not self._state.stopped[task]:
            self.requests.base_round[request] = len(self.rounds[task])

    def rewind(self, mark: Mark[_State]) -> None:
        """As in ``EventLog``."""
        super().rewind(mark)
        for known, num_arrived in zip(self._spreads, mark.num_arrived, strict=True):
            del known[num_arrived:]
        if self._state.num_late:
            for _, request in self._state.heap:
                if request < self._num_late:
                    self.requests.base_round[request] = 0

    def _try_owed(self) -> None:
        """Try one dispatch that is owed, for the task that is owed the largest part of its R."""
        task = neediest(self._state.owed, self._state.num_active)
        if task is not None:
            self._state.owed[task] -= 1
            self._dispatch((task,))  # where it is dropped again, it is owed again

    def _dispatch(self, tasks: Sequence[int]) -> None:
        """Send a request of each task, in order, with the present version of its model.

        Clients are drawn with replacement; what the cap on active clients drops is owed.
        """
        state, arrives_at = self._state, self.requests.arrives_at
        add_task, add_client, add_dispatch, add_start, add_arrival, add_base = self._append
        last, now, cap = state.last_request, state.time, self._limits.max_active_clients
        for task in tasks:
            place = state.num_attempts - self._chunk_start
            if not 0 <= place < CHUNK:
                place = self._turn_to_chunk(state.num_attempts)
            state.num_attempts += 1
            client = self._clients[place]
            if client in last:
                start = arrives_at[last[client]]
            elif cap is not None and len(last) >= cap:
                state.owed[task] += 1
                continue
            else:
                start = now
            request, arrival = len(arrives_at), start + self._scale[task] * self._steps[place]
            add_task(task)
            add_client(client)
            add_dispatch(now)
            add_start(start)
            add_arrival(arrival)
            add_base(len(self.rounds[task].end))
            last[client] = request
            state.in_flight[task] += 1
            heappush(state.heap, (arrival, request))

    def _turn_to_chunk(self, attempt: int) -> int:
        """Draw the stretch of dispatches that holds this one; return its place there."""
        self._clients, self._steps = self._dispatches.chunk(attempt // CHUNK)
        self._chunk_start = attempt - attempt % CHUNK
        return attempt % CHUNK

    def _share_out(self, freed: int, others: list[int]) -> list[int]:
        active = [self._state.num_active[other] for other in others]
        shares = [freed * one // sum(active) for one in active]
        random = generator(self._seed, Stream.HAND_ON, self._state.num_arrivals)
        lucky = random.permutation(len(others))[: freed - sum(shares)]
        for index in lucky:
            shares[index] += 1
        return shares
