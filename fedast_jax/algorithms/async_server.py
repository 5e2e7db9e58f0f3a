"""What Algorithm 2's server does at every event (Askin et al., UAI 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..clients.presence import check_losses
from .allocation import neediest
from .allotment import Allotment
from .async_state import AsyncState
from .late_starts import LateStarts
from .log import EventLog, Limits
from .queues import Queues
from .reallocation import Reallocation


class Server:
    """Buffers what arrives, closes rounds, and keeps R_m requests of every task in flight.

    What comes of it stands in the log.
    """

    def __init__(
        self,
        log: EventLog[AsyncState],
        limits: Limits,
        queues: Queues,
        allotment: Allotment,
        realloc: Reallocation,
        accepts: Sequence[Callable[[int, int], bool] | None],
        late: LateStarts,
    ) -> None:
        """Nothing happens yet.

        Args:
            log: to write to; its state is what continues.
            limits: where the replicate ends.
            queues: of the clients.
            allotment: R_m and b_m.
            realloc: when they are shared out anew.
            accepts: of each task: whether it takes an update; None: it takes every one.
            late: first requests that train from a later version.
        """
        self._log, self._limits, self._queues = log, limits, queues
        self._allotment, self._realloc = allotment, realloc
        self._accepts, self._late = accepts, late

    def take_event(self) -> None:
        """One arrival, the loss of a request, or the end of a cancelled request's work."""
        log, state = self._log, self._log.state
        now, request = self._queues.next_end(state, log.requests)
        task = log.requests.task[request]
        if state.doomed and request in state.doomed:
            self._lose(now, request)
            return
        if request < self._late.number:
            self._late.end(state, log.requests, log.rounds, request)
        if state.stopped[task]:  # it was cancelled: only its client was still busy
            self._end_cancelled(now)
            return
        state.time = now
        self._arrive(task, request)

    def send_waiting(self, latest: float) -> None:
        """Go on to when somebody is on, and make the dispatches that have waited for it."""
        state = self._log.state
        if state.heap and state.heap[0][0] <= state.time:
            return  # other work ends at this very moment
        now = self._queues.first_on(state.time)
        if now > latest:
            return
        state.time, tasks = now, state.unsent
        state.unsent = []
        for task in tasks:
            state.in_flight[task] -= 1
        self.dispatch(tasks)

    def resume(self) -> None:
        """Apply the allocation that was decided, and finish the arrival that waits for it."""
        state = self._log.state
        task, sigma_hat = state.waiting, state.decision
        assert task is not None
        assert sigma_hat is not None
        state.waiting = state.decision = None
        state.next_realloc = self._realloc.find_next(state, self._log.rounds)
        state.counted_from = [len(rounds.arrived) for rounds in self._log.rounds]
        for open_task, share in self._realloc.shares(state, self._log.rounds, sigma_hat).items():
            self._allotment.set_active(state, open_task, share)
        self._log.log_allocation(sigma_hat)
        self._finish_arrival(task)

    def dispatch(self, tasks: Sequence[int]) -> None:
        """Send a request of each task, in order, with the present version of its model."""
        log = self._log
        for task in tasks:
            self._queues.send(log.state, log.requests, task, len(log.rounds[task].end))

    def _arrive(self, task: int, request: int) -> None:
        """Count an arrival and take its update; what follows may wait for a decision."""
        state = self._log.state
        state.num_arrivals += 1
        state.num_lost = 0
        state.in_flight[task] -= 1
        self._take_update(task, request)
        is_due = state.num_arrivals >= state.next_realloc
        if is_due and self._realloc.may_happen(state, self._log.rounds):
            state.waiting = task
        else:
            self._finish_arrival(task)

    def _take_update(self, task: int, request: int) -> None:
        """Buffer an arrival's update, or drop it where the task's method does not accept it."""
        rounds, accepts = self._log.rounds[task], self._accepts[task]
        if accepts is not None:
            staleness = len(rounds) - self._log.requests.base_round[request]
            if not accepts(staleness, self._log.state.num_active[task]):
                rounds.dropped.append(request)
                return
        self._log.state.num_buffered[task] += 1
        rounds.arrived.append(request)

    def _finish_arrival(self, task: int) -> None:
        """Aggregate if the buffer is full, then dispatch: K of the arrival's task, one owed."""
        state = self._log.state
        if state.num_buffered[task] >= state.round_size[task]:
            state.num_buffered[task] = 0
            state.round_size[task] = state.buffer_size[task]  # of the round that opens now
            if self._log.close_round(task):
                self._stop(task)
        if state.num_arrivals == self._limits.max_updates and state.end_reason is None:
            state.end_reason = "max_updates"
        if not state.stopped[task]:
            self.dispatch((task,) * state.num_missing(task))
        if self._limits.max_active_clients is not None:
            self._try_owed()
        if self._allotment.follow_flight(state, task):
            self._log.log_allocation()

    def _stop(self, task: int) -> None:
        """End a task at the current event: cancel its requests, hand its R_m on, dispatch."""
        state = self._log.state
        freed = state.num_active[task]
        state.stopped[task] = True
        state.num_active[task] = state.in_flight[task] = state.owed[task] = 0
        state.unsent = [other for other in state.unsent if other != task]
        if not state.open_tasks():
            state.end_reason = "finished"
            return
        state.counted_since = state.num_arrivals
        state.next_realloc = self._realloc.find_next(state, self._log.rounds)
        heirs = self._allotment.hand_on(state, freed)
        if self._realloc.period is None:  # with option D they come through K
            self.dispatch(heirs)
        self._log.log_allocation()

    def _lose(self, now: float, request: int) -> None:
        """A request is found out to be lost: its task dispatches another, and one is tried owed."""
        state = self._log.state
        task = state.doomed.pop(request)
        if request < self._late.number:
            state.num_late -= 1
        if state.stopped[task]:
            self._end_cancelled(now)
            return
        state.time = now
        state.num_lost += 1
        check_losses(state.num_lost)
        self._log.lost.append(request)
        state.in_flight[task] -= 1
        self.dispatch((task,))
        if self._limits.max_active_clients is not None:
            self._try_owed()

    def _end_cancelled(self, now: float) -> None:
        """Somebody is free again; no arrival may come before something is dispatched."""
        if not any(self._log.state.in_flight):
            self._log.state.time = now
            self._try_owed()

    def _try_owed(self) -> None:
        """Try one dispatch that is owed, for the task that is owed the largest part of its R."""
        task = neediest(self._log.state.owed, self._log.state.num_active)
        if task is not None:
            self._log.state.owed[task] -= 1
            self.dispatch((task,))  # where it is dropped again, it is owed again
