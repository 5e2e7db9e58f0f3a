"""R_m and b_m of every task as they change while a replicate of Algorithm 2 goes on."""

from __future__ import annotations

from collections.abc import Sequence

from ..clients.delays import Stream, generator
from .allocation import Rules, follow, hand_on, in_turn
from .async_state import AsyncState, TaskPlan


class Allotment:
    """How many requests each task may have in flight, and how many updates fill its buffer."""

    def __init__(
        self, seed: int, tasks: Sequence[TaskPlan], rules: Rules, *, is_shared_anew: bool
    ) -> None:
        """As the tasks start.

        Args:
            seed: of the replicate.
            tasks: what they start with.
            rules: the paper's or the authors'.
            is_shared_anew: with option D; with option S no buffer follows the flight.
        """
        self.seed, self.tasks, self.rules = seed, tasks, rules
        self._granule = rules.flight_granule if is_shared_anew else None

    @property
    def follows_flight(self) -> bool:
        """Whether buffers may change with every arrival."""
        return self._granule is not None

    def hand_on(self, state: AsyncState, freed: int) -> list[int]:
        """Give what an ended task has freed to the unfinished ones, in proportion to their R.

        What is left over goes one each to tasks at random; b follows R.

        Returns:
            The task of each freed request, in the order in which they can be dispatched.
        """
        heirs = state.open_tasks()
        random = generator(self.seed, Stream.HAND_ON, state.num_arrivals)
        extras = hand_on(freed, [state.num_active[heir] for heir in heirs], random)
        for heir, extra in zip(heirs, extras, strict=True):
            self.set_active(state, heir, state.num_active[heir] + extra)
        return [heirs[place] for place in in_turn(extras)]

    def set_active(self, state: AsyncState, task: int, num_active: int) -> None:
        """Change R_m; b_m follows in proportion to the start, or the requests in flight instead."""
        plan = self.tasks[task]
        state.num_active[task] = num_active
        if not plan.keeps_buffer_size and self._granule is None:
            self._set_size(state, task, follow(num_active, plan.num_active, plan.buffer_size))

    def follow_flight(self, state: AsyncState, task: int) -> bool:
        """Let b_m be one for every granule of requests in flight that is begun, at least one.

        Returns:
            Whether it has changed.
        """
        if self._granule is None or state.stopped[task] or self.tasks[task].keeps_buffer_size:
            return False
        size = max(1, -(-state.in_flight[task] // self._granule))
        if state.buffer_size[task] == size:
            return False
        self._set_size(state, task, size)
        return True

    def _set_size(self, state: AsyncState, task: int, size: int) -> None:
        """Change b_m, which counts from the next round on, by the authors' rules at once."""
        state.buffer_size[task] = size
        if self.rules.at_once:
            state.round_size[task] = size
