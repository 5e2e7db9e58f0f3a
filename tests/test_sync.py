"""Sync-ST: rounds worked by hand, what always holds, and its settings (Askin et al., Section 5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedast_jax.algorithms import rounds as module
from fedast_jax.algorithms.log import Limits
from fedast_jax.algorithms.round_rules import Clients, SyncTask
from fedast_jax.algorithms.rounds import SyncTimeline
from fedast_jax.algorithms.sync import RULES
from fedast_jax.config.errors import ConfigError
from fedast_jax.oracle import shared_out
from fedast_jax.run.executor import PlanOnly
from fedast_jax.run.resolve import make_config
from fedast_jax.study.fuzz.drive import KeepingDriver, pools_of

SPEEDS = np.array([1.3, 1.0, 1.0, 0.7])


class Listed:
    """A random stream that is written down: one round's clients, and times from 1 to 5."""

    def __init__(self, clients: list[int], times: list[float]) -> None:
        self.clients, self.times = clients, times

    def choice(self, num_clients: int, count: int, replace: bool) -> np.ndarray:
        assert (num_clients, count, replace) == (4, len(self.clients), False)
        return np.array(self.clients)

    def random(self, count: int) -> np.ndarray:
        assert count == len(self.times)
        return (np.array(self.times) - 1) / 4  # what shifted_uniform makes these times of


# Four clients of equal speed, three active. Task A has weight 2 and two rounds: n = 2; task B has
# weight 1 and four rounds: n = 1. Of each the first arrival is kept (k = 1).
#
#   round   request  task  client  starts  takes  arrives
#   0, t=0  0        A     0       0       2      2       kept: A's round 1
#           1        A     1       0       4      4       discarded: client 1 is busy until 4
#           2        B     2       0       3      3       kept: B's round 1; all end at t=3
#   1, t=3  3        A     1       4       1      5       kept: of two at 5 the first
#           4        A     3       3       2      5       discarded
#           5        B     0       3       2      5       kept; t=5: A ends; B gets n = 3
#   2, t=5  6        B     2       5       3      8       discarded
#           7        B     1       5       1      6       kept; t=6
#           8        B     0       5       2      7       discarded
#   3, t=6  9        B     0       7       1      8       kept (client 0 was busy until 7)
#           10       B     2       8       1      9       discarded (client 2 until 8)
#           11       B     3       6       3      9       discarded; t=8: B ends
HAND_ROUNDS = [
    Listed([0, 1, 2], [2.0, 4.0, 3.0]),
    Listed([1, 3, 0], [1.0, 2.0, 2.0]),
    Listed([2, 1, 0], [3.0, 1.0, 2.0]),
    Listed([0, 2, 3], [1.0, 1.0, 3.0]),
]
HAND_STARTS = [0, 0, 0, 4, 3, 3, 5, 5, 5, 7, 8, 6]
HAND_ARRIVALS = [2, 4, 3, 5, 5, 5, 8, 6, 7, 8, 9, 9]


@pytest.fixture
def hand_timeline(monkeypatch):
    """A function of limits that starts the example worked by hand."""
    monkeypatch.setattr(module, "generator", lambda seed, stream, counter: HAND_ROUNDS[counter])
    tasks = [SyncTask(2.0, 2, 1.0), SyncTask(1.0, 4, 1.0)]
    clients = Clients(4, 3, np.ones(4), "shifted_uniform")
    return lambda limits: SyncTimeline(0, tasks, limits, clients, 1, RULES)


