"""The order of events: worked by hand, its invariants, its draws (the paper's Algorithm 2)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedast_jax.algorithms.async_state import TaskPlan
from fedast_jax.algorithms.asynchronous import Timeline
from fedast_jax.algorithms.log import Limits
from fedast_jax.clients.delays import CHUNK, LAWS, Dispatches, Stream, client_speeds, generator
from fedast_jax.oracle import Asynchronous, SymbolicLearner
from fedast_jax.run.resolve import make_config

SPEEDS, SHARES = (1.3, 1.0, 0.7), (0.25, 0.5, 0.25)


class Listed(Dispatches):
    """A dispatch stream that is written down: clients and times of one local step."""

    def __init__(self, clients: list[int], steps: list[float]) -> None:
        self.clients, self.steps = clients, steps

    def chunk(self, index: int) -> tuple[list[int], list[float]]:
        assert index == 0
        return self.clients, self.steps


# Three clients, tasks A (R=2, b=2) and B (R=1, b=1), durations as listed, worked by hand. The
# first dispatches are made in turn.
#
#   request  task  client  dispatched  base  starts  takes  arrives
#   0        A     0       0           0     0       4      4
#   1        B     0       0           0     4       1      5     client 0 is busy with request 0
#   2        A     1       0           0     0       2      2
#
#   t=2  request 2 arrives: A's buffer has 1 of 2.  Dispatch 3: A, client 2, takes 2 -> 4
#   t=4  request 0 arrives (tie with 3; 0 was dispatched first): A's round 1 = {2, 0}.
#        Dispatch 4: A, client 1, base 1, takes 5 -> 9
#   t=4  request 3 arrives: buffer 1 of 2.  Dispatch 5: A, client 0, busy until 5, takes 3 -> 8
#   t=5  request 1 arrives: B's round 1.  Dispatch 6: B, client 2, base 1, takes 1 -> 6
#   t=6  request 6 arrives: B's round 2, its last: B stops and hands its R = 1 to A.
#        A has now R = 3 and b = floor(3 * 2 / 2 + 1/2) = 3, but its round has opened with 2.
#        Dispatch 7: A, client 1, busy until 9, base 1, takes 1 -> 10
#   t=8  request 5 arrives: A's round 2 = {3, 5}.  Dispatch 8: A, client 2, base 2, takes 9 -> 17
#   t=9  request 4 arrives: buffer 1 of 3.  Dispatch 9: A, client 1, busy until 10, takes 2 -> 12
#   t=10 request 7 arrives: buffer 2 of 3.  Dispatch 10: A, client 0, takes 4 -> 14
#   t=12 request 9 arrives: A's round 3 = {4, 7, 9}, its last: the end.
HAND_STREAM = Listed(
    [0, 0, 1, 2, 1, 0, 2, 1, 2, 1, 0],
    [4.0, 1.0, 2.0, 2.0, 5.0, 3.0, 1.0, 1.0, 9.0, 2.0, 4.0],
)
HAND_COLUMNS = {
    "task": [0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0],
    "client": [0, 0, 1, 2, 1, 0, 2, 1, 2, 1, 0],
    "dispatched_at": [0, 0, 0, 2, 4, 4, 5, 6, 8, 9, 10],
    "started_at": [0, 4, 0, 2, 4, 5, 5, 9, 8, 10, 10],
    "arrives_at": [4, 5, 2, 4, 9, 8, 6, 10, 17, 12, 14],
    "base_round": [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2],
}


def test_three_clients_by_hand():
    plans = [TaskPlan(2, 2, 3, 1.0), TaskPlan(1, 1, 2, 1.0)]
    timeline = Timeline(0, plans, Limits(), HAND_STREAM)
    timeline.advance(100)
    columns = {name: column.tolist() for name, column in vars(timeline.requests).items()}
    assert columns == HAND_COLUMNS
    first, second = timeline.rounds
    assert first.arrived.tolist() == [2, 0, 3, 5, 4, 7, 9]
    assert (first.end.tolist(), first.time.tolist(), first.event.tolist()) == (
        [2, 4, 7],
        [4, 8, 12],
        [2, 6, 9],
    )
    assert (second.arrived.tolist(), second.time.tolist()) == ([1, 6], [5, 6])
    assert (timeline.end_reason, timeline.num_arrivals) == ("finished", 9)


def test_the_oracle_agrees_with_the_hand():
    task = {"kind": "softmax", "local_steps": 1, "step_time": 1.0}
    tasks = {
        "A": {**task, "num_active": 2, "buffer_size": 2, "max_rounds": 3},
        "B": {**task, "num_active": 1, "buffer_size": 1, "max_rounds": 2},
    }
    config = make_config({"num_clients": 3, "tasks": tasks})
    oracle = Asynchronous(config, 0, SymbolicLearner(), HAND_STREAM).run()
    for name, column in HAND_COLUMNS.items():
        name = "arrived_at" if name == "arrives_at" else name
        assert [getattr(request, name) for request in oracle.requests] == column
    used = [(one.status, one.used_round) for one in oracle.requests]
    rounds = [0, 0, 0, 1, 2, 1, 1, 2, None, 2, None]
    assert used == [("cancelled" if one is None else "used", one) for one in rounds]


# Two clients, one may be active. R = 2, b = 2, every request takes 3.
#
#   t=0  request 0: client 0 -> 3.  The second draw, client 1, would wake one too many: it is owed.
#   t=3  request 0 arrives; 0 are in flight, 1 is owed, K = 1: client 1 -> request 1, arrives at 6.
#        The owed one: client 0: dropped again.
#   t=6  request 1 arrives: round 1.  K = 1: client 0 -> request 2 (9). The owed one: client 0 ->
#        request 3, behind it (12).
def test_the_cap_by_hand():
    stream = Listed([0, 1, 1, 0, 0, 0], [3.0] * 6)
    timeline = Timeline(0, [TaskPlan(2, 2, None, 1.0)], Limits(2, None, 1), stream)
    timeline.advance(2)
    assert timeline.requests.client.tolist() == [0, 1, 0, 0]
    assert timeline.requests.started_at.tolist() == [0, 3, 6, 9]
    assert timeline.requests.arrives_at.tolist() == [3, 6, 9, 12]
    assert timeline.requests.base_round.tolist() == [0, 0, 1, 1]
    assert timeline.end_reason == "max_updates"


# Two clients may be active. A (R=1, b=1) and B (R=3, b=3), dispatched in turn: A, B, B, B.
#
#   t=0  A: client 0, takes 2: request 0 -> 2.  B: client 1, takes 5: request 1 -> 5.  B: client 2
#        and B: client 3 would wake one too many: B is owed 2
#   t=2  0 arrives. K = 1: A: client 2: request 2 -> 6.  Owed to B: client 3: dropped
#   t=5  1 arrives; B has 0 in flight and is owed 2: K = 1: client 2, busy until 6: request 3 -> 7.
#        Owed to B: client 0: request 4 -> 6.  B is owed 1
#   t=6  2 arrives (tie with 4). K = 1: A: client 1: dropped, A is owed 1.  Owed: A (1/1 against
#        1/3): client 3: dropped
#   t=6  4 arrives. K = 1: B: client 2, busy until 7: request 5 -> 8.  Owed to A: client 0: request
#        6 -> 7
#   t=7  3 arrives (tie with 6): B's round 1.  K = 1: B: client 0, behind 6: request 7 -> 8.  Owed
#        to B: client 2, behind 5: request 8 -> 9
def test_debts_by_hand():
    clients = [0, 1, 2, 3, 2, 3, 2, 0, 1, 3, 2, 0, 0, 2]
    steps = [2.0, 5.0, 9.0, 9.0, 4.0, 9.0, 1.0, 1.0, 9.0, 9.0, 1.0, 1.0, 1.0, 1.0]
    plans = [TaskPlan(1, 1, None, 1.0), TaskPlan(3, 3, None, 1.0)]
    timeline = Timeline(0, plans, Limits(5, None, 2), Listed(clients, steps))
    timeline.advance(5)
    assert timeline.requests.task.tolist() == [0, 1, 0, 1, 1, 1, 0, 1, 1]
    assert timeline.requests.client.tolist() == [0, 1, 2, 2, 0, 2, 0, 0, 2]
    assert timeline.requests.dispatched_at.tolist() == [0, 0, 2, 5, 5, 6, 6, 7, 7]
    assert timeline.requests.started_at.tolist() == [0, 0, 2, 6, 5, 7, 6, 7, 8]
    assert timeline.requests.arrives_at.tolist() == [2, 5, 6, 7, 6, 8, 7, 8, 9]
    assert timeline.requests.base_round.tolist() == [0, 0, 1, 0, 0, 0, 2, 1, 1]


# One client may be active: client 0, with two requests of A (R=2, b=1, one round) until t=1 and 6.
# B (R=1) is owed its only one. At t=1 A ends, its other request is cancelled, and B is owed 3;
# nothing is in flight, so that no arrival will come. At t=6 client 0 is free, and B gets one.
def test_what_is_owed_is_tried_when_only_cancelled_work_goes_on():
    stream = Listed([0, 1, 0, *[1] * 6], [1.0, 9.0, 5.0, 9.0, 9.0, 9.0, 4.0, 2.0, 2.0])
    plans = [TaskPlan(2, 1, 1, 1.0), TaskPlan(1, 1, None, 1.0)]
    timeline = Timeline(0, plans, Limits(2, None, 1), stream)
    timeline.advance(2)
    assert timeline.requests.task.tolist()[:3] == [0, 0, 1]
    assert timeline.requests.dispatched_at.tolist()[:3] == [0, 0, 6]
    assert (timeline.time, timeline.num_arrivals) == (10, 2)


class Drawn(NamedTuple):
    """What a timeline is made of."""

    seed: int
    plans: list[TaskPlan]
    limits: Limits
    num_clients: int
    law: str

    def start(self) -> Timeline:
        """A new timeline at time 0."""
        return make_timeline(self.seed, self.plans, self.limits, self.num_clients, self.law)


def make_timeline(seed, plans, limits=None, num_clients=50, law="shifted_exponential") -> Timeline:
    classes = client_speeds(seed, num_clients, SPEEDS, SHARES)
    dispatches = Dispatches(seed, num_clients, law, classes, SPEEDS)
    return Timeline(seed, plans, limits or Limits(), dispatches)


@st.composite
def task_plans(draw) -> TaskPlan:
    num_active = draw(st.integers(1, 12))
    return TaskPlan(
        num_active,
        draw(st.integers(1, num_active)),
        draw(st.none() | st.integers(1, 30)),
        draw(st.sampled_from([1.0, 1.0, 0.3])),
    )


@st.composite
def drawn_timelines(draw, is_capped: bool | None = None) -> Drawn:
    num_clients = draw(st.sampled_from([1, 2, 5, 30, 1000]))
    capped = draw(st.booleans()) if is_capped is None else is_capped
    limits = Limits(
        max_updates=draw(st.integers(1, 300)),
        time_limit=draw(st.none() | st.sampled_from([5.0, 40.0])),
        max_active_clients=draw(st.integers(1, min(num_clients, 9))) if capped else None,
    )
    plans = draw(st.lists(task_plans(), min_size=1, max_size=4))
    law = draw(st.sampled_from(sorted(LAWS)))
    return Drawn(draw(st.integers(0, 2**31 - 1)), plans, limits, num_clients, law)


def logs(timeline: Timeline) -> tuple:
    """Everything that a timeline says."""
    columns = [column.tolist() for column in vars(timeline.requests).values()]
    rounds = [[column.tolist() for column in vars(one).values()] for one in timeline.rounds]
    ends = timeline.num_arrivals, timeline.end_reason, timeline.num_active, timeline.buffer_size
    return columns, rounds, ends, [timeline.pending(task) for task in range(len(rounds))]


def in_flight(timeline: Timeline, task: int) -> int:
    """Requests dispatched and not arrived, counted from the logs."""
    return timeline.requests.task.tolist().count(task) - len(timeline.rounds[task].arrived)


@given(drawn_timelines(is_capped=False))
def test_in_flight_is_num_active_after_every_arrival(drawn):
    timeline, total = drawn.start(), sum(plan.num_active for plan in drawn.plans)
    while timeline.end_reason is None:
        timeline.advance(timeline.num_arrivals + 1)
        if timeline.end_reason != "finished":
            assert sum(timeline.num_active) == total
        for task, num_active in enumerate(timeline.num_active):
            if timeline.is_stopped(task):
                assert num_active == 0
            else:
                assert in_flight(timeline, task) == num_active


@given(drawn_timelines(is_capped=True))
def test_the_cap_holds_after_every_arrival(drawn):
    """Active are the clients with requests dispatched that have not ended, cancelled ones too."""
    timeline, total = drawn.start(), sum(plan.num_active for plan in drawn.plans)
    while timeline.end_reason is None:
        before = len(timeline.requests)
        timeline.advance(timeline.num_arrivals + 1)
        if timeline.end_reason is None:
            assert sum(timeline.num_active) == total
        assert most_active(timeline, before) <= drawn.limits.max_active_clients
        for task, num_active in enumerate(timeline.num_active):
            if not timeline.is_stopped(task):
                owed = timeline._state.owed[task]
                assert owed >= 0
                assert in_flight(timeline, task) + owed == num_active


@given(drawn_timelines(is_capped=False))
def test_a_cap_that_cannot_bind_changes_nothing(drawn):
    """As many clients as there are."""
    capped = drawn._replace(limits=replace(drawn.limits, max_active_clients=drawn.num_clients))
    one, other = drawn.start(), capped.start()
    one.advance(1000)
    other.advance(1000)
    assert logs(one) == logs(other)


@pytest.mark.parametrize(("cap", "num_active"), [(100, 96), (75, 32)])
def test_a_binding_cap_meets_equal_tasks_alike(cap, num_active):
    """Means over time of what they hold within 5%; as many clients work as may."""
    plans = [TaskPlan(num_active, 1, None, 1.0)] * 4
    limits = Limits(max_updates=40_000, max_active_clients=cap)
    timeline = make_timeline(2, plans, limits, num_clients=1000)
    held, num_busy = [], []
    for until in range(400, 40_000, 100):
        timeline.advance(until)
        held.append(timeline._state.in_flight.copy())
        num_busy.append(len(timeline._state.last_request))
    means = np.mean(held, axis=0)
    assert means.max() < 1.05 * means.min()
    assert np.mean(num_busy) > 0.99 * cap
    assert means.sum() > cap


def test_the_first_requests_of_equal_tasks_are_alike_where_a_cap_binds():
    plans = [TaskPlan(96, 3, None, 1.0)] * 4
    timeline = make_timeline(0, plans, Limits(max_active_clients=100), num_clients=1000)
    counts = np.bincount(timeline.requests.task, minlength=4)
    assert counts.min() > 0.7 * counts.max()
    assert len(timeline._state.last_request) == 100


def most_active(timeline: Timeline, first: int) -> int:
    """Most clients busy at the dispatch of a request from number ``first`` on.

    A request that ends at that very moment may have been handled before or after, so it does not
    count.
    """
    columns = timeline.requests
    client, ends = np.asarray(columns.client), np.asarray(columns.arrives_at)
    sent = np.asarray(columns.dispatched_at)
    return max(
        (
            len(set(client[: number + 1][ends[: number + 1] > sent[number]]))
            for number in range(first, len(columns))
        ),
        default=0,
    )


@given(drawn_timelines())
def test_each_client_serves_in_order_of_dispatch(drawn):
    timeline = drawn.start()
    timeline.advance(1000)
    columns, free_at = timeline.requests, {}
    for client, sent, started, ended in zip(
        columns.client, columns.dispatched_at, columns.started_at, columns.arrives_at, strict=True
    ):
        assert 0 <= client < drawn.num_clients
        assert started == max(sent, free_at.get(client, 0.0))
        assert ended > started
        free_at[client] = ended
    assert columns.dispatched_at.tolist() == sorted(columns.dispatched_at)


@given(drawn_timelines())
def test_rounds_use_buffer_size_updates_of_existing_versions(drawn):
    """The size is that in force when the round opened."""
    timeline, sizes = drawn.start(), {}
    while timeline.end_reason is None:
        for task, rounds in enumerate(timeline.rounds):
            sizes.setdefault((task, len(rounds) + 1), timeline.buffer_size[task])
        timeline.advance(timeline.num_arrivals + 1)
    for task, rounds in enumerate(timeline.rounds):
        assert len(set(rounds.arrived)) == len(rounds.arrived)
        starts = [0, *rounds.end][: len(rounds.end)]
        for number, (start, end) in enumerate(zip(starts, rounds.end, strict=True)):
            assert end - start == sizes[task, number + 1]
            bases = [timeline.requests.base_round[one] for one in rounds.arrived[start:end]]
            assert max(bases) <= number  # staleness number - base is at least 0


@given(drawn_timelines())
def test_arrivals_are_in_order_of_time_and_then_of_dispatch(drawn):
    timeline = drawn.start()
    timeline.advance(1000)
    ends = timeline.requests.arrives_at
    for task, rounds in enumerate(timeline.rounds):
        order = [(ends[request], request) for request in rounds.arrived]
        assert order == sorted(order)
        assert all(timeline.requests.task[request] == task for _, request in order)
        assert rounds.time.tolist() == [order[end - 1][0] for end in rounds.end]
    limit = drawn.limits.time_limit or math.inf
    assert all(ends[one] <= limit for rounds in timeline.rounds for one in rounds.arrived)


@given(drawn_timelines())
def test_base_versions_are_current_at_dispatch(drawn):
    timeline = drawn.start()
    timeline.advance(1000)
    columns = timeline.requests
    for task, sent, base in zip(
        columns.task, columns.dispatched_at, columns.base_round, strict=True
    ):
        times = np.asarray(timeline.rounds[task].time)
        assert (times < sent).sum() <= base <= (times <= sent).sum()


@given(drawn_timelines(), st.lists(st.integers(1, 40), max_size=30))
def test_advancing_in_pieces_changes_nothing(drawn, pieces):
    whole, cut = drawn.start(), drawn.start()
    whole.advance(1000)
    for piece in pieces:
        cut.advance(cut.num_arrivals + piece)
    cut.advance(1000)
    assert logs(cut) == logs(whole)


@given(drawn_timelines(), st.integers(0, 100), st.integers(1, 100))
def test_rewinding_brings_the_same_events(drawn, first, more):
    timeline = drawn.start()
    timeline.advance(first)
    mark, then = timeline.mark(), logs(timeline)
    timeline.advance(first + more)
    later = logs(timeline)
    for _ in range(2):
        timeline.rewind(mark)
        assert logs(timeline) == then
        timeline.advance(first + more)
        assert logs(timeline) == later


@given(drawn_timelines(), st.integers(0, 60), st.integers(1, 5))
def test_last_round_ends_the_task_with_that_round(drawn, first, ahead):
    timeline = drawn.start()
    timeline.advance(first)
    task, due = 0, len(timeline.rounds[0]) + ahead
    mark = timeline.mark()
    timeline.advance(1000)
    reaches_it = len(timeline.rounds[task]) >= due
    event = timeline.rounds[task].event[due - 1] if reaches_it else None
    timeline.rewind(mark)
    timeline.last_round[task] = due
    timeline.advance(1000)
    if reaches_it:
        assert timeline.is_stopped(task)
        assert len(timeline.rounds[task]) == due
        assert timeline.rounds[task].event[-1] == event


@pytest.mark.parametrize("active", [[7, 1, 2, 4], [1, 1, 1], [96, 96, 96, 96], [5, 3]])
def test_shares_handed_on_are_proportional(active):
    """Floor of the share, the rest one each; b follows R with the ratio kept."""
    plans = [TaskPlan(active[0], 1, 1, 1e-3)]  # far faster than the others: it ends first
    plans += [TaskPlan(one, (one + 2) // 3, None, 1.0) for one in active[1:]]
    timeline = make_timeline(5, plans, num_clients=1000)
    timeline.advance(1)
    shares = [active[0] * one / sum(active[1:]) for one in active[1:]]
    gained = np.array(timeline.num_active[1:]) - active[1:]
    assert sum(gained) == active[0]
    assert all(
        math.floor(share) <= got <= math.floor(share) + 1
        for share, got in zip(shares, gained, strict=True)
    )
    for before, after, size in zip(
        plans[1:], timeline.num_active[1:], timeline.buffer_size[1:], strict=True
    ):
        exact = after * before.buffer_size / before.num_active
        assert size == max(1, math.floor(exact + 0.5))


def test_the_remainder_goes_to_random_tasks():
    """R = 1 to hand on to two equal tasks: each gets it about half of the time."""
    plans = [TaskPlan(1, 1, 1, 1e-3), TaskPlan(3, 1, None, 1.0), TaskPlan(3, 1, None, 1.0)]
    first = 0
    for seed in range(400):
        timeline = make_timeline(seed, plans)
        timeline.advance(1)
        first += timeline.num_active[1] == 4
    assert stats.binomtest(first, 400).pvalue > 1e-3


def test_ends_are_exact():
    plans = [TaskPlan(8, 2, None, 1.0)]
    timeline = make_timeline(0, plans, Limits(max_updates=17))
    timeline.advance(1000)
    assert (timeline.num_arrivals, timeline.end_reason) == (17, "max_updates")
    last = timeline.time
    at_limit = make_timeline(0, plans, Limits(time_limit=last))
    at_limit.advance(1000)  # an arrival at the limit still counts
    assert (at_limit.num_arrivals, at_limit.end_reason) == (17, "time_limit")
    just_before = make_timeline(0, plans, Limits(time_limit=np.nextafter(last, 0)))
    just_before.advance(1000)
    assert just_before.num_arrivals == 16


# The random draws, at fixed seeds. Each p value has a chance of 1e-3 to be too small.


@pytest.mark.parametrize("law", sorted(LAWS))
def test_every_law_has_mean_3_and_its_support(law):
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    x = LAWS[law](u)
    assert x.mean() == pytest.approx(3.0, rel=2e-4)
    least = {"shifted_exponential": 1.0, "shifted_uniform": 1.0, "constant": 3.0}.get(law, 0.0)
    assert x.min() == pytest.approx(least, abs=0.02)
    assert x.min() >= least
    most = {"shifted_uniform": 5.0, "constant": 3.0}.get(law, math.inf)
    assert x.max() <= most
    assert np.all(np.diff(x) >= 0)  # a quantile function


@pytest.mark.parametrize("law", sorted(LAWS))
def test_laws_are_finite_at_the_ends(law):
    """The least and the greatest number that can be drawn."""
    ends = LAWS[law](np.array([2.0**-54, 1 - 2.0**-53]))
    assert np.all(np.isfinite(ends))
    assert np.all(ends >= 0)


DISTRIBUTIONS = {  # in units of beta
    "shifted_exponential": stats.expon(loc=1, scale=2),
    "shifted_uniform": stats.uniform(loc=1, scale=4),
    "half_normal": stats.halfnorm(scale=3 * math.sqrt(math.pi / 2)),
    "lognormal": stats.lognorm(s=1, scale=3 * math.exp(-0.5)),
}


@pytest.mark.parametrize("law", sorted(DISTRIBUTIONS))
def test_durations_follow_their_law(law):
    """The times of a timeline's requests, divided by scale and speed, against scipy's law."""
    seed, num_clients, scale = 11, 500, 27 * 0.074
    timeline = make_timeline(seed, [TaskPlan(200, 3, None, scale)], None, num_clients, law)
    timeline.advance(6000)
    columns = timeline.requests
    taken = np.asarray(columns.arrives_at) - np.asarray(columns.started_at)
    speeds = np.array(SPEEDS)[client_speeds(seed, num_clients, SPEEDS, SHARES)]
    x = taken / scale / speeds[np.asarray(columns.client)]
    assert stats.kstest(x, DISTRIBUTIONS[law].cdf).pvalue > 1e-3


def test_clients_are_drawn_uniformly_and_independently():
    timeline = make_timeline(3, [TaskPlan(40, 3, None, 1.0), TaskPlan(60, 2, None, 1.0)], None, 40)
    timeline.advance(20_000)
    client = np.asarray(timeline.requests.client)
    assert stats.chisquare(np.bincount(client, minlength=40)).pvalue > 1e-3
    pairs = np.bincount(client[:-1] * 40 + client[1:], minlength=1600)
    assert stats.chisquare(pairs).pvalue > 1e-3
    for task in (0, 1):
        mine = client[np.asarray(timeline.requests.task) == task]
        assert stats.chisquare(np.bincount(mine, minlength=40)).pvalue > 1e-3


def many_clients(seed: int, num_clients: int, num_chunks: int) -> np.ndarray:
    """The clients of the first dispatches of a seed."""
    classes = client_speeds(seed, num_clients, SPEEDS, SHARES)
    stream = Dispatches(seed, num_clients, "constant", classes, SPEEDS)
    return np.concatenate([stream.chunk(index)[0] for index in range(num_chunks)])


@pytest.mark.parametrize("num_clients", [3, 40, 1000])
def test_many_client_draws_are_uniform(num_clients):
    """Enough draws to see a client that is one per cent too frequent."""
    clients = many_clients(8, num_clients, 200)
    counts = np.bincount(clients, minlength=num_clients)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_a_clients_speed_and_its_draws_are_independent():
    """Slow clients are not drawn more or less often, although they are busy for longer."""
    classes, clients = client_speeds(2, 1000, SPEEDS, SHARES), many_clients(2, 1000, 10)
    counts = np.bincount(classes[clients], minlength=3)
    assert stats.chisquare(counts, len(clients) * np.array(SHARES)).pvalue > 1e-3


@pytest.mark.parametrize("num_clients", [4, 100, 1000])
def test_speed_shares_are_exact(num_clients):
    counts = np.bincount(client_speeds(7, num_clients, SPEEDS, SHARES), minlength=3)
    assert counts.tolist() == [num_clients // 4, num_clients // 2, num_clients // 4]


@given(st.integers(1, 50), st.integers(0, 9))
def test_speed_shares_are_within_one_client(num_clients, seed):
    counts = np.bincount(client_speeds(seed, num_clients, SPEEDS, SHARES), minlength=3)
    assert counts.sum() == num_clients
    assert np.all(np.abs(counts - num_clients * np.array(SHARES)) <= 1)


def test_speeds_are_in_random_order():
    """Over seeds, the first client is in each class as often as the shares say."""
    firsts = [client_speeds(seed, 8, SPEEDS, SHARES)[0] for seed in range(800)]
    counts = np.bincount(firsts, minlength=3)
    assert stats.chisquare(counts, 800 * np.array(SHARES)).pvalue > 1e-3


def test_streams_and_seeds_are_independent():
    draws = {
        (seed, stream, counter): generator(seed, stream, counter).random(4).tobytes()
        for seed in (0, 1, 2**31 - 1)
        for stream in Stream
        for counter in (0, 1)
    }
    assert len(set(draws.values())) == len(draws)


def test_a_chunk_does_not_depend_on_the_others():
    classes = client_speeds(1, 30, SPEEDS, SHARES)
    one, other = (Dispatches(1, 30, "lognormal", classes, SPEEDS) for _ in range(2))
    one.chunk(0)
    assert one.chunk(5) == other.chunk(5)
    clients, steps = other.chunk(5)
    assert len(clients) == len(steps) == CHUNK
    assert other.chunk(6)[0] != clients
