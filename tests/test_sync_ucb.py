"""Sync-UCB-ST: sums, scores and choices worked by hand, and the rounds around them."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest

from fedast_jax.algorithms import rounds, sync_ucb
from fedast_jax.algorithms.log import Limits
from fedast_jax.algorithms.round_rules import Clients, SyncTask
from fedast_jax.algorithms.rounds import SyncTimeline
from fedast_jax.algorithms.sync_ucb import RULES, Experience, pick, scores, update
from fedast_jax.clients.batches import INITIAL_MODEL
from fedast_jax.engine.local_train import local_train
from fedast_jax.oracle import key_of
from fedast_jax.run.driver import Driver
from fedast_jax.run.executor import Device, PlanOnly
from fedast_jax.run.plan import plan
from fedast_jax.run.prepare import prepare_run
from fedast_jax.run.resolve import make_config
from fedast_jax.study.fuzz.drive import pools_of, run_driver

# One task, three clients. Round 1 keeps all, with losses 2, 3 and 4; round 2 keeps client 0 alone,
# with loss 1.
#
#   client  n                      L                    L / n
#   0       0.99 * 1 + 1 = 1.99    0.99 * 2 + 1 = 2.98  1.49749
#   1       0.99                   2.97                 3
#   2       0.99                   3.96                 4
#
# After two rounds sum gamma^s = 1 + 0.99 = 1.99 and 2 ln 1.99 = 1.376269.
TIMES, LOSSES = [1.99, 0.99, 0.99], [2.98, 2.97, 3.96]


def two_rounds() -> Experience:
    known = update(sync_ucb.first_experience(1, 3), [[2, 0, 1]], [[4.0, 2.0, 3.0]])
    return update(known, [[0]], [[1.0]])


def test_sums_are_discounted_by_round():
    known = two_rounds()
    np.testing.assert_allclose(known.times, [TIMES])
    np.testing.assert_allclose(known.loss, [LOSSES])


def test_scores_by_hand():
    expected = [
        2.98 / 1.99 + math.sqrt(1.376269 / 1.99),
        3.0 + math.sqrt(1.376269 / 0.99),
        4.0 + math.sqrt(1.376269 / 0.99),
    ]
    np.testing.assert_allclose(scores(two_rounds(), 2)[0], expected, rtol=1e-6)


def test_after_one_round_only_the_losses_count():
    known = update(sync_ucb.first_experience(1, 3), [[0, 1, 2]], [[2.0, 3.0, 4.0]])
    np.testing.assert_allclose(scores(known, 1), [[2.0, 3.0, 4.0]])


@pytest.mark.parametrize("times", [0.0, 1e-310])
def test_who_is_as_good_as_unknown_comes_first(times):
    known = Experience(np.array([[1.0, times]]), np.array([[1e6, 0.0]]))
    assert scores(known, 50)[0, 1] == math.inf


# Task 0 wants two clients, task 1 one; both like client 1 best.
SCORES = np.array([[5.0, 9.0, 3.0, 7.0, 8.0], [1.0, 6.0, 2.0, 5.0, 4.0]])


@pytest.mark.parametrize(
    ("candidates", "first", "expected"),
    [
        ([0, 1, 2, 3, 4], 0, [[1, 4], [3]]),
        ([4, 3, 2, 1, 0], 0, [[1, 4], [3]]),  # in whatever order they were drawn
        ([0, 1, 2, 3, 4], 1, [[4, 3], [1]]),
        ([0, 2, 3], 1, [[0, 2], [3]]),
        ([0, 2, 3], 0, [[3, 0], [2]]),
    ],
)
def test_the_first_to_pick_takes_what_it_likes_best(candidates, first, expected):
    assert pick(SCORES, np.array(candidates), [2, 1], first) == expected


def test_of_equal_scores_the_first_client_is_taken():
    equal = np.array([[1.0, math.inf, 1.0, math.inf, math.nan]])
    assert pick(equal, np.array([4, 2, 1, 3, 0]), [5], 0) == [[1, 3, 0, 2, 4]]


class Measured:
    """Losses that are written down, by task and request."""

    def __init__(self, losses: dict[int, float]) -> None:
        self.known, self.asked = losses, []

    def spread(self, task, requests) -> float:
        raise NotImplementedError

    def losses(self, task: int, requests) -> list[float]:
        self.asked.append((task, list(requests)))
        return [self.known[request] for request in requests]


class Times:
    """A round's durations, as quantiles of ``shifted_uniform``; all clients are candidates."""

    def __init__(self, times: list[float]) -> None:
        self.times = times

    def choice(self, num_clients: int, count: int, replace: bool) -> np.ndarray:
        assert (num_clients, count, replace) == (3, 3, False)
        return np.array([2, 0, 1])

    def random(self, count: int) -> np.ndarray:
        return (np.array(self.times[:count]) - 1) / 4


