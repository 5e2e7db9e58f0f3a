"""Shares of a run, put together again, are the run: bit for bit, whoever runs them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import assert_identical

import fedast_jax as fx
from fedast_jax.results.records import RunRecord
from fedast_jax.run.cluster.shares import from_bytes, merge, run_share, to_bytes
from fedast_jax.run.options import RunOptions
from fedast_jax.run.replicate import jobs_of

pytestmark = pytest.mark.optimised

BASE = {
    "num_clients": 20,
    "max_updates": 60,
    "num_seeds": 3,
    "tasks": {
        "digits": {"num_active": 6, "buffer_size": 2, "test_every": 2, "samples_per_client": 20},
        "other": {"kind": "digits", "num_active": 4, "buffer_size": 1, "samples_per_client": 30},
    },
}
KEEPS = RunOptions(keep_models=True, keep_requests=True)


@pytest.fixture(scope="module")
def configs() -> list[fx.Config]:
    """Two settings of different length, with different numbers of seeds."""
    return [fx.make_config(BASE), fx.make_config(BASE | {"num_seeds": 2, "max_updates": 30})]


@pytest.fixture(scope="module")
def whole(configs) -> list[fx.Result]:
    return fx.simulate_together(configs, **KEEPS.keeps)


def sent(share: RunRecord) -> RunRecord:
    """As another process gets it."""
    return RunRecord.from_plain(from_bytes(to_bytes(share.to_plain()), "the share"))


def assert_same(ours: list[fx.Result], theirs: list[fx.Result]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert one.status == other.status
        for table in ("evaluations", "lanes"):
            assert getattr(one, table).equals(getattr(other, table)), table
        assert one.requests().equals(other.requests())
        assert one.allocations().equals(other.allocations())
        assert_identical(one.summary(), other.summary())
        assert one.models().keys() == other.models().keys()
        for name, leaf in one.models().items():
            np.testing.assert_array_equal(leaf, other.models()[name])
        for part, expected in zip(one.partition(), other.partition(), strict=True):
            assert part.equals(expected)
        assert one.manifest()["counts"]["arrivals"] == other.manifest()["counts"]["arrivals"]


@pytest.mark.parametrize("num_shares", [1, 2, 4])
def test_shares_of_every_size_make_up_the_run(configs, whole, num_shares):
    jobs = jobs_of(configs)
    shares = [sent(run_share(configs, jobs[n::num_shares], KEEPS)) for n in range(num_shares)]
    assert_same(merge(configs, shares[::-1], 1.0), whole)


def test_a_missing_share_leaves_the_run_interrupted(configs, whole):
    share = run_share(configs, [(1, 0)], KEEPS)
    first, second = merge(configs, [share], 1.0)
    assert (first.status, second.status) == ("interrupted", "interrupted")
    assert len(first.evaluations) == 0
    expected = whole[1].evaluations.query("replicate == 0")
    assert second.evaluations.equals(expected)
    nothing = merge(configs, [], 1.0)
    assert [one.status for one in nothing] == ["interrupted", "interrupted"]
    assert nothing[0].summary()["num_finished"] == 0


def test_an_interrupted_share_is_kept_as_far_as_it_came(configs):
    asked = []
    options = replace(KEEPS, is_stopped=lambda: len(asked) > 3 or asked.append(1))
    share = run_share(configs, [(0, 0), (1, 1)], options)
    assert len(share.replicates) == 2
    first, _ = merge(configs, [sent(share)], 1.0)
    assert first.status == "interrupted"
    assert set(first.lanes.end_reason) == {"interrupted"}


def test_nothing_is_counted_twice(configs):
    share = run_share(configs, [(1, 0)], KEEPS)
    with pytest.raises(AssertionError, match="counted twice"):
        merge(configs, [share, share], 1.0)
