"""What Algorithm 2 starts from, and what continues from one of its events to the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from .log import State


@dataclass(frozen=True)
class TaskPlan:
    """What the timeline must know of one task."""

    num_active: int  # R_m at the start
    buffer_size: int  # b_m at the start
    max_rounds: int | None  # T_m
    duration_scale: float  # tau_m * beta_m: one request's time in units of the law; or the trace's
    variance_scale: float = 1.0  # eta_c * eta_s * tau_m of EstimateVariances, or the rules' factor
    keeps_buffer_size: bool = False  # whether b_m stays when R_m changes
    accepts: Callable[[int, int], bool] | None = None  # (staleness, R_m); None: takes everything
    load: float = 0.0  # law "devices": of what is sent, per second that a client needs for a byte


@dataclass
class AsyncState(State):
    """Besides the logs; it is copied at every mark, and saved in checkpoints."""

    in_flight: list[int] = field(default_factory=list)  # not arrived; those unsent count
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
    unsent: list[int] = field(default_factory=list)  # tasks whose dispatch waits, nobody being on
    doomed: dict[int, int] = field(default_factory=dict)  # requests that will be lost -> their task
    num_lost: int = 0  # since the last arrival

    def num_missing(self, task: int) -> int:
        """K: requests to dispatch after an arrival (Algorithm 2, option D); none below 1.

        What a task is owed counts as if it were in flight.
        """
        missing = self.num_active[task] - self.in_flight[task] - self.owed[task]
        if missing < 2:
            return missing
        return min(2, missing, sum(self.num_active) - sum(self.in_flight) - sum(self.owed))


def first_state(tasks: Sequence[TaskPlan]) -> AsyncState:
    """Before anything is dispatched."""
    return AsyncState(
        num_active=[task.num_active for task in tasks],
        buffer_size=[task.buffer_size for task in tasks],
        stopped=[False] * len(tasks),
        in_flight=[0] * len(tasks),
        owed=[0] * len(tasks),
        round_size=[task.buffer_size for task in tasks],
        num_buffered=[0] * len(tasks),
        counted_from=[0] * len(tasks),
    )
