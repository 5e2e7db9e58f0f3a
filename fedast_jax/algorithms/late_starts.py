"""First requests that train from the version current when they end, by the authors' rules."""

from __future__ import annotations

from collections.abc import Sequence

from .async_state import AsyncState
from .log import Requests, Rounds


class LateStarts:
    """The requests below ``number``; how many of them have not ended is in the state."""

    def __init__(self) -> None:
        self.number = 0  # none

    def end(
        self, state: AsyncState, requests: Requests, rounds: Sequence[Rounds], request: int
    ) -> None:
        """One has ended; if it counts it trains from the version current now."""
        task = requests.task[request]
        state.num_late -= 1
        if not state.stopped[task]:
            requests.base_round[request] = len(rounds[task])

    def forget(self, state: AsyncState, requests: Requests) -> None:
        """Go back to where those in flight had not ended."""
        if state.num_late:
            for _, request in state.heap:
                if request < self.number:
                    requests.base_round[request] = 0