def test_four_rounds_by_hand(hand_timeline):
    timeline = hand_timeline(Limits())
    timeline.advance(100)
    columns = timeline.requests
    assert columns.task.tolist() == [0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    assert columns.client.tolist() == [0, 1, 2, 1, 3, 0, 2, 1, 0, 0, 2, 3]
    assert columns.dispatched_at.tolist() == [0] * 3 + [3] * 3 + [5] * 3 + [6] * 3
    assert columns.started_at.tolist() == HAND_STARTS
    assert columns.arrives_at.tolist() == HAND_ARRIVALS
    assert columns.base_round.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    first, second = timeline.rounds
    assert (first.arrived.tolist(), second.arrived.tolist()) == ([0, 3], [2, 5, 7, 9])
    assert (first.time.tolist(), second.time.tolist()) == ([3, 5], [3, 5, 6, 8])
    assert (first.event.tolist(), second.event.tolist()) == ([2, 4], [2, 4, 5, 6])
    assert [one[:4] for one in timeline.allocations] == [
        (0, 0, (2, 1), (1, 1)),
        (5, 4, (0, 3), (0, 1)),
    ]
    assert (timeline.end_reason, timeline.time, timeline.num_arrivals) == ("finished", 8, 6)
    assert timeline.num_active == [0, 0]


@pytest.mark.parametrize(
    ("limits", "reason", "time", "arrived", "num_rounds"),
    [
        (Limits(max_updates=1), "max_updates", 2, [[0], []], 0),  # 2 waits for its round
        (Limits(max_updates=2), "max_updates", 3, [[0], [2]], 1),
        (Limits(max_updates=3), "max_updates", 5, [[0, 3], [2]], 1),
        (Limits(max_updates=4), "max_updates", 5, [[0, 3], [2, 5]], 2),
        (Limits(time_limit=2.5), "time_limit", 2.5, [[0], []], 0),
        (Limits(time_limit=3.0), "time_limit", 3, [[0], [2]], 1),
        (Limits(time_limit=4.9), "time_limit", 4.9, [[0], [2]], 1),
        (Limits(max_updates=1, time_limit=2.5), "max_updates", 2, [[0], []], 0),
        (Limits(max_updates=2, time_limit=3.0), "max_updates", 3, [[0], [2]], 1),
    ],
)
def test_limits_are_exact_to_the_event(hand_timeline, limits, reason, time, arrived, num_rounds):
    timeline = hand_timeline(limits)
    timeline.advance(100)
    assert (timeline.end_reason, timeline.time) == (reason, time)
    assert [rounds.arrived.tolist() for rounds in timeline.rounds] == arrived
    assert [len(rounds) for rounds in timeline.rounds] == [num_rounds] * 2
    assert timeline.buffered(0) == arrived[0][num_rounds:]
    open_round = timeline.is_cancelled(0)[3 * num_rounds :]
    assert not open_round.any()  # what a round that did not close sent is in flight


def test_a_task_that_meets_its_target_in_its_first_round(hand_timeline):
    """A is cut at arrival 2: B gets all the clients from the second round on."""
    timeline = hand_timeline(Limits())
    mark = timeline.mark()
    timeline.advance(100)
    assert timeline.cut(mark, 2, {0: 1}) == 3
    assert (timeline.num_arrivals, timeline.num_active) == (2, [0, 3])
    assert timeline.is_cancelled(0).tolist() == [True, True, False]  # 0 arrived before that
    timeline.advance(3)
    assert timeline.requests.task.tolist() == [0, 0, 1, 1, 1, 1]


class Drawn(NamedTuple):
    """What a synchronous timeline is made of."""

    seed: int
    tasks: list[SyncTask]
    limits: Limits
    num_active: int
    keep_first: int | None
    law: str

    def start(self) -> SyncTimeline:
        """A new timeline at time 0."""
        speeds = SPEEDS[np.arange(20) % 4]
        clients = Clients(20, self.num_active, speeds, self.law)
        return SyncTimeline(self.seed, self.tasks, self.limits, clients, self.keep_first, RULES)


@st.composite
def drawn_timelines(draw) -> Drawn:
    tasks = [
        SyncTask(
            draw(st.sampled_from([1.0, 2.0, 0.3])),
            draw(st.none() | st.integers(1, 9)),
            draw(st.sampled_from([1.0, 1.0, 0.3])),
        )
        for _ in range(draw(st.integers(1, 4)))
    ]
    return Drawn(
        draw(st.integers(0, 1000)),
        tasks,
        Limits(draw(st.integers(1, 120)), draw(st.none() | st.sampled_from([4.0, 20.0]))),
        draw(st.integers(len(tasks), 20)),
        draw(st.none() | st.integers(1, 4)),
        draw(st.sampled_from(["shifted_exponential", "constant"])),
    )


@given(drawn_timelines())
def test_rounds_use_the_first_arrivals_and_close_together(drawn):
    timeline = drawn.start()
    timeline.advance(1000)
    columns = timeline.requests
    ends = sorted({time for rounds in timeline.rounds for time in rounds.time})
    starts = sorted(set(columns.dispatched_at))
    assert starts[: len(ends) + 1] == [0.0, *ends][: len(starts)]
    task, sent = np.asarray(columns.task), np.asarray(columns.dispatched_at)
    for index, rounds in enumerate(timeline.rounds):
        used = 0
        for start, end in zip(starts, rounds.end, strict=False):
            mine = np.flatnonzero((task == index) & (sent == start)).tolist()
            order = sorted(mine, key=lambda one: (columns.arrives_at[one], one))
            kept = rounds.arrived[used:end].tolist()
            assert kept == order[: drawn.keep_first]
            used = end
    if timeline.end_reason != "finished":
        assert sum(timeline.num_active) == drawn.num_active


@given(drawn_timelines())
def test_clients_are_distinct_and_serve_one_request_after_another(drawn):
    timeline, free_at = drawn.start(), {}
    timeline.advance(1000)
    columns, clients = timeline.requests, {}
    for client, sent, start, end in zip(
        columns.client, columns.dispatched_at, columns.started_at, columns.arrives_at, strict=True
    ):
        clients.setdefault(sent, []).append(client)
        assert start == max(sent, free_at.get(client, 0.0))
        free_at[client] = end
    for chosen in clients.values():
        assert len(set(chosen)) == len(chosen) == drawn.num_active


@given(drawn_timelines(), st.lists(st.integers(1, 20), max_size=10), st.integers(0, 60))
def test_pieces_and_rewinding_change_nothing(drawn, pieces, first):
    whole, cut = drawn.start(), drawn.start()
    whole.advance(1000)
    cut.advance(first)
    mark = cut.mark()
    for piece in pieces:
        cut.advance(cut.num_arrivals + piece)
    cut.rewind(mark)
    cut.advance(1000)
    assert vars(whole.requests) == vars(cut.requests)
    assert whole.rounds == cut.rounds
    assert whole.allocations == cut.allocations
    assert (whole.end_reason, whole.time) == (cut.end_reason, cut.time)


def test_clients_and_durations_follow_their_laws():
    """At a fixed seed; each p value has a chance of 1e-3 to be too small."""
    tasks = [SyncTask(1.0, None, 1.0), SyncTask(2.0, None, 0.4)]
    drawn = Drawn(3, tasks, Limits(6000), 15, None, "shifted_exponential")
    timeline = drawn.start()
    timeline.advance(6000)
    columns = timeline.requests
    task, client = np.asarray(columns.task), np.asarray(columns.client)
    taken = np.asarray(columns.arrives_at) - np.asarray(columns.started_at)
    x = taken / np.array([1.0, 0.4])[task] / SPEEDS[client % 4]
    assert stats.kstest(x, stats.expon(loc=1, scale=2).cdf).pvalue > 1e-3
    for index in (0, 1):  # who is in a round is not in it twice: less spread than chisquare allows
        counts = np.bincount(client[task == index], minlength=20)
        assert stats.chisquare(counts).pvalue > 1e-3


def table(**top) -> dict:
    tasks = {"softmax": {"sync_weight": 3.0}, "tanh": {"sync_weight": 1.0}}
    base = {"algorithm": "sync_st", "tasks": tasks, "max_updates": 90, "keep_first": 5}
    return (
        base | {"num_clients": 100, "max_active_clients": 20, "machine": {"batch_width": 2}} | top
    )


WRONG = {
    "k above a task's clients": ({"keep_first": 6}, ["keep_first=6", "the 5 clients", "'tanh'"]),
    "fewer clients than tasks": ({"max_active_clients": 1}, ["2 tasks", "got 1"]),
    "k = 0": ({"keep_first": 0}, ["keep_first", "got 0"]),
    "no weight": ({"tasks": {"softmax": {"sync_weight": 0.0}}}, ["sync_weight", "got 0.0"]),
    "too many active": ({"max_active_clients": 101}, ["max_active_clients", "100", "got 101"]),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_settings_that_cannot_be_run(name):
    change, words = WRONG[name]
    with pytest.raises(ConfigError) as error:
        make_config(table(**change))
    assert all(word in str(error.value) for word in words)


def test_k_has_no_meaning_where_all_arrivals_are_kept():
    make_config(table(algorithm="sync_st_no_mitigation", keep_first=6))


def test_keeping_all_is_having_no_mitigation():
    """The same events; what a round takes is more than any k that was checked before."""
    every, plain = table(keep_first="all"), table(algorithm="sync_st_no_mitigation")
    one, other = (plan(make_config(top)).ended[0].timeline for top in (every, plain))
    assert vars(one.requests) == vars(other.requests)
    assert one.rounds == other.rounds
    assert one.buffer_size == [15, 5]


def plan(config) -> KeepingDriver:
    """All replicates, without training."""
    pools, setting = pools_of(config)
    driver = KeepingDriver([setting], pools, PlanOnly())
    most = config.max_active_clients or config.num_clients
    if config.algorithm == "sync_st" and config.keep_first != "all":
        most = config.keep_first
    assert driver.planner.step_updates >= most  # or a round would fit into no step
    driver.run(config.num_seeds, 20)
    return driver


@pytest.mark.parametrize("algorithm", ["sync_st", "sync_st_no_mitigation"])
@pytest.mark.parametrize("num_active", [None, 20])
def test_clients_are_shared_out_by_weight(algorithm, num_active):
    top = {} if num_active is None else {"max_active_clients": num_active}
    config = make_config({**table(algorithm=algorithm), "max_active_clients": None, **top})
    timeline = plan(config).ended[0].timeline
    total = num_active or 100
    assert timeline.allocations[0].num_active == (total * 3 // 4, total // 4)
    assert list(timeline.allocations[0].num_active) == shared_out([3.0, 1.0], total)
    kept = (5, 5) if algorithm == "sync_st" else (total * 3 // 4, total // 4)
    assert timeline.allocations[0].buffer_size == kept
    assert timeline.num_arrivals == 90
