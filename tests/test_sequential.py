"""Sequential training: one task after another, worked by hand, and its settings."""

from __future__ import annotations

import numpy as np
import pytest

from fedast_jax.algorithms import rounds
from fedast_jax.algorithms.log import Limits
from fedast_jax.algorithms.round_rules import Clients, SyncTask
from fedast_jax.algorithms.rounds import SyncTimeline
from fedast_jax.algorithms.sequential import RULES
from fedast_jax.config.errors import ConfigError
from fedast_jax.run.executor import PlanOnly
from fedast_jax.run.resolve import make_config
from fedast_jax.study.fuzz.drive import KeepingDriver, pools_of


class Listed:
    """One round's clients, and times from 1 to 5."""

    def __init__(self, clients: list[int], times: list[float]) -> None:
        self.clients, self.times = clients, times

    def choice(self, num_clients: int, count: int, replace: bool) -> np.ndarray:
        assert (num_clients, count, replace) == (4, 3, False)
        return np.array(self.clients)

    def random(self, count: int) -> np.ndarray:
        return (np.array(self.times) - 1) / 4


# Four clients of equal speed, three active, all for one task; of three arrivals two are kept.
# Task A has two rounds, task B one; B's steps take twice as long.
#
#   round  request  task  client  starts  takes  arrives
#   0      0        A     0       0       2      2       kept
#          1        A     1       0       5      5       discarded: busy until 5
#          2        A     2       0       3      3       kept; t=3
#   1      3        A     3       3       4      7       kept
#          4        A     1       5       3      8       discarded: busy until 8
#          5        A     2       3       2      5       kept; t=7: A ends, B begins
#   2      6        B     1       8       4      12      kept (client 1 was busy until 8)
#          7        B     2       7       8      15      discarded
#          8        B     3       7       6      13      kept; t=13: all ends
ROUNDS = [
    Listed([0, 1, 2], [2.0, 5.0, 3.0]),
    Listed([3, 1, 2], [4.0, 3.0, 2.0]),
    Listed([1, 2, 3], [2.0, 4.0, 3.0]),
]


@pytest.fixture
def hand_timeline(monkeypatch):
    monkeypatch.setattr(rounds, "generator", lambda seed, stream, counter: ROUNDS[counter])
    tasks = [SyncTask(1.0, 2, 1.0), SyncTask(7.0, 1, 2.0)]  # weights do not matter
    clients = Clients(4, 3, np.ones(4), "shifted_uniform")
    return lambda limits: SyncTimeline(0, tasks, limits, clients, 2, RULES)


def test_two_tasks_by_hand(hand_timeline):
    timeline = hand_timeline(Limits())
    timeline.advance(100)
    columns = timeline.requests
    assert columns.task.tolist() == [0] * 6 + [1] * 3
    assert columns.started_at.tolist() == [0, 0, 0, 3, 5, 3, 8, 7, 7]
    assert columns.arrives_at.tolist() == [2, 5, 3, 7, 8, 5, 12, 15, 13]
    assert columns.base_round.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    first, second = timeline.rounds
    assert (first.arrived.tolist(), second.arrived.tolist()) == ([0, 2, 5, 3], [6, 8])
    assert (first.time.tolist(), second.time.tolist()) == ([3, 7], [13])
    assert [one[:4] for one in timeline.allocations] == [
        (0, 0, (3, 0), (2, 0)),
        (7, 4, (0, 3), (0, 2)),
    ]
    assert (timeline.end_reason, timeline.time, timeline.num_arrivals) == ("finished", 13, 6)


@pytest.mark.parametrize(
    ("limits", "reason", "time", "arrived"),
    [
        (Limits(max_updates=3), "max_updates", 5, [[0, 2, 5], []]),
        (Limits(max_updates=4), "max_updates", 7, [[0, 2, 5, 3], []]),
        (Limits(max_updates=5), "max_updates", 12, [[0, 2, 5, 3], [6]]),
        (Limits(time_limit=12.5), "time_limit", 12.5, [[0, 2, 5, 3], [6]]),
        (Limits(time_limit=7.0), "time_limit", 7, [[0, 2, 5, 3], []]),
    ],
)
def test_limits_are_exact_to_the_event(hand_timeline, limits, reason, time, arrived):
    timeline = hand_timeline(limits)
    timeline.advance(100)
    assert (timeline.end_reason, timeline.time) == (reason, time)
    assert [rounds.arrived.tolist() for rounds in timeline.rounds] == arrived


def test_the_next_task_starts_when_a_target_is_met(hand_timeline, monkeypatch):
    timeline = hand_timeline(Limits())
    mark = timeline.mark()
    timeline.advance(100)
    assert timeline.cut(mark, 2, {0: 1}) == 3
    assert (timeline.num_active, timeline.time) == ([0, 3], 3)
    timeline.advance(100)
    assert timeline.requests.task.tolist() == [0, 0, 0, 1, 1, 1]
    # round 1's clients and times, twice as long: 3 + 8, 5 + 6, 3 + 4; two are kept
    assert timeline.requests.arrives_at.tolist()[3:] == [11, 11, 7]
    assert timeline.time == 11


def table(**top) -> dict:
    tasks = {"softmax": {"copies": 3, "max_rounds": 4}}
    base = {"algorithm": "sequential", "num_clients": 20, "max_active_clients": 9, "keep_first": 5}
    return base | {"machine": {"batch_width": 2}, "tasks": tasks} | top


@pytest.mark.parametrize(("keep_first", "kept"), [(5, 5), (9, 9), ("all", 9)])
def test_each_task_has_all_active_clients(keep_first, kept):
    pools, setting = pools_of(make_config(table(keep_first=keep_first)))
    driver = KeepingDriver([setting], pools, PlanOnly())
    assert driver.planner.step_updates >= kept
    driver.run(1, 20)
    timeline = driver.ended[0].timeline
    assert [one.num_active for one in timeline.allocations] == [(9, 0, 0), (0, 9, 0), (0, 0, 9)]
    assert [one.arrivals for one in timeline.allocations] == [0, 4 * kept, 8 * kept]
    assert timeline.num_arrivals == 12 * kept


def test_more_tasks_than_active_clients_are_no_trouble():
    assert make_config(table(max_active_clients=2, keep_first=2)).algorithm == "sequential"


def test_k_above_the_active_clients_is_refused():
    with pytest.raises(ConfigError, match=r"keep_first=10 is more than the 9 clients of task"):
        make_config(table(keep_first=10))
