"""Timelines to full batches: which requests are trained together, and in which rows they live.

A request depends only on the version it starts from, so it is ready as soon as that version
exists, long before its own arrival is processed. Every batch takes the most urgent ready requests
of all lanes; after it every round whose requests are all trained is aggregated, in order of
arrival. What is computed together changes, what the server does never.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

_LANE_BITS = 20
_LANE_MASK = (1 << _LANE_BITS) - 1
_AHEAD = 1 << 60  # requests that no round of this segment uses: only to fill batches
_PLACE_MASK = _AHEAD - 1


class OutOfRows(Exception):
    """The segment needs more rows than the pool has."""


class Marks(NamedTuple):
    """What a method must know of each of a lane's requests that a round uses, in order."""

    weights: Sequence[float]
    staleness: Sequence[int]
    previous: Sequence[int | None]  # the request of the same client that was used before
    num_active: Sequence[int]  # R_m when each new round closed


class RoundMarks(NamedTuple):
    """The same of a segment's rounds, flat, in the order of ``Schedule.update_row``."""

    weight: list[float]
    staleness: list[int]
    previous_row: list[int]  # -1: none
    start_row: list[int]
    num_active: list[int]  # per round


class LaneWork(NamedTuple):
    """What one lane (replicate, task) does in a segment."""

    requests: Sequence[int]  # not yet used at the segment's start, in order of arrival
    bases: Sequence[int]  # the version that each trains from
    round_ends: Sequence[int]  # how many of ``requests`` are in when each new round closes
    num_needed: int = 0  # at least so many must be trained, whether a round uses them or not
    marks: Marks | None = None  # of what the rounds use, where the method asks for any


class LaneRows(NamedTuple):
    """Where one lane's models live on the device."""

    version: int  # rounds so far
    versions: dict[int, int]  # version -> row
    updates: dict[int, int]  # request trained but not yet used -> row


class FreeRows(NamedTuple):
    """Rows of a pool that hold nothing."""

    versions: list[int]
    updates: list[int]

    def copy(self) -> FreeRows:
        """An independent copy."""
        return FreeRows(self.versions.copy(), self.updates.copy())


class Schedule(NamedTuple):
    """Steps of a segment, each: train its slots, then close its rounds. All columns are flat."""

    slot_lane: list[int]
    slot_request: list[int]
    slot_base_row: list[int]
    slot_update_row: list[int]
    slot_stop: list[int]  # per step: where its slots end
    round_lane: list[int]
    round_source_row: list[int]
    round_target_row: list[int]
    round_update_stop: list[int]  # per round: where its updates end
    round_stop: list[int]  # per step: where its rounds end
    update_row: list[int]
    marks: RoundMarks | None = None  # where a lane has any

    @property
    def num_steps(self) -> int:
        """Steps, those without slots included."""
        return len(self.slot_stop)

    @property
    def num_slots(self) -> int:
        """Requests trained."""
        return len(self.slot_request)

    @property
    def num_batches(self) -> int:
        """Steps that train something."""
        starts = [0, *self.slot_stop]
        return sum(stop > start for start, stop in zip(starts, self.slot_stop, strict=False))


def schedule(
    works: Sequence[LaneWork],
    lanes: Sequence[LaneRows],
    free: FreeRows,
    width: int,
    most_updates: int,
) -> tuple[Schedule, list[LaneRows]]:
    """Plan one segment of a pool by list scheduling.

    Args:
        works, lanes: one entry per lane.
        free: rows to hand out; those used are taken from its lists.
        width: slots of a batch (W).
        most_updates: updates that one step may aggregate; more wait for a step of their own.
    Returns:
        The steps, and the lanes' rows after them (nothing is freed within a segment).
    Raises:
        OutOfRows: ``free`` does not suffice; its lists are then spent.
        ValueError: a round is larger than ``most_updates``.
    """
    planner = _Planner(works, lanes, free, most_updates)
    open_lanes = planner.close_rounds(range(len(works)))
    if planner.plan.round_lane:
        planner.end_step()
    while planner.num_due or open_lanes:
        open_lanes = planner.close_rounds(open_lanes or planner.fill_batch(width))
        planner.end_step()
    after = planner.lanes()
    return mark_rounds(planner.plan, works, after), after


def mark_rounds(plan: Schedule, works: Sequence[LaneWork], lanes: Sequence[LaneRows]) -> Schedule:
    """A plan with what methods must know of its rounds, where a lane's asks for anything.

    Args:
        plan: without it.
        works: of the lanes.
        lanes: their rows after the plan.
    """
    if not any(work.marks for work in works):
        return plan
    marks, number = RoundMarks([], [], [], [], []), [0] * len(works)
    known = [work.marks or _unmarked(work) for work in works]
    for lane in plan.round_lane:
        _mark(marks, works[lane], known[lane], lanes[lane], number[lane])
        number[lane] += 1
    return plan._replace(marks=marks)


def _mark(marks: RoundMarks, work: LaneWork, known: Marks, lane: LaneRows, number: int) -> None:
    """Note what a method must know of the lane's round with this number."""
    start, end = work.round_ends[number - 1] if number else 0, work.round_ends[number]
    marks.weight.extend(known.weights[start:end])
    marks.staleness.extend(known.staleness[start:end])
    marks.previous_row.extend(
        -1 if request is None else lane.updates[request] for request in known.previous[start:end]
    )
    marks.start_row.extend(lane.versions.get(base, 0) for base in work.bases[start:end])
    marks.num_active.append(known.num_active[number])


