"""Queues of clients that come and go, of which some requests never come back."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappush

import numpy as np

from ..clients.delays import CHUNK, Dispatches
from ..clients.law_columns import LawColumns
from ..clients.presence import Presence, always
from .async_state import AsyncState, TaskPlan
from .log import Requests
from .queues import Drawn, Queues

WINDOW = 512  # dispatches, at most, for which clients are prepared together


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
        self._are_lost: list[bool] = []
        self._start = 0  # of the window whose columns these are
        self._drawn: tuple[int, np.ndarray, Drawn] | None = None  # a stretch's number, u, all else

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
        self._are_lost = []  # others have been prepared
        return self._presence.first_on(time)

    def law_columns(self) -> LawColumns:
        """As in ``Queues``."""
        return self._presence.law.columns()

    @property
    def loses_work(self) -> bool:
        """As in ``Queues``."""
        return self._presence.loses_work

    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """As in ``Queues``."""
        per_load = np.zeros(0) if self._transfers is None else np.ascontiguousarray(self._transfers)
        return np.array([self._scales, self._loads], np.float64), per_load

    def drawn(self, index: int) -> Drawn:
        """As in ``Queues``."""
        return self._stretch(index)[1]

    def _stretch(self, index: int) -> tuple[np.ndarray, Drawn]:
        """What times are drawn from, and all else; the last one is kept."""
        if self._drawn is None or self._drawn[0] != index:
            first, u = self.dispatches.draws(index)
            named = first[None]
            if not self._presence.is_always:
                named = np.concatenate([named, self.dispatches.others(index)])
            times = np.stack([self.dispatches.times(names, u) for names in named])
            drawn = Drawn(named, times, self._presence.are_lost(index, CHUNK))
            self._drawn = index, u, drawn
        return self._drawn[1:]

    def search(self, attempt: int, time: float) -> tuple[int, float] | None:
        """As in ``Queues``."""
        found, (index, place) = self._presence.search(attempt, time), divmod(attempt, CHUNK)
        if found is None:
            return None
        u = self._stretch(index)[0][place : place + 1]
        return found, float(self.dispatches.times(np.array([found]), u)[0])

    def _find_place(self, state: AsyncState) -> int:
        """The next dispatch's place in the window of draws, once that is at hand."""
        place = state.num_attempts - self._start
        if not 0 <= place < len(self._are_lost):
            place = self._turn_to_window(state.num_attempts, state.time)
        return place

    def _ask(self, state: AsyncState, place: int) -> tuple[int, float, float] | None:
        """Who is on now, its time in units of the law, and until when it stays; None: nobody is."""
        turn, until = self._pick(self._names, place, state.time)
        if turn >= 0:
            return self._names[turn][place], self._times[turn][place], until
        found = self.search(state.num_attempts, state.time)
        return None if found is None else (*found, state.time)

    def _duration(self, task: int, client: int, step: float) -> float:
        """What a request takes, of which ``step`` is the time in units of the law."""
        if self._transfers is None:
            return self._scales[task] * step
        return self._scales[task] * step + self._loads[task] * float(self._transfers[client])

    def _turn_to_window(self, attempt: int, time: float) -> int:
        """Have the draws around a dispatch at hand, and its clients drawn; its place there."""
        index, place = divmod(attempt, CHUNK)
        first = place // WINDOW * WINDOW
        named, times, are_lost = (one[..., first : first + WINDOW] for one in self.drawn(index))
        self._names, self._times = named.tolist(), times.tolist()
        self._are_lost = are_lost.tolist()
        self._presence.law.expect(named, time)
        self._start = attempt - place + first
        return place - first


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
