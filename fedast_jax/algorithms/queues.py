"""Every client's queue: who is asked next, when the work begins and when it is done."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from ..clients.delays import CHUNK, Dispatches
from ..clients.law_columns import LawColumns
from .async_state import AsyncState
from .log import Requests


class Drawn(NamedTuple):
    """A stretch of the stream of dispatches as columns, for the compiled loop."""

    clients: np.ndarray  # int64[turns, n]: whom each asks in turn
    steps: np.ndarray  # float64[turns, n]: their times in units of the law
    is_lost: np.ndarray  # bool[n]


class Queues:
    """Dispatches of one replicate to clients drawn with replacement; first come, first served.

    What continues from one event to the next is in the state (``heap``, ``last_request``,
    ``num_attempts``, ``in_flight``, ``owed``); here is only the stretch of draws that is in use.
    """

    def __init__(
        self, dispatches: Dispatches, scales: Sequence[float], most_active: int | None
    ) -> None:
        """Nothing is drawn yet.

        Args:
            dispatches: the replicate's clients and durations.
            scales: of each task: one request's time in units of the law.
            most_active: clients that may hold requests at a time; None: all.
        """
        self.dispatches, self._scales, self._most_active = dispatches, scales, most_active
        self._start, self._clients, self._steps = -CHUNK, [0], [0.0]

    def send(self, state: AsyncState, requests: Requests, task: int, base_round: int) -> None:
        """Dispatch a request now; one that would wake a client too many is dropped and owed."""
        place = state.num_attempts - self._start
        if not 0 <= place < CHUNK:
            place = self._turn_to_chunk(state.num_attempts)
        state.num_attempts += 1
        client, last = self._clients[place], state.last_request
        if client in last:
            start = requests.arrives_at[last[client]]
        elif self._most_active is not None and len(last) >= self._most_active:
            state.owed[task] += 1
            return
        else:
            start = state.time
        arrival = start + self._scales[task] * self._steps[place]
        request = requests.add(task, client, state.time, start, arrival, base_round)
        last[client] = request
        state.in_flight[task] += 1
        heappush(state.heap, (arrival, request))

    def next_end(self, state: AsyncState, requests: Requests) -> tuple[float, int]:
        """The end of some work: time and request; its client may be idle from now on."""
        now, request = heappop(state.heap)
        client = requests.client[request]
        if state.last_request[client] == request:
            del state.last_request[client]
        return now, request

    def first_on(self, time: float) -> float:
        """When somebody is on, from ``time`` on: at once."""
        return time

    def law_columns(self) -> LawColumns:
        """When clients are on."""
        return LawColumns()

    @property
    def loses_work(self) -> bool:
        """Whether clients that go off lose what they work on."""
        return False

    def units(self) -> tuple[np.ndarray, np.ndarray]:
        """``float64[2, tasks]``: a time's unit and a load; what a unit of load takes each client.

        The latter is ``float64[clients]``, or empty.
        """
        scales = np.array(self._scales, np.float64)
        return np.stack([scales, np.zeros_like(scales)]), np.zeros(0)

    def drawn(self, index: int) -> Drawn:
        """The stretch of dispatches with this number."""
        clients, steps = self.dispatches.chunk(index)
        return Drawn(np.array([clients]), np.array([steps]), np.zeros(len(steps), bool))

    def search(self, attempt: int, time: float) -> tuple[int, float] | None:
        """Somebody who is on, where nobody whom a dispatch asks is, and a time as in ``Drawn``."""
        del attempt, time
        return None

    def _turn_to_chunk(self, attempt: int) -> int:
        """Draw the stretch of dispatches that holds this one; return its place there."""
        self._clients, self._steps = self.dispatches.chunk(attempt // CHUNK)
        self._start = attempt - attempt % CHUNK
        return attempt % CHUNK
