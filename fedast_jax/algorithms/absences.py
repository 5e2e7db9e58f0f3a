"""Queues of clients that come and go, of which some requests never come back."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappush

import numpy as np

from ..clients.delays import CHUNK, Dispatches
from ..clients.presence import Presence, always
from .async_state import AsyncState, TaskPlan
from .log import Requests
from .queues import Queues

WINDOW = 512  # dispatches for which clients are prepared together


class QueuesWithAbsences(Queues):
    """A dispatch reaches one of those that are on; where nobody is it waits, unsent.

    Of the clients that the stream of dispatches names in turn the first that is on is asked; where
    none of them is, one is searched for. A request that will be lost is known as such from its
    dispatch on (``doomed``): nothing is trained for it.
    """

    def __init__(
        self,
        dispatches: Dispatches,
        tasks: Sequence[TaskPlan],
        most_active: int | None,
        presence: Presence,
    ) -> None:
        """Nothing is drawn yet; the arguments are those of ``make_queues``."""
        super().__init__(dispatches, [task.duration_scale for task in tasks], most_active)
        self._presence, self._pick = presence, presence.law.pick
        self._loads = [task.load for task in tasks]
        self._transfers = dispatches.transfers
        self._names: list[list[int]] = []  # clients asked in turn
        self._times: list[list[float]] = []  # theirs, in units of the law
        self._named, self._u = np.zeros((1, CHUNK), np.int64), np.zeros(CHUNK)
        self._are_lost = [False] * CHUNK
        self._window = -1

    def send(self, state: AsyncState, requests: Requests, task: int, base_round: int) -> None:
        """Dispatch a request now, or when somebody is on; or owe it, as in ``Queues``."""
        place, now = self._find_place(state), state.time
        asked = self._ask(state, place)
        if asked is None:
            state.unsent.append(task)
            state.in_flight[task] += 1
            return
        client, step, until = asked
        state.num_attempts += 1
        last, duration = state.last_request, self._duration(task, client, step)
        if client in last:
            work = self._presence.work(client, requests.arrives_at[last[client]], duration)
        elif self._most_active is not None and len(last) >= self._most_active:
            state.owed[task] += 1
            return
        elif now + duration <= until:
            work = now, now + duration, False
        else:
            work = self._presence.work(client, now, duration)
        start, end, is_lost = work
        request = requests.add(task, client, now, start, end, base_round)
        if is_lost or self._are_lost[place]:
            state.doomed[request] = task
        last[client] = request
        state.in_flight[task] += 1
        heappush(state.heap, (end, request))

    def first_on(self, time: float) -> float:
        """When somebody is on, from ``time`` on."""
        self._window = -1  # others have been prepared
        return self._presence.first_on(time)

    def _find_place(self, state: AsyncState) -> int:
        """The next dispatch's place in the stretch of draws, once that is at hand."""
        place = state.num_attempts - self._start
        if not 0 <= place < CHUNK:
            place = self._turn_to_chunk(state.num_attempts)
        if place // WINDOW != self._window:
            self._prepare(place, state.time)
        return place

    def _ask(self, state: AsyncState, place: int) -> tuple[int, float, float] | None:
        """Who is on now, its time in units of the law, and until when it stays; None: nobody is."""
        turn, until = self._pick(self._names, place, state.time)
        if turn >= 0:
            return self._names[turn][place], self._times[turn][place], until
        found = self._presence.search(state.num_attempts, state.time)
        return None if found is None else (found, self._time_of(found, place), state.time)

    def _duration(self, task: int, client: int, step: float) -> float:
        """What a request takes, of which ``step`` is the time in units of the law."""
        if self._transfers is None:
            return self._scales[task] * step
        return self._scales[task] * step + self._loads[task] * float(self._transfers[client])

    def _time_of(self, client: int, place: int) -> float:
        """What another client takes for a dispatch, in units of the law."""
        return float(self.dispatches.times(np.array([client]), self._u[place : place + 1])[0])

    def _turn_to_chunk(self, attempt: int) -> int:
        """Draw the stretch of dispatches that holds this one; return its place there."""
        index, place = divmod(attempt, CHUNK)
        first, self._u = self.dispatches.draws(index)
        self._named = first[None]
        if not self._presence.is_always:
            self._named = np.concatenate([self._named, self.dispatches.others(index)])
        self._names = self._named.tolist()
        self._times = [self.dispatches.times(names, self._u).tolist() for names in self._named]
        self._are_lost = self._presence.are_lost(index, CHUNK).tolist()
        self._start, self._window = attempt - place, -1
        return place

    def _prepare(self, place: int, time: float) -> None:
        """Let the clients of the next dispatches be drawn together."""
        self._window = place // WINDOW
        start = self._window * WINDOW
        self._presence.law.expect(self._named[:, start : start + WINDOW], time)


def make_queues(
    dispatches: Dispatches,
    tasks: Sequence[TaskPlan],
    most_active: int | None,
    presence: Presence | None,
) -> Queues:
    """Queues of clients that are always on, or of such as come and go.

    Args:
        dispatches: the replicate's clients and durations.
        tasks: what their requests take.
        most_active: clients that may hold requests at a time; None: all.
        presence: when clients are on, and what is lost; None: they always are, and nothing.
    """
    if presence is None and dispatches.transfers is None:
        return Queues(dispatches, [task.duration_scale for task in tasks], most_active)
    return QueuesWithAbsences(
        dispatches, tasks, most_active, presence or always(dispatches.num_clients)
    )
