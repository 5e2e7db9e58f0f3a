"""What continues from one event of Algorithm 2 to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from .log import State


@dataclass
class AsyncState(State):
    """Besides the logs; it is copied at every mark, and saved in checkpoints."""

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
