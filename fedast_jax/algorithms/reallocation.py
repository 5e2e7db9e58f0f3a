"""Option D: when requests are shared out anew, from which updates, and how (Algorithms 3, 4)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf, isinf, nan

from .allocation import NUM_UPDATES, Rules, next_multiple, share_out_known
from .async_state import AsyncState
from .log import Measure, Rounds


class Reallocation:
    """The decisions of one replicate with option D; with option S there is never one."""

    def __init__(
        self, period: Fraction | None, rules: Rules, sum_active: int, scales: Sequence[float]
    ) -> None:
        """Before the first arrival.

        Args:
            period: arrivals between two of them, in units of (unfinished tasks * sum of R); None:
                option S.
            rules: the paper's or the authors'.
            sum_active: the sum of R, which never changes.
            scales: of each task's spread.
        """
        self.period, self._rules, self._sum_active, self._scales = period, rules, sum_active, scales
        self.spreads: list[list[float]] = [[] for _ in scales]  # per arrival, as far as known

    def find_next(self, state: AsyncState, rounds: Sequence[Rounds]) -> float:
        """Arrivals at the next multiple of c_period since a task last ended; never for one task."""
        unfinished = state.stopped.count(False)
        if self.period is None or unfinished < 2 or self._is_blocked(state, rounds):
            return inf
        period = self.period * unfinished * self._sum_active
        since = state.counted_since
        return since + next_multiple(state.num_arrivals - since, period)

    def may_happen(self, state: AsyncState, rounds: Sequence[Rounds]) -> bool:
        """Whether there are rounds and estimates enough, now that a reallocation is due."""
        return all(
            len(of_task) > self._rules.least_rounds
            and (stopped or self._has_estimates(of_task, counted_from))
            for of_task, stopped, counted_from in zip(
                rounds, state.stopped, state.counted_from, strict=True
            )
        )

    def kept_updates(self, state: AsyncState, task: int, rounds: Rounds) -> list[int]:
        """The task's last V arrivals, or those of the next running estimate."""
        if self.period is None:
            return []
        if self._rules.window is None:
            return rounds.arrived[-NUM_UPDATES:].tolist()
        if isinf(state.next_realloc):
            return []
        return rounds.arrived[max(0, len(self.spreads[task]) + 1 - self._rules.window) :].tolist()

    def must_observe(self, state: AsyncState) -> bool:
        """Whether a running mean is asked for, and a reallocation is still to come."""
        is_over = state.end_reason is not None or isinf(state.next_realloc)
        return self._rules.window is not None and not is_over

    def observe(self, state: AsyncState, rounds: Sequence[Rounds], measure: Measure) -> None:
        """Where a running mean is asked for, estimate the spread at every arrival so far."""
        window = self._rules.window
        if window is None or not self.must_observe(state):
            return
        is_waiting = state.waiting is not None and state.decision is None
        for task, of_task in enumerate(rounds):
            if not state.stopped[task]:
                stop = len(of_task.arrived) if is_waiting else of_task.num_used
                self._estimate_up_to(task, stop, of_task, window, measure)

    def sigma_hat(
        self, state: AsyncState, rounds: Sequence[Rounds], measure: Measure
    ) -> list[float]:
        """EstimateVariances (Algorithm 4) of each task's updates; 0 of one that has ended."""
        return [
            0.0
            if state.stopped[task]
            else self._rules.weight(self._spread(state, task, rounds[task], measure), scale)
            for task, scale in enumerate(self._scales)
        ]

    def shares(
        self, state: AsyncState, rounds: Sequence[Rounds], sigma_hat: Sequence[float]
    ) -> dict[int, int]:
        """R of every unfinished task (Algorithm 3)."""
        open_tasks = state.open_tasks()
        shares = share_out_known(
            self._rules.share_out,
            [sigma_hat[task] for task in open_tasks],
            [state.num_active[task] for task in open_tasks],
            [len(rounds[task].arrived) for task in open_tasks],
        )
        return dict(zip(open_tasks, shares, strict=True))

    def forget(self, num_arrived: Sequence[int]) -> None:
        """Go back to where each task had so many arrivals."""
        for known, number in zip(self.spreads, num_arrived, strict=True):
            del known[number:]

    def _is_blocked(self, state: AsyncState, rounds: Sequence[Rounds]) -> bool:
        """Whether a task ended with too few rounds for there ever to be a reallocation."""
        least = self._rules.least_rounds
        return least >= 0 and any(
            stopped and len(of_task) <= least
            for stopped, of_task in zip(state.stopped, rounds, strict=True)
        )

    def _has_estimates(self, rounds: Rounds, counted_from: int) -> bool:
        window = self._rules.window
        return window is None or len(rounds.arrived) > max(window, counted_from)

    def _estimate_up_to(
        self, task: int, stop: int, rounds: Rounds, window: int, measure: Measure
    ) -> None:
        known = self.spreads[task]
        known.extend([nan] * (min(stop, window) - len(known)))  # too few updates by then
        windows = [
            rounds.arrived[place + 1 - window : place + 1].tolist()
            for place in range(len(known), stop)
        ]
        if windows:
            known.extend(measure.spreads(task, windows))

    def _spread(self, state: AsyncState, task: int, rounds: Rounds, measure: Measure) -> float:
        """Of the last V updates, or the mean since the last reallocation."""
        window = self._rules.window
        if window is None:
            return measure.spread(task, self.kept_updates(state, task, rounds))
        counted = self.spreads[task][max(window, state.counted_from[task]) :]
        return sum(counted) / len(counted)
