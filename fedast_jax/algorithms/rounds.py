"""Synchronous rounds of all unfinished tasks side by side, by the rules of a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..clients.delays import Stream, generator
from ..clients.presence import always, check_losses
from .log import EventLog, Limits, Mark, Measure, State
from .round_end import end_of_round
from .round_rules import Clients, Round, SyncRules, SyncTask, Work
from .round_start import Sent, Start, start_round


@dataclass
class SyncState(State):
    """What continues from one round to the next, besides the logs."""

    free_at: dict[int, float] = field(default_factory=dict)  # clients busy beyond their round
    num_rounds: int = 0  # of all tasks together
    num_learned: int = 0  # rounds whose losses are in, where they are asked for
    closed: list[int] = field(default_factory=list)  # tasks with a new version from the last round
    num_lost: int = 0  # requests since the last arrival
    memory: Any = None


class SyncTimeline(EventLog[SyncState]):
    """Rounds side by side; b_m is the number of arrivals kept.

    A client whose work is discarded stays busy until it would have ended. A round begins when
    somebody is on, with clients that are on then, and ends when every task has what it keeps or
    nothing more to come; a task of which nothing has arrived keeps its version. It is laid out as a
    whole; arrivals are counted one by one in order of time, ties by request number, so that the
    limits are exact to the event.
    """

    def __init__(
        self,
        seed: int,
        tasks: Sequence[SyncTask],
        limits: Limits,
        clients: Clients,
        keep_first: int | None,
        rules: SyncRules,
    ) -> None:
        """Prepare the first round.

        Args:
            seed: of the replicate.
            tasks, limits, clients: what to lay out.
            keep_first: k: arrivals of a task that a round keeps at most; None: all.
            rules: the method.
        """
        super().__init__(
            SyncState([0] * len(tasks), [0] * len(tasks), [False] * len(tasks)),
            [task.max_rounds for task in tasks],
        )
        self._seed, self._tasks, self._limits = seed, tasks, limits
        self._clients, self._keep_first, self._rules = clients, keep_first, rules
        self._presence = clients.presence or always(clients.num_clients)
        self._state.memory = rules.init(len(tasks), clients.num_clients)
        self._share_clients_out()

    def advance(self, until: int) -> None:
        """Lay out whole rounds until ``until`` arrivals are in, the timeline waits or it ends."""
        state = self._state
        while state.num_arrivals < until and state.end_reason is None and not self.is_waiting:
            self._play_round()

    def cut(self, mark: Mark[SyncState], event: int, last_rounds: Mapping[int, int]) -> int:
        """As in ``EventLog``; rounds are laid out whole, so nothing is dispatched at their end."""
        self.rewind(mark)
        for task, number in last_rounds.items():
            self.last_round[task] = number
        self.advance(event)
        return len(self.requests)

    def pending(self, task: int) -> list[int]:
        """Nothing: no request outlives its round."""
        del task
        return []

    def is_cancelled(self, task: int) -> np.ndarray:
        """What a closed round discarded."""
        mine = np.asarray(self.requests.task, np.int64) == task
        return mine & (np.asarray(self.requests.base_round, np.int64) < len(self.rounds[task]))

    @property
    def is_waiting(self) -> bool:
        """Whether the last round's losses are asked for and not in yet."""
        state, asks = self._state, self._rules.learn_losses is not None
        return asks and state.end_reason is None and state.num_rounds > state.num_learned

    def kept_updates(self, task: int) -> list[int]:
        """What the last round kept, while its losses are not in."""
        return self._last_kept(task) if self.is_waiting else []

    def decide(self, measure: Measure) -> None:
        """Take the last round's losses into account."""
        assert self._rules.learn_losses is not None
        state, client = self._state, self.requests.client
        kept = [self._last_kept(task) for task in range(len(self._tasks))]
        losses = [measure.losses(task, mine) if mine else [] for task, mine in enumerate(kept)]
        clients = [[client[request] for request in mine] for mine in kept]
        state.num_learned = state.num_rounds
        state.memory = self._rules.learn_losses(state.memory, clients, losses)

    def snapshot(self) -> dict[str, Any]:
        """As in ``EventLog``, the memory as plain values."""
        content = super().snapshot()
        content["state"]["memory"] = self._rules.to_plain(self._state.memory)
        return content

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """As in ``EventLog``."""
        super().restore(snapshot)
        self._state.memory = self._rules.from_plain(snapshot["state"]["memory"])

    def _play_round(self) -> None:
        state, first, round_ = self._state, len(self.requests), self._round()
        kept_of = dict(enumerate(state.buffer_size))
        if not self._presence.is_always:
            if not self._wait_for_somebody():
                return
            round_, kept_of = self._among_those_here(round_)
        doomed = self._dispatch_round(round_)
        events, state.free_at = end_of_round(self.requests, first, kept_of, doomed, state.free_at)
        for request in events:
            if not self._receive(request, is_lost=request in doomed):
                return
        self._end_round(round_, first, [request for request in events if request not in doomed])

    def _end_round(self, round_: Round, first: int, kept: list[int]) -> None:
        """Close what has new updates, and learn from the requests since ``first``."""
        state, task_of = self._state, self.requests.task
        state.num_rounds += 1
        state.closed = sorted({task_of[request] for request in kept})
        for task in state.closed:
            if self.close_round(task):
                state.stopped[task] = True
                state.num_active[task] = state.buffer_size[task] = 0
        sent = range(first, len(self.requests))
        works = Work.of(self.requests, sent), Work.of(self.requests, kept)
        state.memory = self._rules.learn(state.memory, round_, *works)
        if not state.open_tasks():
            state.end_reason = "finished"
        else:
            self._share_clients_out()
        if state.num_arrivals == self._limits.max_updates and state.end_reason is None:
            state.end_reason = "max_updates"

    def _wait_for_somebody(self) -> bool:
        """Go on to when a client is on; False where the replicate ends before that."""
        state, limit = self._state, self._limits.time_limit
        now = self._presence.somebody_on(state.time)
        if limit is not None and now > limit:
            state.time, state.end_reason = limit, "time_limit"
            return False
        state.time = now
        return True

    def _round(self) -> Round:
        """The next one."""
        state, tasks = self._state, self._rules.tasks(self._state.open_tasks())
        return Round(
            self._seed,
            state.num_rounds,
            tasks,
            [self._tasks[task].weight for task in tasks],
            tuple(state.num_active),
            self._clients,
            self._keep_first,
        )

    def _dispatch_round(self, round_: Round) -> set[int]:
        """Send the round's requests; those that will be lost are returned."""
        state, task_of = self._state, round_.task_of
        random = generator(self._seed, Stream.DISPATCH, state.num_rounds)
        chosen = self._rules.choose(state.memory, round_, random)
        u = np.clip(random.random(len(chosen)), 2.0**-54, None)
        durations = self._clients.durations(chosen, self._tasks, task_of, u)
        are_lost = self._presence.are_lost(state.num_rounds, len(chosen))
        start = Start(state.time, state.free_at, [len(rounds) for rounds in self.rounds])
        sent = Sent(task_of, chosen, durations, are_lost)
        return start_round(self.requests, sent, start, self._presence)

    def _among_those_here(self, round_: Round) -> tuple[Round, dict[int, int]]:
        """The round with the clients that are on now, and how many arrivals each task keeps."""
        round_ = round_.among(self._presence.present(self._state.time))
        shares, kept = self._rules.share_out(round_, len(self._tasks))
        return round_._replace(shares=shares), dict(enumerate(kept))

    def _receive(self, request: int, *, is_lost: bool) -> bool:
        """Count one arrival or loss; False where the replicate ends before the round does."""
        state, limits = self._state, self._limits
        arrival = self.requests.arrives_at[request]
        if state.num_arrivals == limits.max_updates:
            state.end_reason = "max_updates"
            return False
        if limits.time_limit is not None and arrival > limits.time_limit:
            state.time, state.end_reason = limits.time_limit, "time_limit"
            return False
        state.time = arrival
        if is_lost:
            self.lost.append(request)
            state.num_lost += 1
            check_losses(state.num_lost)
            return True
        state.num_arrivals += 1
        state.num_lost = 0
        self.rounds[self.requests.task[request]].arrived.append(request)
        return True

    def _share_clients_out(self) -> None:
        """The clients of the rounds from now on, and how many arrivals each task keeps."""
        state, num_tasks = self._state, len(self._tasks)
        state.num_active, state.buffer_size = self._rules.share_out(self._round(), num_tasks)
        before = self.allocations[-1][2:4] if self.allocations else None
        if before != (tuple(state.num_active), tuple(state.buffer_size)):
            self.log_allocation()

    def _last_kept(self, task: int) -> list[int]:
        """Arrivals of the last round, of a task that goes on."""
        is_open = task in self._state.closed and not self._state.stopped[task]
        return self.rounds[task].last_used() if is_open else []
