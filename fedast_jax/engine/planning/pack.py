"""A schedule as index arrays of fixed shape: what the compiled scan follows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from ..aggregate import SUMMED, Array, More, Rounds
from ..engine import Program, Slots
from .schedule import RoundMarks, Schedule

BEYOND = 1 << 30  # from here on: rows that no pool has, so that nothing is written


class Shapes(NamedTuple):
    """The fixed shape of every program of a pool."""

    steps: int  # of one call
    width: int  # W
    samples: int  # length of the row that says what a client holds
    ticks: int  # most of a step; what is over makes steps of its own, without slots
    rounds_at_once: int  # K: of different lanes, in a tick
    summed: int = SUMMED  # updates of a round, in a tick
    whole: bool = False  # whether a tick takes whole rounds, with all that is known of them
    proximal: bool = False  # whether slots have a proximal term

    @property
    def bytes(self) -> int:
        """Of one program's arrays, about: the columns of its ticks, and the slots' rows."""
        rounds = self.ticks * self.rounds_at_once * (6 + (5 if self.whole else 2) * self.summed)
        return 4 * self.steps * (rounds + self.width * self.samples)


class LaneColumns(NamedTuple):
    """Numbers of each lane, ``[lanes]``."""

    seed: np.ndarray
    task: np.ndarray
    client_lr: np.ndarray
    weight_decay: np.ndarray
    server_lr: np.ndarray
    proximal: np.ndarray | None = None
    num_clients: np.ndarray | None = None
    numbers: np.ndarray | None = None  # [lanes, H]: hyperparameters, for a rule that takes any


class _Parts(NamedTuple):
    """What the ticks do, one entry for each part of a round; in the order of the plan."""

    round: np.ndarray
    first_update: np.ndarray  # place in the plan's ``update_row``
    num_updates: np.ndarray
    is_first: np.ndarray
    is_last: np.ndarray


def pack(
    plan: Schedule, lanes: LaneColumns, samples: np.ndarray, shapes: Shapes, dtype: np.dtype
) -> Iterator[Program]:
    """Cut a segment into calls of ``shapes.steps`` steps.

    Args:
        plan: the segment's steps.
        lanes: per-lane numbers.
        samples: ``int32[slots of the plan, samples per client]``, the data of each slot's client.
        shapes: the fixed shape of every call.
        dtype: of the learning rates and weights.
    """
    if not plan.num_steps:
        return
    parts = _divide_rounds(plan, shapes.summed)
    step, tick, column = _place_parts(plan, parts, shapes.rounds_at_once)
    num_ticks = np.zeros(plan.num_steps, np.int64)
    np.maximum.at(num_ticks, step, tick + 1)
    pieces = np.maximum(-(-num_ticks // shapes.ticks), 1)
    begin = np.cumsum(pieces) - pieces  # where each step of the plan begins
    num_steps = -(-int(pieces.sum()) // shapes.steps) * shapes.steps
    places = begin[step] + tick // shapes.ticks, tick % shapes.ticks, column
    program = Program(
        *_slots(plan, lanes, samples, begin, shapes, num_steps, dtype),
        *_rounds(plan, lanes, parts, places, shapes, num_steps, dtype),
    )
    for first in range(0, num_steps, shapes.steps):
        yield _cut(program, slice(first, first + shapes.steps))


def _divide_rounds(plan: Schedule, most: int) -> _Parts:
    """Rounds in parts of up to ``most`` updates."""
    stops = np.asarray(plan.round_update_stop, np.int64)
    sizes = np.diff(stops, prepend=0)
    counts = np.maximum(-(-sizes // most), 1)
    number = np.repeat(np.arange(len(sizes)), counts)
    offset = most * _within(counts)
    left = sizes[number] - offset
    first = (stops - sizes)[number] + offset
    return _Parts(number, first, np.minimum(left, most), offset == 0, left <= most)


def _place_parts(
    plan: Schedule, parts: _Parts, num_columns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step, tick and column of every part: a lane keeps to one column, in its order."""
    step = np.repeat(np.arange(plan.num_steps), np.diff(plan.round_stop, prepend=0))
    lane = np.asarray(plan.round_lane, np.int64)
    is_new = (np.diff(step, prepend=-1) != 0) | (np.diff(lane, prepend=-1) != 0)
    rank = np.cumsum(is_new)  # of a step's lanes, from any number on
    step, column = step[parts.round], rank[parts.round] % num_columns
    tick, key = np.empty(len(step), np.int64), step * num_columns + column
    order = np.argsort(key, kind="stable")
    tick[order] = _within(np.unique(key, return_counts=True)[1])
    return step, tick, column


def _slots(
    plan: Schedule,
    lanes: LaneColumns,
    samples: np.ndarray,
    begin: np.ndarray,
    shapes: Shapes,
    num_steps: int,
    dtype: np.dtype,
) -> tuple[Slots, np.ndarray]:
    """The slots in their steps, and how many there are in each."""
    shape = num_steps, shapes.width
    counts = np.diff(plan.slot_stop, prepend=0)
    places = np.repeat(begin, counts), _within(counts)
    lane = np.asarray(plan.slot_lane, np.int64)
    columns = Slots(
        base_row=np.asarray(plan.slot_base_row, np.int32),
        update_row=np.asarray(plan.slot_update_row, np.int32),
        seed=lanes.seed[lane].astype(np.uint32),
        task=lanes.task[lane].astype(np.uint32),
        request=np.asarray(plan.slot_request, np.uint32),
        client_lr=lanes.client_lr[lane].astype(dtype),
        weight_decay=lanes.weight_decay[lane].astype(dtype),
        samples=samples,
        proximal=_proximal(lanes, lane, dtype) if shapes.proximal else None,
    )
    table = jax.tree.map(lambda column: _table(column, places, shape), columns)
    table = table._replace(update_row=_rows(columns.update_row, places, shape))
    return table, _table(counts.astype(np.int32), (begin,), shape[:1])