# Three clients, two active, so that each of two tasks gets one; all may be picked. k = 1.
#
#   round  request  task  client  starts  takes  arrives  loss
#   0      0, 1, 2  0     0, 1, 2   0     1, 2, 3  1, 2, 3  6, 1, 5    every client, every task:
#          3, 4, 5  1     0, 1, 2  1, 2, 3  2, 1, 1  3, 3, 4  9, 2, 8  its second request waits
#   t=4: all six are kept. Round 1 is task 1's to pick first: 0 (loss 9); task 0 of 1 and 2: 2.
#   1      6        0     2       4       2      6        1
#          7        1     0       4       1      5        1
#   t=6. Round 2 is task 0's: n = (0.99, 0.99, 1.99), L = (5.94, 0.99, 5.95), so 0 (6 and more);
#   task 1: n = (1.99, 0.99, 0.99), L = (9.91, 1.98, 7.92): of 1 and 2, client 2 (8 against 2).
#   2      8        0     0
#          9        1     2
HAND_TIMES = [Times([1, 2, 3, 2, 1, 1]), Times([2, 1]), Times([1, 1])]
HAND_LOSSES = dict(enumerate([6.0, 1.0, 5.0, 9.0, 2.0, 8.0, 1.0, 1.0, 3.0, 3.0]))


@pytest.fixture
def hand_timeline(monkeypatch):
    monkeypatch.setattr(rounds, "generator", lambda seed, stream, counter: HAND_TIMES[counter])
    tasks = [SyncTask(1.0, 3, 1.0), SyncTask(1.0, 3, 1.0)]
    clients = Clients(3, 2, np.ones(3), "shifted_uniform")
    return lambda limits: SyncTimeline(0, tasks, limits, clients, 1, RULES)


def test_three_rounds_by_hand(hand_timeline):
    timeline, measured = hand_timeline(Limits()), Measured(HAND_LOSSES)
    for number in range(3):
        timeline.advance(1000)
        assert timeline.is_waiting == (number < 2)
        assert timeline.num_arrivals == [6, 8, 10][number]
        if timeline.is_waiting:
            timeline.decide(measured)
    columns = timeline.requests
    assert columns.task.tolist() == [0, 0, 0, 1, 1, 1, 0, 1, 0, 1]
    assert columns.client.tolist() == [0, 1, 2, 0, 1, 2, 2, 0, 0, 2]
    assert columns.started_at.tolist() == pytest.approx([0, 0, 0, 1, 2, 3, 4, 4, 6, 6])
    assert columns.arrives_at.tolist() == pytest.approx([1, 2, 3, 3, 3, 4, 6, 5, 7, 7])
    assert [rounds.time.tolist() for rounds in timeline.rounds] == [[4, 6, 7]] * 2
    assert [rounds.end.tolist() for rounds in timeline.rounds] == [[3, 4, 5]] * 2
    assert measured.asked == [(0, [0, 1, 2]), (1, [3, 4, 5]), (0, [6]), (1, [7])]
    assert [one[:4] for one in timeline.allocations] == [
        (0, 0, (3, 3), (3, 3)),
        (4, 6, (1, 1), (1, 1)),
    ]
    assert (timeline.end_reason, timeline.time) == ("finished", 7)


def test_losses_are_kept_until_they_have_been_asked_for(hand_timeline):
    timeline = hand_timeline(Limits())
    timeline.advance(1)
    assert [timeline.kept_updates(task) for task in (0, 1)] == [[0, 1, 2], [3, 4, 5]]
    timeline.decide(Measured(HAND_LOSSES))
    assert [timeline.kept_updates(task) for task in (0, 1)] == [[], []]


