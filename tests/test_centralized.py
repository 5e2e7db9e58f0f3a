"""Centralized training: the chain of requests by hand, the pooled data, and its settings."""

from __future__ import annotations

import pytest

from fedast_jax.algorithms.centralized import Chain, ChainTimeline
from fedast_jax.algorithms.log import Limits
from fedast_jax.config.errors import ConfigError
from fedast_jax.config.work import LocalWork
from fedast_jax.data.pooled_data import PooledData
from fedast_jax.oracle import load_data
from fedast_jax.run.prepare import prepare_run
from fedast_jax.run.resolve import make_config, resolve
from fedast_jax.run.simulate import simulate
from fedast_jax.tasks import get_kind


def started(limits: Limits) -> ChainTimeline:
    """Requests of A take 2 and A has four rounds; those of B take 3."""
    return ChainTimeline([Chain(4, 2.0), Chain(None, 3.0)], limits)


# Arrivals: A at 2, B at 3, A at 4, A and B at 6 (B's request 3 was sent at 3, A's 4 at 4: B first),
# A at 8, which is its last; B at 9.
def test_two_chains_by_hand():
    timeline = started(Limits(max_updates=7))
    timeline.advance(100)
    columns = timeline.requests
    assert columns.task.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert columns.dispatched_at.tolist() == [0, 0, 2, 3, 4, 6, 6, 9]
    assert columns.started_at == columns.dispatched_at
    assert columns.arrives_at.tolist() == [2, 3, 4, 6, 6, 9, 8, 12]
    assert columns.base_round.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert set(columns.client) == {0}
    first, second = timeline.rounds
    assert (first.arrived.tolist(), second.arrived.tolist()) == ([0, 2, 4, 6], [1, 3, 5])
    assert (first.end.tolist(), second.end.tolist()) == ([1, 2, 3, 4], [1, 2, 3])
    assert (first.event.tolist(), second.event.tolist()) == ([1, 3, 5, 6], [2, 4, 7])
    assert [one[:4] for one in timeline.allocations] == [
        (0, 0, (1, 1), (1, 1)),
        (8, 6, (0, 1), (0, 1)),
    ]
    assert (timeline.end_reason, timeline.time) == ("max_updates", 9)


@pytest.mark.parametrize(
    ("limits", "reason", "time", "num_rounds"),
    [
        (Limits(max_updates=4), "max_updates", 6, [2, 2]),  # of the two at 6 the first
        (Limits(time_limit=5.9), "time_limit", 5.9, [2, 1]),
        (Limits(time_limit=6.0), "time_limit", 6, [3, 2]),
        (Limits(max_updates=5, time_limit=6.0), "max_updates", 6, [3, 2]),
    ],
)
def test_limits_are_exact_to_the_event(limits, reason, time, num_rounds):
    timeline = started(limits)
    timeline.advance(100)
    assert (timeline.end_reason, timeline.time) == (reason, time)
    assert [len(rounds) for rounds in timeline.rounds] == num_rounds
    assert [timeline.pending(task) for task in (0, 1)] == [[], []]


def test_a_target_ends_one_chain_alone():
    timeline = started(Limits(time_limit=9.0))
    mark = timeline.mark()
    timeline.advance(6)
    assert timeline.cut(mark, 3, {0: 2}) == 4
    assert (timeline.pending(0), timeline.pending(1)) == ([], [3])
    timeline.advance(100)
    assert [rounds.time.tolist() for rounds in timeline.rounds] == [[2, 4], [3, 6, 9]]
    assert timeline.is_stopped(0)


def test_the_pooled_data_is_all_there_is():
    data = load_data("softmax")
    pooled, settings = PooledData(data), make_config(table()).tasks["softmax"]
    holder = pooled.partition(settings, 20, (0, 0, 0))
    total = len(data.on_device.train["labels"])
    assert pooled.num_examples == data.num_examples == total
    assert holder.samples([0, 0]).tolist() == [[0, total], [0, total]]
    (examples,) = holder.all_samples()
    assert examples.tolist() == [list(range(total))]
    assert pooled.on_device is data.on_device  # no second copy


def table(**task) -> dict:
    task = {"max_rounds": 2, **task}
    return {
        "algorithm": "centralized",
        "machine": {"batch_width": 2},
        "tasks": {"softmax": task},
    }


def test_a_request_is_as_many_steps_on_batches_of_everything():
    config = make_config(table())
    task = config.tasks["softmax"]
    assert task.work == LocalWork(10, 1, None, 25)
    work = resolve(config).tasks[0].work
    assert work == LocalWork(10, None, 2, None)
    assert (task.num_active, task.buffer_size, task.server_lr) == (1, 1, 1.0)
    (pool,) = prepare_run([config]).pools
    assert pool.spec.work == work
    assert isinstance(pool.data, PooledData)


def test_time_is_the_mean_of_the_laws():
    """Two steps of 3 * 0.5: the first of two rounds ends at 3."""
    result = simulate(make_config(table(test_every=1)))
    assert result.evaluations.time.tolist() == [3.0, 6.0]
    requests = result.requests()
    assert (requests.used_round - requests.base_round == 0).all()  # no staleness
    partition = list(result.partition())
    assert sum(len(one) for one in partition) == load_data("softmax").num_examples


def test_more_clients_than_roles_do_not_matter(tmp_path, monkeypatch):
    """Text: windows of all roles."""
    monkeypatch.setenv("FEDAST_DATA_DIR", str(tmp_path))
    plays = tmp_path / "shakespeare" / "plays"
    plays.mkdir(parents=True)
    text = "".join(f"R{role}:\n{'abcdefgh ' * 90}\n\n" for role in range(3))
    (plays / "a.txt").write_text(text)
    task = {"max_rounds": 1, "local_steps": 2, "batch_size": 8, "test_every": 1}
    config = {"algorithm": "centralized", "num_clients": 1000, "machine": {"batch_width": 1}}
    result = simulate(make_config({**config, "tasks": {"shakespeare": task}}))
    (loss,) = result.evaluations.loss
    assert 0 < loss < 6  # ln 80 = 4.4 before training
    (table_,) = result.partition()
    data = get_kind("shakespeare").load("shakespeare", None)
    assert len(table_) == len(data.on_device.train["starts"])


@pytest.mark.parametrize(
    ("task", "got"),
    [
        ({"server_lr": 0.5}, "got 0.5 and 'sgd'"),
        ({"server_optimizer": "adam"}, "got 1.0 and 'adam'"),
    ],
)
def test_the_server_takes_the_model_as_it_is(task, got):
    with pytest.raises(ConfigError) as error:
        make_config(table(**task))
    assert got in str(error.value)
    assert "tasks.softmax needs server_lr=1.0" in str(error.value)
