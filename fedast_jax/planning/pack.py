"""A schedule as index arrays of fixed shape: what the compiled scan follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ..engine.engine import Program, Rounds, Slots
from .schedule import Schedule


class Shapes(NamedTuple):
    """The fixed shape of every program of a pool."""

    steps: int  # of one call
    width: int  # W
    samples: int  # length of the row that says what a client holds
    step_updates: int  # most updates that one step aggregates

    @property
    def updates(self) -> int:
        """Updates that the rounds of one call may sum; also the most rounds of one call."""
        return self.steps * self.step_updates

    @property
    def bytes(self) -> int:
        """Of one program's arrays, about: seven columns of rounds and updates; the slots' rows."""
        return 4 * (7 * self.updates + self.steps * self.width * self.samples)


class LaneColumns(NamedTuple):
    """Numbers of each lane, ``[lanes]``."""

    seed: np.ndarray
    task: np.ndarray
    client_lr: np.ndarray
    weight_decay: np.ndarray
    server_lr: np.ndarray


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
    slots = _slot_table(plan, lanes, samples, dtype)
    for first in range(0, plan.num_steps, shapes.steps):
        steps = range(first, min(first + shapes.steps, plan.num_steps))
        yield _program(plan, lanes, slots, steps, shapes, dtype)


def _slot_table(plan: Schedule, lanes: LaneColumns, samples: np.ndarray, dtype: np.dtype) -> Slots:
    lane = np.asarray(plan.slot_lane, np.int64)
    return Slots(
        base_row=np.asarray(plan.slot_base_row, np.int32),
        update_row=np.asarray(plan.slot_update_row, np.int32),
        seed=lanes.seed[lane].astype(np.uint32),
        task=lanes.task[lane].astype(np.uint32),
        request=np.asarray(plan.slot_request, np.uint32),
        client_lr=lanes.client_lr[lane].astype(dtype),
        weight_decay=lanes.weight_decay[lane].astype(dtype),
        samples=samples,
    )


def _program(
    plan: Schedule,
    lanes: LaneColumns,
    table: Slots,
    steps: range,
    shapes: Shapes,
    dtype: np.dtype,
) -> Program:
    slot_bounds = _bounds(plan.slot_stop, steps)
    counts = np.diff(slot_bounds)
    step_of = np.repeat(np.arange(len(steps)), counts)
    column_of = np.arange(slot_bounds[-1] - slot_bounds[0]) - np.repeat(
        slot_bounds[:-1] - slot_bounds[0], counts
    )

    def place(column: np.ndarray, fill: int = 0) -> np.ndarray:
        out = np.full((shapes.steps, shapes.width, *column.shape[1:]), fill, column.dtype)
        out[step_of, column_of] = column[slot_bounds[0] : slot_bounds[-1]]
        return out

    columns = table._asdict()
    slots = Slots(**{name: place(columns[name], -(name == "update_row")) for name in columns})
    round_bounds = _bounds(plan.round_stop, steps)
    first, last = round_bounds[0], round_bounds[-1]
    update_bounds = _bounds(plan.round_update_stop, range(first, last))
    rounds = Rounds(
        source_row=_padded(plan.round_source_row[first:last], shapes.updates, np.int32),
        target_row=_padded(plan.round_target_row[first:last], shapes.updates, np.int32),
        server_lr=_padded(lanes.server_lr[plan.round_lane[first:last]], shapes.updates, dtype),
        update_start=_padded(update_bounds[:-1] - update_bounds[0], shapes.updates, np.int32),
        update_stop=_padded(update_bounds[1:] - update_bounds[0], shapes.updates, np.int32),
    )
    sizes = np.diff(update_bounds)
    return Program(
        slots=slots,
        num_slots=_padded(counts, shapes.steps, np.int32),
        round_start=_padded(round_bounds[:-1] - first, shapes.steps, np.int32),
        round_stop=_padded(round_bounds[1:] - first, shapes.steps, np.int32),
        rounds=rounds,
        update_row=_padded(
            plan.update_row[update_bounds[0] : update_bounds[-1]], shapes.updates, np.int32
        ),
        weight=_padded(np.repeat(1.0 / np.maximum(sizes, 1), sizes), shapes.updates, dtype),
    )


def _bounds(stops: Sequence[int], entries: range) -> np.ndarray:
    """Where each entry starts, and where the last one ends."""
    start = stops[entries.start - 1] if entries.start else 0
    return np.asarray([start, *stops[entries.start : entries.stop]], np.int64)


def _padded(values: Sequence[int] | np.ndarray, length: int, dtype: np.dtype | type) -> np.ndarray:
    out = np.zeros(length, dtype)
    out[: len(values)] = values
    return out