@pytest.mark.parametrize(
    ("limits", "reason", "time", "num_arrivals"),
    [
        (Limits(max_updates=5), "max_updates", 3, 5),
        (Limits(max_updates=6), "max_updates", 4, 6),
        (Limits(time_limit=3.0), "time_limit", 3.0, 5),
        (Limits(time_limit=4.0), None, 4, 6),
    ],
)
def test_a_replicate_that_has_ended_waits_for_nothing(
    hand_timeline, limits, reason, time, num_arrivals
):
    timeline = hand_timeline(limits)
    timeline.advance(1000)
    assert (timeline.end_reason, timeline.time) == (reason, time)
    assert timeline.num_arrivals == num_arrivals
    assert timeline.is_waiting == (reason is None)


def test_a_rewound_round_is_chosen_again(hand_timeline):
    timeline = hand_timeline(Limits())
    timeline.advance(1)
    timeline.decide(Measured(HAND_LOSSES))
    mark = timeline.mark()
    timeline.advance(1000)
    timeline.decide(Measured({6: 50.0, 7: 0.0}))
    timeline.rewind(mark)
    assert (timeline.num_arrivals, timeline.is_waiting) == (6, False)
    timeline.advance(1000)
    assert timeline.requests.client[6:].tolist() == [2, 0]
    assert timeline.is_waiting


def test_a_task_that_ends_leaves_the_clients_to_the_other(hand_timeline):
    timeline = hand_timeline(Limits())
    mark = timeline.mark()
    timeline.advance(1000)
    assert timeline.cut(mark, 6, {0: 1}) == 6
    assert (timeline.num_active, timeline.buffer_size) == ([0, 2], [0, 1])
    assert timeline.kept_updates(0) == []
    measured = Measured(HAND_LOSSES)
    timeline.decide(measured)
    assert measured.asked == [(1, [3, 4, 5])]
    timeline.advance(7)
    assert timeline.requests.client[6:].tolist() == [0, 2]


def table(**top) -> dict:
    base = {"algorithm": "sync_ucb_st", "num_clients": 12, "max_active_clients": 6}
    tasks = {"softmax": {"copies": 2, "target_accuracy": "none"}}
    return (
        base
        | {"keep_first": 2, "max_updates": 60, "machine": {"batch_width": 4}, "tasks": tasks}
        | top
    )


def test_a_step_has_room_for_the_first_round():
    pools, setting = pools_of(make_config(table(num_clients=50, machine={"batch_width": 1})))
    assert Driver([setting], pools, PlanOnly()).planner.step_updates >= 50


def test_the_rows_of_the_first_round_are_planned_for():
    """More requests than are ever active: 2 tasks x 300 clients, and all rows in one segment."""
    report = plan(make_config(table(num_clients=300, max_updates=700)))
    (rows,) = report.rows
    assert rows["most_update_rows_used"] >= 600
    assert rows["update_rows"] >= rows["most_update_rows_used"]


def test_the_device_stores_each_requests_loss():
    config = make_config(table(max_updates=24))
    asked = []

    class Noting(Device):
        def losses(self, pool, rows):
            found = super().losses(pool, rows)
            asked.append(found)
            return found

    ran = run_driver(config, Noting(), capacity=(6, 40))
    assert [len(found) for found in asked] == []  # max_updates: nothing is decided any more
    ran = run_driver(config.model_copy(update={"max_updates": 26}), Noting(), capacity=(6, 40))
    assert [len(found) for found in asked] == [12, 12]
    (replicate,) = ran.driver.ended
    for lane, found in zip(replicate.lanes, asked, strict=True):
        pool = ran.driver.pools[0]
        task = pool.spec.kind.build(pool.spec.shape)
        model = task.init(key_of(0, lane.task, INITIAL_MODEL))
        requests = replicate.timeline.rounds[lane.task].arrived[:12]
        clients = [replicate.timeline.requests.client[one] for one in requests]
        for request, samples, loss in zip(
            requests, lane.holdings.samples(clients), found, strict=True
        ):
            key = key_of(0, lane.task, request)
            alone = local_train(
                task,
                pool.spec.work,
                pool.data.on_device.train,
                model,
                jax.numpy.asarray(samples),
                key,
                lane.settings.client_lr,
                lane.settings.weight_decay,
            )
            assert loss == pytest.approx(float(alone.loss), rel=1e-5)


def test_rounds_that_wait_share_one_program():
    setup, device = prepare_run([make_config(table())]), Device()
    driver = setup.driver(device)
    driver.run(setup.sizing.num_resident, setup.sizing.window)
    assert driver.counts.segments > 5
    (loaded,) = device._loaded.values()
    assert loaded.engine.num_traces == 1
