"""Option D: how requests are shared out, worked by hand, and what always holds (section 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedast_jax.algorithms.allocation import (
    PERIOD,
    follow,
    in_turn,
    neediest,
    share_out,
    share_out_known,
    sigma_hat,
)
from fedast_jax.algorithms.async_state import TaskPlan
from fedast_jax.algorithms.asynchronous import Timeline
from fedast_jax.algorithms.log import Limits
from fedast_jax.clients.delays import LAWS, Dispatches, client_speeds
from fedast_jax.config.errors import ConfigError
from fedast_jax.engine.engine import Engine
from fedast_jax.oracle import shared_out
from fedast_jax.run.executor import Device, PlanOnly
from fedast_jax.run.resolve import make_config, resolve
from fedast_jax.study.fuzz.drive import KeepingDriver, engine_spec, pools_of

SPEEDS, SHARES = (1.3, 1.0, 0.7), (0.25, 0.5, 0.25)
NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("weights", "total", "shares"),
    [
        ([1.0], 5, [5]),
        ([1.0, 3.0], 8, [2, 6]),
        ([1.0, 1.0, 1.0], 10, [4, 3, 3]),  # remainders 1/3 each: the first
        ([5.0, 3.0, 2.0], 7, [4, 2, 1]),  # 3.5, 2.1, 1.4: the first has the largest remainder
        ([1.0, 1.0, 2.0], 6, [2, 1, 3]),  # 1.5, 1.5, 3: a tie
        ([1.0, 1.0, 7.0], 12, [2, 1, 9]),  # 4/3, 4/3, 28/3: a tie of three
        ([1.0, 1.0, 100.0], 10, [1, 1, 8]),  # 0.1, 0.1, 9.8 -> 0, 0, 10: two short of 1
        ([0.0, 1.0], 4, [1, 3]),
        ([0.0, 0.0, 0.0], 7, [3, 2, 2]),  # nothing is known: equal
        ([NAN, 9.0], 4, [2, 2]),
        ([INF, 1.0, 1.0], 3, [1, 1, 1]),
        ([100.0, 84.0, 48.0, 68.0], 300, [100, 84, 48, 68]),  # Sync-ST in the paper
    ],
)
def test_shares_by_hand(weights, total, shares):
    assert share_out(weights, total) == shares
    assert shared_out(weights, total) == shares


WEIGHTS = st.lists(st.integers(0, 9), min_size=1, max_size=6)  # many ties


@given(WEIGHTS | st.lists(st.floats(0, 1e3), min_size=1, max_size=6), st.integers(0, 40))
def test_shares_are_largest_remainders_in_exact_fractions(weights, more):
    total = len(weights) + more
    shares = share_out([float(weight) for weight in weights], total)
    assert shares == shared_out(weights, total)
    assert sum(shares) == total
    assert min(shares) >= 1


def test_too_few_requests_for_the_tasks():
    with pytest.raises(ValueError, match="3 tasks one of 2 requests"):
        share_out([1.0, 1.0, 1.0], 2)


def test_sigma_hat_by_hand():
    """sqrt(0.1 * 0.5 * 20 * 4) = sqrt(4)."""
    assert sigma_hat(4.0, 0.1 * 0.5 * 20) == pytest.approx(2.0)
    assert math.isnan(sigma_hat(NAN, 1.0))


# Updates whose first two numbers are (1, 0), (3, 0), (2, 3): mean (2, 1); squared distances
# 1+1, 1+1, 0+4: (2 + 2 + 4) / 3; squared mean 5. The spread is (8/3) / 5 = 8/15.
UPDATES = [(1.0, 0.0), (3.0, 0.0), (2.0, 3.0)]


@pytest.mark.parametrize("rows", [[0, 1, 2], [5, 3, 7]])
def test_spread_by_hand(rows):
    """Whichever rows the updates lie in, and whatever the other rows hold."""
    config = make_config(
        {"tasks": {"softmax": {}}, "max_updates": 1, "machine": {"batch_width": 1}}
    )
    engine = Engine(engine_spec(config, resolve(config).tasks[0]))
    updates = np.full((9, engine.num_params), 1e6, np.float32)
    updates[rows] = 0.0
    updates[rows, :2] = UPDATES
    padded = np.zeros(8, np.int32)
    padded[:3] = rows
    assert float(engine.spread(jnp.asarray(updates), padded, np.int32(3))) == pytest.approx(8 / 15)


def test_the_device_asks_for_the_updates_of_its_rows():
    config = make_config(
        {"tasks": {"softmax": {}}, "max_updates": 1, "machine": {"batch_width": 1}}
    )
    (pool,), _ = pools_of(config)
    pool.grow(1, 8)
    device = Device()
    assert math.isnan(device.spread(pool, [4, 2]))  # rows of zeros: their mean has no length
    loaded = device._load(pool)
    rows = np.zeros(loaded.arrays.updates.shape, np.float32)
    rows[[4, 2], 0] = 1.0, 3.0  # mean 2, distances 1 and 1: 1 / 4
    loaded.arrays = loaded.arrays._replace(updates=jax.device_put(rows))
    assert device.spread(pool, [4, 2]) == pytest.approx(0.25)


class Listed(Dispatches):
    """A dispatch stream that is written down: clients and times of one local step."""

    def __init__(self, clients: Sequence[int], steps: list[float]) -> None:
        self.clients, self.steps = list(clients), steps

    def chunk(self, index: int) -> tuple[list[int], list[float]]:
        assert index == 0
        return self.clients, self.steps


# Tasks A (R=1, b=1) and B (R=3, b=3, three rounds); both ratios R/b are 1. The period is 0.25, so
# reallocations are at the multiples of 0.25 * 2 * 4 = 2. Requests 0 (A) and 1, 2, 3 (B) at t=0.
#
#   t=1     1 arrives: B has 1 of 3. K = 1: request 4 (B), takes 9 -> 10
#   t=1.5   0 arrives, c=2: neither has two arrivals: all stays. A's round 1. K = 1: 5 (A) -> 2
#   t=2     2 arrives (tie with 5): B has 2 of 3. K = 1: 6 (B), takes 8 -> 10
#   t=2     5 arrives, c=4: sigma_hat (3, 1) makes R = b = (3, 1), but A's round has opened with 1:
#           its round 2 = {5}. In flight A 0, B 3: K = min(2, 3 - 0, 4 - 3) = 1: 7 (A) -> 6
#   t=3     3 arrives, c=5: B's round 1 = {1, 2, 3}, as it opened. B has 2 in flight and may have 1:
#           K = 0
#   t=6     7 arrives, c=6: sigma_hat is no number for A: R = b = (2, 2). A has 1 of 3.
#           K = min(2, 2 - 0, 4 - 2) = 2: 8 -> 10.5 and 9 -> 11
#   t=10    4 arrives (tie with 6), c=7: B's round 2 = {4}. K = min(2, 2 - 1, 4 - 3) = 1: 10 -> 12
#   t=10    6 arrives, c=8: sigma_hat (1, 3) makes R = b = (1, 3). B has 1 of 2. In flight A 2, B 1:
#           K = min(2, 3 - 1, 4 - 3) = 1: 11 (B) -> 11
#   t=10.5  8 arrives, c=9: A has 2 of 3. In flight A 1: K = 0
#   t=11    9 arrives (tie with 11), c=10: sigma_hat (1, 3) again. A's round 3 = {7, 8, 9}.
#           K = min(2, 1 - 0, 4 - 2) = 1: 12 (A) -> 20
#   t=11    11 arrives, c=11: B's round 3 = {6, 11}, its last. Its R goes to A: R_A = b_A = 4, and
#           nothing is dispatched. 10 is cancelled. One task is left: no more reallocations
#   t=20    12 arrives, c=12: A's round 4 = {12}, as it opened. K = min(2, 4, 4) = 2: 13 and 14
def test_two_tasks_by_hand():
    steps = [1.5, 1.0, 2.0, 3.0, 9.0, 0.5, 8.0, 4.0, 4.5, 5.0, 2.0, 1.0, 9.0, 99.0, 99.0]
    plans = [TaskPlan(1, 1, None, 1.0), TaskPlan(3, 3, 3, 1.0)]
    timeline = Timeline(
        0, plans, Limits(max_updates=12), Listed(range(15), steps), realloc_period=0.25
    )
    estimates = {2: [NAN, NAN], 4: [3.0, 1.0], 6: [NAN, 1.0], 8: [1.0, 3.0], 10: [1.0, 3.0]}
    while timeline.end_reason is None:
        timeline.advance(100)
        if timeline.is_waiting:
            timeline.reallocate(estimates.pop(timeline.num_arrivals))
    assert not estimates
    assert [one[:4] for one in timeline.allocations] == [
        (0, 0, (1, 3), (1, 3)),
        (1.5, 2, (1, 3), (1, 3)),
        (2, 4, (3, 1), (3, 1)),
        (6, 6, (2, 2), (2, 2)),
        (10, 8, (1, 3), (1, 3)),
        (11, 10, (1, 3), (1, 3)),
        (11, 11, (4, 0), (4, 3)),
    ]
    assert timeline.requests.task.tolist() == [0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0]
    sent = [0, 0, 0, 0, 1, 1.5, 2, 2, 6, 6, 10, 10, 11, 20, 20]
    assert timeline.requests.dispatched_at.tolist() == sent
    assert timeline.requests.base_round.tolist() == [0, 0, 0, 0, 0, 1, 0, 2, 2, 2, 2, 2, 3, 4, 4]
    first, second = timeline.rounds
    assert (first.arrived.tolist(), first.end.tolist()) == ([0, 5, 7, 8, 9, 12], [1, 2, 5, 6])
    assert second.arrived.tolist() == [1, 2, 3, 4, 6, 11]
    assert (second.end.tolist(), second.time.tolist()) == ([3, 4, 6], [3, 10, 11])


# Two clients may be active; A and B have R=2, b=1; the period is 0.5 * 2 * 4 = 4. In turn:
#
#   t=0  A: client 0: request 0 -> 1.  B: client 1: request 1 -> 2.  A: client 2 and B: client 3 are
#        dropped: each is owed 1
#   t=1  0 arrives. K = min(2, 2 - 0 - 1, 4 - 1 - 2) = 1: client 0: request 2 -> 3.  Owed: A (tie):
#        client 2: dropped
#   t=2  1 arrives. K = 1: client 1: request 3 -> 4.  Owed: A: client 3: dropped
#   t=3  2 arrives. K = 1: client 0: request 4 -> 5.  Owed: A: client 2: dropped
#   t=4  3 arrives, c=4: R = (1, 3). B has 0 in flight and is owed 1: K = min(2, 3 - 1, 4 - 3) = 1:
#        client 1: request 5 -> 6.  Owed: A (1/1 against 1/3): client 0: request 6 -> 6
#   t=5  4 arrives. A has 1 in flight and may have 1: K = 0.  Owed: B: client 2: dropped
#   t=6  5 arrives (tie with 6). K = min(2, 3 - 0 - 1, 4 - 1 - 1) = 2: client 0, behind 6, and
#        client 3: requests 7 and 8.  Owed: B: client 1: dropped
def test_what_is_owed_counts_as_in_flight():
    clients = [0, 1, 2, 3, 0, 2, 1, 3, 0, 2, 1, 0, 2, 0, 3, 1]
    steps = [1.0, 2.0, 9.0, 9.0, 2.0, 9.0, 2.0, 9.0, 2.0, 9.0, 2.0, 1.0, 9.0, 1.0, 1.0, 9.0]
    plans = [TaskPlan(2, 1, None, 1.0), TaskPlan(2, 1, None, 1.0)]
    stream = Listed(clients, steps)
    timeline = Timeline(0, plans, Limits(6, None, 2), stream, realloc_period=0.5)
    timeline.advance(6)
    timeline.reallocate([1.0, 3.0])
    timeline.advance(6)
    assert timeline.num_active == [1, 3]
    assert timeline.requests.task.tolist() == [0, 1, 0, 1, 0, 1, 0, 1, 1]
    assert timeline.requests.client.tolist() == [0, 1, 0, 1, 0, 1, 0, 0, 3]
    assert timeline.requests.dispatched_at.tolist() == [0, 0, 1, 2, 3, 4, 4, 6, 6]
    assert timeline._state.owed == [0, 1]


@pytest.mark.parametrize(
    ("counts", "order"),
    [
        ([3], [0, 0, 0]),
        ([2, 2], [0, 1, 0, 1]),
        ([2, 4], [0, 1, 1, 0, 1, 1]),  # after A, B, B: A has had 1/2, B 2/4: the first
        ([1, 3, 0, 2], [0, 1, 3, 1, 3, 1]),
        ([0, 0], []),
    ],
)
def test_turns_by_hand(counts, order):
    assert in_turn(counts) == order


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_turns_are_in_proportion(counts):
    """Whoever is next has had the least part of its own, of equals the first, in fractions."""
    had = [0] * len(counts)
    for task in in_turn(counts):
        parts = [
            (Fraction(got, count), place)
            for place, (got, count) in enumerate(zip(had, counts, strict=True))
            if got < count
        ]
        assert min(parts)[1] == task
        had[task] += 1
    assert had == counts


@pytest.mark.parametrize(
    ("owed", "num_active", "task"),
    [
        ([0, 0], [3, 3], None),
        ([1, 2], [3, 3], 1),
        ([2, 1], [6, 3], 0),  # a tie
        ([0, 1, 9], [0, 3, 30], 1),  # the first has ended
        ([5, 1], [4, 1], 0),  # more than its R
    ],
)
def test_who_is_owed_most(owed, num_active, task):
    assert neediest(owed, num_active) == task


@pytest.mark.parametrize(
    ("num_active", "first", "size"),
    [
        (35, (14, 3), 8),  # 7.5; 35 / (14 / 3) is 7.499...
        (14, (14, 3), 3),
        (1, (14, 3), 1),  # 0.2: at least 1
        (7, (6, 3), 4),  # 3.5
        (10**7, (10**7 - 1, 10**7 - 1), 10**7),
    ],
)
def test_b_is_rounded_exactly(num_active, first, size):
    assert follow(num_active, *first) == size


@pytest.mark.parametrize(
    ("weights", "num_active", "num_arrived", "shares"),
    [
        ([9.0, 1.0], [2, 6], [1, 8], [2, 6]),  # only one is known: it has the rest already
        ([9.0, 1.0, 3.0], [2, 6, 2], [0, 2, 9], [2, 2, 6]),
        ([NAN, 1.0, NAN], [2, 1, 5], [2, 1, 2], [4, 1, 3]),  # known, but no number: equal
        ([1.0, 9.0], [2, 6], [0, 1], [2, 6]),
    ],
)
def test_who_has_had_few_arrivals_keeps_its_requests(weights, num_active, num_arrived, shares):
    assert share_out_known(share_out, weights, num_active, num_arrived) == shares


def test_reallocations_do_not_drift():
    """The period is 0.75 * 2 * 5 = 7.5: the first arrivals at or after its multiples."""
    plans = [TaskPlan(2, 1, None, 1.0), TaskPlan(3, 1, None, 1.0)]
    timeline = Drawn(0, plans, Limits(61), 30, "constant", PERIOD).start()
    go_on(timeline, 1000)
    made = [one.arrivals for one in timeline.allocations if one.sigma_hat]
    assert made == [8, 15, 23, 30, 38, 45, 53, 60]


def test_periods_count_from_the_last_end_of_a_task():
    """Three tasks, 0.75 * 3 * 6 = 13.5; one ends, then 0.75 * 2 * 6 = 9."""
    plans = [TaskPlan(2, 1, None, 1.0), TaskPlan(2, 1, None, 1.0), TaskPlan(2, 1, 8, 1.0)]
    timeline = Drawn(0, plans, Limits(80), 30, "constant", PERIOD).start()
    go_on(timeline, 1000)
    (end,) = [one.arrivals for one in timeline.allocations[1:] if one.sigma_hat is None]
    made = [one.arrivals for one in timeline.allocations if one.sigma_hat]
    assert 14 < end < 80 - 18
    before = [one for one in (14, 27, 41, 54) if one <= end]
    assert made == [*before, *range(end + 9, 81, 9)]


class Drawn(NamedTuple):
    """What a timeline with option D is made of."""

    seed: int
    plans: list[TaskPlan]
    limits: Limits
    num_clients: int
    law: str
    period: float | Fraction

    def start(self) -> Timeline:
        """A new timeline at time 0."""
        classes = client_speeds(self.seed, self.num_clients, SPEEDS, SHARES)
        dispatches = Dispatches(self.seed, self.num_clients, self.law, classes, SPEEDS)
        return Timeline(self.seed, self.plans, self.limits, dispatches, self.period)

    @property
    def total(self) -> int:
        """The sum of R."""
        return sum(plan.num_active for plan in self.plans)


@st.composite
def drawn_timelines(draw) -> Drawn:
    has_buffer, num_clients = draw(st.booleans()), draw(st.sampled_from([2, 3, 5, 30]))
    plans = []
    for _ in range(draw(st.integers(2, 4))):
        num_active = draw(st.integers(1, 5))
        size = draw(st.integers(1, num_active)) if has_buffer else 1
        most = draw(st.none() | st.integers(1, 12))
        scale = draw(st.sampled_from([1.0, 1.0, 0.3]))
        plans.append(TaskPlan(num_active, size, most, scale, keeps_buffer_size=not has_buffer))
    cap = draw(st.none() | st.integers(1, min(num_clients, 6)))
    return Drawn(
        draw(st.integers(0, 1000)),
        plans,
        Limits(draw(st.integers(20, 150)), None, cap),
        num_clients,
        draw(st.sampled_from(sorted(LAWS))),
        draw(st.sampled_from([0.1, 0.3, 0.75])),
    )


def go_on(timeline: Timeline, until: int) -> None:
    """Advance; where the timeline waits, share out by weights that belong to the event."""
    while timeline.num_arrivals < until and timeline.end_reason is None:
        timeline.advance(until)
        if timeline.is_waiting:
            random = np.random.default_rng(timeline.num_arrivals)
            timeline.reallocate((random.random(len(timeline.rounds)) ** 4).tolist())


@given(drawn_timelines())
def test_the_requests_in_flight_never_exceed_their_sum(drawn):
    timeline, tasks = drawn.start(), range(len(drawn.plans))
    while timeline.end_reason is None:
        go_on(timeline, timeline.num_arrivals + 1)
        timeline.advance(timeline.num_arrivals)  # finish the arrival that waited
        if timeline.end_reason is None:
            pending = sum(len(timeline.pending(task)) for task in tasks)
            buffered = sum(len(timeline.buffered(task)) for task in tasks)
            assert pending - buffered <= drawn.total


@given(drawn_timelines())
def test_allocations_keep_the_sum_and_give_every_task_something(drawn):
    timeline = drawn.start()
    go_on(timeline, 1000)
    for _, arrivals, num_active, buffer_size, sigma in timeline.allocations:
        assert sum(num_active) == drawn.total
        assert min(buffer_size) >= 1
        open_tasks = [active for active in num_active if active]
        rounds = [[event <= arrivals for event in one.event] for one in timeline.rounds]
        ended = [sum(one) == plan.max_rounds for one, plan in zip(rounds, drawn.plans, strict=True)]
        assert len(open_tasks) >= ended.count(False)
        assert sigma is None or len(open_tasks) > 1
        for plan, active, size in zip(drawn.plans, num_active, buffer_size, strict=True):
            if plan.keeps_buffer_size:
                assert size == 1
            elif active:
                exact = Fraction(active * plan.buffer_size, plan.num_active)
                assert size == max(1, math.floor(exact + Fraction(1, 2)))


@given(drawn_timelines())
def test_reallocations_are_at_multiples_of_the_period(drawn):
    """Since a task last ended, each at the first arrival at or after one."""
    timeline = drawn.start()
    go_on(timeline, 1000)
    changed, num_open, found = 0, len(drawn.plans), []
    for one in timeline.allocations:
        if one.sigma_hat is not None:
            found.append(one.arrivals)
            period = Fraction(drawn.period) * num_open * drawn.total
            count = one.arrivals - changed
            assert count // period > (count - 1) // period
        elif one.arrivals:
            changed = one.arrivals
        num_open = len(drawn.plans) - one.num_active.count(0)
    assert found == sorted(set(found))


@given(drawn_timelines())
def test_what_is_in_flight_or_owed_stays_within_the_sum(drawn):
    timeline = drawn.start()
    while timeline.end_reason is None:
        go_on(timeline, timeline.num_arrivals + 1)
        timeline.advance(timeline.num_arrivals)  # finish the arrival that waited
        state = timeline._state
        assert min(state.owed) >= 0
        assert sum(state.in_flight) + sum(state.owed) <= drawn.total


@given(drawn_timelines(), st.lists(st.integers(1, 30), max_size=20), st.integers(0, 80))
def test_pieces_and_rewinding_change_nothing(drawn, pieces, first):
    whole, cut = drawn.start(), drawn.start()
    go_on(whole, 1000)
    go_on(cut, first)
    mark = cut.mark()
    for piece in pieces:
        go_on(cut, cut.num_arrivals + piece)
    cut.rewind(mark)
    go_on(cut, 1000)
    for name, column in vars(whole.requests).items():
        assert column == getattr(cut.requests, name)
    assert whole.rounds == cut.rounds
    assert whole.allocations == cut.allocations


def test_no_reallocation_with_option_s_or_a_single_task():
    plans = [TaskPlan(4, 2, None, 1.0)]
    drawn = Drawn(0, plans, Limits(200), 30, "constant", 0.1)
    timeline = drawn.start()
    timeline.advance(200)
    assert timeline.end_reason == "max_updates"
    assert len(timeline.allocations) == 1
    assert drawn.start().kept_updates(0) == []
    assert len(timeline.kept_updates(0)) == 8
    static = Timeline(0, plans, Limits(200), Dispatches(0, 30, "constant", np.zeros(30, int), [1]))
    static.advance(20)
    assert static.kept_updates(0) == []


@pytest.mark.parametrize("algorithm", ["async_fl", "fedbuff"])
def test_algorithms_of_a_single_task(algorithm):
    table = {"tasks": {"softmax": {}}, "max_updates": 50, "machine": {"batch_width": 2}}
    several = {"tasks": {"softmax": {"copies": 2}}}
    with pytest.raises(ConfigError, match=f"{algorithm}' trains one task, got 2; choose 'fedast'"):
        make_config({**table, **several, "algorithm": algorithm})
    make_config({**table, **several, "algorithm": "fedast_nobuffer"})
    general = {"async_fl": "fedast_nobuffer", "fedbuff": "fedast"}[algorithm]
    one, other = (planned({**table, "algorithm": name}) for name in (algorithm, general))
    assert vars(one.requests) == vars(other.requests)
    assert one.rounds == other.rounds


def planned(table: dict) -> Timeline:
    """The only replicate's events."""
    config = make_config(table)
    pools, setting = pools_of(config)
    driver = KeepingDriver([setting], pools, PlanOnly())
    driver.run(1, 20)
    timeline = driver.ended[0].timeline
    assert isinstance(timeline, Timeline)
    return timeline


def test_without_buffers_every_arrival_is_a_round():
    tasks = {"softmax": {"num_active": 6, "buffer_size": 3, "max_rounds": 9}, "tanh": {}}
    table = {
        "tasks": tasks,
        "max_updates": 60,
        "machine": {"batch_width": 2},
        "algorithm": "fedast_nobuffer",
    }
    timeline = planned(table)
    for rounds in timeline.rounds:
        assert rounds.end.tolist() == list(range(1, len(rounds.arrived) + 1))
    assert timeline.num_active == [0, 12]
    assert timeline.buffer_size == [1, 1]
