"""Schedules on symbols: what is trained when, in which rows, and how full the batches are."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from conftest import scenarios
from hypothesis import given
from hypothesis import strategies as st

from fedast_jax.engine.planning.schedule import (
    FreeRows,
    LaneRows,
    LaneWork,
    OutOfRows,
    Schedule,
    mean_wave_width,
    schedule,
)
from fedast_jax.oracle import Asynchronous, SymbolicLearner, simulate_one_by_one
from fedast_jax.run.executor import PlanOnly
from fedast_jax.run.resolve import make_config
from fedast_jax.study.fuzz.drive import run_driver
from fedast_jax.study.fuzz.symbols import SymbolicDevice

# One lane, R = 2, b = 1, W = 2. Requests 0 and 1 start from version 0; each round's dispatch
# brings one more: 2 from version 1, 3 from version 2, 4 from version 3.
#
#   step 0 trains 0, 1: rounds 1 and 2 close, versions 1 and 2 exist
#   step 1 trains 2, 3: rounds 3 and 4 close
#   step 2 trains 4: round 5 closes
BY_HAND = LaneWork(requests=[0, 1, 2, 3, 4], bases=[0, 0, 1, 2, 3], round_ends=[1, 2, 3, 4, 5])


def test_one_lane_by_hand():
    free = FreeRows([15, 14, 13, 12, 11], [5, 4, 3, 2, 1])
    plan, (rows,) = schedule([BY_HAND], [LaneRows(0, {0: 10}, {})], free, 2, 8)
    assert (plan.slot_request, plan.slot_stop) == ([0, 1, 2, 3, 4], [2, 4, 5])
    assert plan.round_stop == [2, 4, 5]
    assert plan.slot_base_row == [10, 10, 11, 12, 13]
    assert plan.slot_update_row == plan.update_row == [1, 2, 3, 4, 5]
    assert plan.round_source_row == [10, 11, 12, 13, 14]
    assert plan.round_target_row == [11, 12, 13, 14, 15]
    assert rows == LaneRows(5, dict(enumerate(range(10, 16))), dict(enumerate(range(1, 6))))
    assert (free.versions, free.updates) == ([], [])
    assert (plan.num_steps, plan.num_slots, plan.num_batches) == (3, 5, 3)


@pytest.mark.parametrize("free", [FreeRows([1] * 4, [1] * 5), FreeRows([1] * 5, [1] * 4)])
def test_too_few_rows_are_reported(free):
    with pytest.raises(OutOfRows):
        schedule([BY_HAND], [LaneRows(0, {0: 10}, {})], free, 2, 8)


def test_nothing_to_do_is_an_empty_schedule():
    """A segment in which no round closes, as when a run ends before its first round."""
    work = LaneWork(requests=[0, 1], bases=[0, 0], round_ends=[])
    plan, (rows,) = schedule([work], [LaneRows(0, {0: 0}, {})], FreeRows([1], [1]), 2, 8)
    assert (plan.num_steps, plan.num_slots, plan.num_batches) == (0, 0, 0)
    assert rows == LaneRows(0, {0: 0}, {})


def test_rounds_of_trained_requests_close_before_the_first_batch():
    """Trained ahead in the segment before: the first step has no slots."""
    work = LaneWork(requests=[0, 1, 2], bases=[0, 0, 1], round_ends=[2, 3])
    rows = LaneRows(0, {0: 0}, {0: 7, 1: 8})
    plan, _ = schedule([work], [rows], FreeRows([2, 1], [9]), 4, 8)
    assert (plan.slot_stop, plan.round_stop) == ([0, 1], [1, 2])
    assert plan.num_batches == 1
    assert (plan.slot_base_row, plan.update_row) == ([1], [7, 8, 9])


def test_mean_wave_width_by_hand():
    """Waves {0, 1}, {2, 3}, {4}: five requests in three."""
    assert mean_wave_width(BY_HAND.bases, BY_HAND.round_ends) == pytest.approx(5 / 3)
    assert mean_wave_width([], []) == 0.0


@st.composite
def works(draw) -> LaneWork:
    """One lane from its first event: versions are drawn below what the arrival order allows."""
    sizes = draw(st.lists(st.integers(1, 4), max_size=8))
    extra = draw(st.integers(0, 4))
    ends = np.cumsum(sizes).tolist()
    num_requests = sum(sizes) + extra
    rounds_before = [sum(end <= place for end in ends) for place in range(num_requests)]
    bases = [draw(st.integers(0, most)) for most in rounds_before]
    numbers = draw(st.permutations(range(num_requests)))
    return LaneWork(numbers, bases, ends)


class Steps(NamedTuple):
    """A schedule, taken apart: per step its slots (lane, request) and rounds (lane, updates)."""

    slots: list[list[tuple[int, int]]]
    rounds: list[list[tuple[int, list[int]]]]


def taken_apart(plan: Schedule) -> Steps:
    slots, rounds, slot, closed = [], [], 0, 0
    for slot_stop, round_stop in zip(plan.slot_stop, plan.round_stop, strict=True):
        pairs = zip(plan.slot_lane[slot:slot_stop], plan.slot_request[slot:slot_stop], strict=True)
        slots.append(list(pairs))
        bounds = [0, *plan.round_update_stop]
        rounds.append(
            [
                (plan.round_lane[index], plan.update_row[bounds[index] : bounds[index + 1]])
                for index in range(closed, round_stop)
            ]
        )
        slot, closed = slot_stop, round_stop
    return Steps(slots, rounds)


@given(
    st.lists(works(), min_size=1, max_size=5), st.integers(1, 9), st.sampled_from([4, 5, 8, 100])
)
def test_a_segment_trains_all_that_is_due_once_and_in_time(lanes, width, most_updates):
    total = sum(len(lane.requests) for lane in lanes)
    starts = [LaneRows(0, {0: 1000 + index}, {}) for index in range(len(lanes))]
    free = FreeRows(list(range(total)), list(range(total)))
    plan, ends = schedule(lanes, starts, free, width, most_updates)
    steps, version = taken_apart(plan), [0] * len(lanes)
    trained: Counter[tuple[int, int]] = Counter()
    for slots, rounds in zip(*steps, strict=True):
        assert len(slots) <= width
        assert sum(len(updates) for _, updates in rounds) <= most_updates
        for lane, request in slots:
            base = lanes[lane].bases[lanes[lane].requests.index(request)]
            assert base <= version[lane]  # the version exists before the batch
            trained[lane, request] += 1
        for lane, rows in rounds:
            work, number = lanes[lane], version[lane]
            first = work.round_ends[number - 1] if number else 0
            members = work.requests[first : work.round_ends[number]]
            assert all((lane, request) in trained for request in members)
            assert rows == [ends[lane].updates[request] for request in members]  # arrival order
            version[lane] += 1
    assert version == [len(lane.round_ends) for lane in lanes]
    due = {
        (index, request)
        for index, lane in enumerate(lanes)
        for request in lane.requests[: (lane.round_ends or [0])[-1]]
    }
    assert due <= set(trained)
    assert set(trained.values()) <= {1}
    assert all(slots or rounds for slots, rounds in zip(*steps, strict=True))


@given(st.lists(works(), min_size=1, max_size=5), st.integers(1, 9))
def test_rows_are_handed_out_once_and_the_rest_stays_free(lanes, width):
    total = sum(len(lane.requests) for lane in lanes) + 3
    starts = [LaneRows(0, {0: 1000 + index}, {}) for index in range(len(lanes))]
    free = FreeRows(list(range(total)), list(range(total)))
    plan, ends = schedule(lanes, starts, free, width, 100)
    assert sorted(plan.round_target_row + free.versions) == list(range(total))
    assert sorted(plan.slot_update_row + free.updates) == list(range(total))
    held = sorted(row for lane in ends for row in lane.updates.values())
    assert held == sorted(plan.slot_update_row)


@given(scenarios(targets=("none",)))
def test_over_segments_every_request_is_trained_once(scenario):
    """``SymbolicDevice`` checks every row that is read or written on the way."""
    device = SymbolicDevice()
    ran = scenario.run(device)
    assert set(device.trained.values()) <= {1}
    assert set(device.rounds.values()) <= {1}
    used = ran.requests[ran.requests.status == "used"]
    index_of = {task.name: number for number, task in enumerate(scenario.config.named_tasks)}
    due = set(zip(used.replicate, used.task.map(index_of), used.request, strict=True))
    assert due <= set(device.trained)
    assert ran.driver.counts.updates == len(device.trained)


@given(scenarios(targets=(0.3, 0.8, 0.9, 0.97)))
def test_a_cut_keeps_what_was_trained_for_earlier_requests(scenario):
    """Only requests dispatched at or after a met target may be trained again."""
    device = SymbolicDevice()
    scenario.run(device)
    oracles = simulate_one_by_one(scenario.config, SymbolicLearner())
    for (replicate, _, request), count in device.trained.items():
        assert count == 1 or request >= first_after_a_target(oracles[replicate])


def first_after_a_target(oracle: Asynchronous) -> float:
    """Number of the first request that was dispatched when or after the first target was met."""
    first = min(oracle.target_times.values(), default=np.inf)
    sent = [request.number for request in oracle.requests if request.dispatched_at >= first]
    return min(sent, default=np.inf)


@pytest.mark.parametrize(("num_seeds", "width", "events"), [(1, 16, 3000), (16, 256, 800)])
def test_batches_are_full(num_seeds, width, events):
    """At the paper's size: R = 96, b = 3, N = 1000."""
    config = make_config(
        {
            "num_seeds": num_seeds,
            "max_updates": events,
            "machine": {"batch_width": width},
            "tasks": {"softmax": {"num_active": 96, "buffer_size": 3, "step_time": 0.074}},
        }
    )
    window = 8 * width // num_seeds
    ran = run_driver(config, PlanOnly(), capacity=(120 * num_seeds, 120 * num_seeds), window=window)
    assert ran.driver.counts.fill >= 0.97
    used = (ran.requests.status == "used").sum()
    assert used >= num_seeds * (events - 2)
    assert used <= ran.driver.counts.updates <= used + 120 * num_seeds


def test_bursts_wait_for_a_step_of_their_own():
    """The first arrival opens 20 rounds of updates at once, where a step takes eight."""
    requests, bases = list(range(40)), [0] * 40
    work = LaneWork(requests, bases, list(range(2, 41, 2)))
    rows = LaneRows(0, {0: 100}, {request: request for request in range(1, 40)})
    plan, _ = schedule([work], [rows], FreeRows(list(range(20)), [99]), 16, 8)
    assert plan.slot_stop == [1] * 5
    assert plan.round_stop == [4, 8, 12, 16, 20]
    assert plan.round_update_stop == list(range(2, 41, 2))
    assert plan.update_row == [99, *range(1, 40)]