class _Planner:
    """The state of one call of ``schedule``."""

    def __init__(
        self,
        works: Sequence[LaneWork],
        lanes: Sequence[LaneRows],
        free: FreeRows,
        most_updates: int,
    ) -> None:
        self.works, self.free, self.most_updates = works, free, most_updates
        self.plan = Schedule([], [], [], [], [], [], [], [], [], [], [])
        self.num_due = 0  # requests that a round of this segment still waits for
        self._version = [lane.version for lane in lanes]
        self._versions = [dict(lane.versions) for lane in lanes]
        self._updates = [dict(lane.updates) for lane in lanes]
        self._front = [0] * len(works)  # requests trained without a gap, from the first
        self._round = [0] * len(works)  # rounds closed in this segment
        self._waiting: list[dict[int, list[int]]] = [{} for _ in works]
        self._ready: list[int] = []
        for lane in range(len(works)):
            self._enter(lane)
        heapify(self._ready)

    def lanes(self) -> list[LaneRows]:
        """The lanes' rows as they stand."""
        return [
            LaneRows(*lane)
            for lane in zip(self._version, self._versions, self._updates, strict=True)
        ]

    def fill_batch(self, width: int) -> set[int]:
        """Give the most urgent ready requests slots; return the lanes they belong to."""
        plan, ready, count = self.plan, self._ready, min(width, len(self._ready))
        if count > len(self.free.updates):
            raise OutOfRows
        keys = [heappop(ready) for _ in range(count)]
        lanes = [key & _LANE_MASK for key in keys]
        places = [(key & _PLACE_MASK) >> _LANE_BITS for key in keys]
        rows = self.free.updates[-1 : -1 - count : -1]
        del self.free.updates[len(self.free.updates) - count :]
        for lane, place, row in zip(lanes, places, rows, strict=True):
            work = self.works[lane]
            request = work.requests[place]
            self._updates[lane][request] = row
            plan.slot_request.append(request)
            plan.slot_base_row.append(self._versions[lane][work.bases[place]])
        plan.slot_lane.extend(lanes)
        plan.slot_update_row.extend(rows)
        self.num_due -= sum(key < _AHEAD for key in keys)
        return set(lanes)

    def close_rounds(self, lanes: Iterable[int]) -> set[int]:
        """Aggregate the rounds of these lanes whose requests are all trained.

        Returns the lanes for which this step has no room left.
        """
        most = len(self.plan.update_row) + self.most_updates
        unfinished = set()
        for lane in sorted(lanes):
            work, updates = self.works[lane], self._updates[lane]
            front, ends = self._front[lane], work.round_ends
            num_requests = len(work.requests)
            while front < num_requests and work.requests[front] in updates:
                front += 1
            self._front[lane] = front
            while self._round[lane] < len(ends) and ends[self._round[lane]] <= front:
                size = self._round_size(lane)
                if size > self.most_updates:
                    raise ValueError(f"a round of {size} updates, a step takes {self.most_updates}")
                if len(self.plan.update_row) + size > most:
                    unfinished.add(lane)
                    break
                self._close_round(lane)
        return unfinished

    def end_step(self) -> None:
        """What was planned since the last call is one step of the scan."""
        self.plan.slot_stop.append(len(self.plan.slot_request))
        self.plan.round_stop.append(len(self.plan.round_lane))

    def _enter(self, lane: int) -> None:
        work, version, updates = self.works[lane], self._version[lane], self._updates[lane]
        last_due = max(work.num_needed, work.round_ends[-1] if work.round_ends else 0)
        waiting = self._waiting[lane]
        for position, (request, base) in enumerate(zip(work.requests, work.bases, strict=True)):
            if request in updates:
                continue
            key = (position << _LANE_BITS) + lane
            if position >= last_due:
                key += _AHEAD
            else:
                self.num_due += 1
            if base <= version:
                self._ready.append(key)
            else:
                waiting.setdefault(base, []).append(key)

    def _round_size(self, lane: int) -> int:
        ends, index = self.works[lane].round_ends, self._round[lane]
        return ends[index] - (ends[index - 1] if index else 0)

    def _close_round(self, lane: int) -> None:
        plan, work, index = self.plan, self.works[lane], self._round[lane]
        if not self.free.versions:
            raise OutOfRows
        source = self._versions[lane][self._version[lane]]
        target = self.free.versions.pop()
        start, end = work.round_ends[index - 1] if index else 0, work.round_ends[index]
        updates = self._updates[lane]
        plan.update_row.extend([updates[request] for request in work.requests[start:end]])
        plan.round_lane.append(lane)
        plan.round_source_row.append(source)
        plan.round_target_row.append(target)
        plan.round_update_stop.append(len(plan.update_row))
        self._round[lane] += 1
        self._version[lane] += 1
        self._versions[lane][self._version[lane]] = target
        for key in self._waiting[lane].pop(self._version[lane], ()):
            heappush(self._ready, key)


def _unmarked(work: LaneWork) -> Marks:
    """Of a lane whose method asks for nothing, beside others."""
    number = len(work.requests)
    return Marks([1.0] * number, [0] * number, [None] * number, [0] * len(work.round_ends))


def mean_wave_width(bases: Sequence[int], round_ends: Sequence[int]) -> float:
    """Mean number of one lane's requests that can be trained at once, with no bound on W.

    Args:
        bases: the version each request trains from, in order of arrival.
        round_ends: arrivals in when each round closes.
    """
    ready_after, start, num_waves = [0], 0, 0  # ready_after[v]: waves until version v exists
    for end in round_ends:
        wave = max((ready_after[base] for base in bases[start:end]), default=-1) + 1
        ready_after.append(max(ready_after[-1], wave))
        num_waves, start = ready_after[-1], end
    return start / num_waves if num_waves else 0.0