def _proximal(lanes: LaneColumns, lane: np.ndarray, dtype: np.dtype) -> np.ndarray:
    assert lanes.proximal is not None
    return lanes.proximal[lane].astype(dtype)


def _rounds(
    plan: Schedule,
    lanes: LaneColumns,
    parts: _Parts,
    places: tuple[np.ndarray, np.ndarray, np.ndarray],
    shapes: Shapes,
    num_steps: int,
    dtype: np.dtype,
) -> tuple[Rounds, np.ndarray]:
    """The parts of rounds in their ticks, and the number of ticks of every step."""
    shape = num_steps, shapes.ticks, shapes.rounds_at_once
    columns = _round_columns(plan, lanes, parts, shapes, dtype)
    tables = {name: _table(column, places, shape) for name, column in columns.items()}
    target = np.asarray(plan.round_target_row, np.int32)
    target_row = _rows(target[parts.round], places, shape)
    is_first = ~_table(~parts.is_first, places, shape)
    num_ticks = np.zeros(shape[0], np.int32)
    np.maximum.at(num_ticks, places[0], (places[1] + 1).astype(np.int32))
    more = None
    if shapes.whole:
        known = _more(plan, lanes, parts, shapes.summed, dtype)
        more = More(*(_table(column, places, shape) for column in known))
    return Rounds(target_row=target_row, is_first=is_first, more=more, **tables), num_ticks


def _round_columns(
    plan: Schedule, lanes: LaneColumns, parts: _Parts, shapes: Shapes, dtype: np.dtype
) -> dict[str, np.ndarray]:
    """What each part reads and how it counts, a row a part, by the fields of ``Rounds``."""
    source, lane, rows = (
        np.asarray(column, np.int64)
        for column in (plan.round_source_row, plan.round_lane, [*plan.update_row, 0])
    )
    update = _places(parts, shapes.summed)
    summed = update >= 0
    weight = 1.0 / np.maximum(np.bincount(parts.round, parts.num_updates), 1)
    weight = 1.0 if shapes.whole else weight[parts.round, None]
    if plan.marks is not None:
        weight = weight * np.asarray([*plan.marks.weight, 0.0])[update]
    return {
        "source_row": source[parts.round].astype(np.int32),
        "server_lr": lanes.server_lr[lane][parts.round].astype(dtype),
        "is_last": parts.is_last,
        "num_updates": parts.num_updates.astype(np.int32),
        "update_row": rows[update].astype(np.int32),
        "weight": np.where(summed, weight, 0).astype(dtype),
    }


def _places(parts: _Parts, most: int) -> np.ndarray:
    """Of each part's updates: their place in the plan's ``update_row``, -1 beyond the last."""
    used = np.arange(most) < parts.num_updates[:, None]
    return np.where(used, parts.first_update[:, None] + np.arange(most), -1)


def _more(plan: Schedule, lanes: LaneColumns, parts: _Parts, most: int, dtype: np.dtype) -> More:
    """What a rule that sees every update is told of each round; parts are whole rounds."""
    marks = plan.marks or RoundMarks([], [], [], [], [])
    update = _places(parts, most)
    lane = np.asarray(plan.round_lane, np.int64)[parts.round]
    assert lanes.num_clients is not None
    assert lanes.numbers is not None
    return More(
        np.asarray([*marks.staleness, 0])[update].astype(dtype),
        np.asarray([*marks.previous_row, -1])[update].astype(np.int32),
        np.asarray([*marks.start_row, 0])[update].astype(np.int32),
        np.asarray(marks.num_active, np.int64)[parts.round].astype(dtype),
        lanes.num_clients[lane].astype(dtype),
        lanes.numbers[lane].astype(dtype),
    )


def _within(counts: np.ndarray) -> np.ndarray:
    """``0 .. count - 1`` for each of the counts, one after another."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


def _table(values: Array, places: tuple, shape: tuple[int, ...]) -> np.ndarray:
    """Values at their places, zeros elsewhere."""
    table = np.zeros((*shape, *values.shape[1:]), values.dtype)
    table[places] = values
    return table


def _rows(values: Array, places: tuple, shape: tuple[int, ...]) -> np.ndarray:
    """Rows to write, and elsewhere rows that do not exist, no two alike side by side."""
    table = np.tile(np.arange(BEYOND, BEYOND + shape[-1], dtype=np.int32), (*shape[:-1], 1))
    table[places] = values
    return table


def _cut(program: Program, steps: slice) -> Program:
    slots, num_slots, rounds, num_ticks = program
    return Program(
        jax.tree.map(lambda column: column[steps], slots),
        num_slots[steps],
        jax.tree.map(lambda column: column[steps], rounds),
        num_ticks[steps],
    )
