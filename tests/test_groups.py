"""Arms of different programs: who is resident together, and what that takes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import fedast_jax as fx
from fedast_jax.run.groups import groups_of, in_groups
from fedast_jax.run.prepare import prepare_run
from fedast_jax.run.replicate import jobs_of

THREE = ["fedast", "ca2fl", "ace"]  # three rules, so three programs


def arms_of(*pools: list[int]) -> Any:
    return [SimpleNamespace(pool_of=pool_of) for pool_of in pools]


def test_arms_are_joined_by_the_pools_that_they_share():
    arms = arms_of([0, 1], [2, 2], [3, 4], [4, 1], [5])
    jobs = [(arm, seed) for seed in range(2) for arm in range(5)]
    found = [(group.arms, sorted(group.pools), group.num_jobs) for group in groups_of(arms, jobs)]
    assert found == [((0, 2, 3), [0, 1, 3, 4], 6), ((1,), [2], 2), ((4,), [5], 2)]
    assert [job for job in in_groups(jobs, arms) if job[0] != 4] == [
        (0, 0), (2, 0), (3, 0), (0, 1), (2, 1), (3, 1), (1, 0), (1, 1)
    ]  # fmt: skip


def test_arms_of_one_program_keep_their_turns():
    arms, jobs = arms_of([0], [0]), [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert in_groups(jobs, arms) == jobs


def configs(num_seeds: int, **machine: Any) -> list[fx.Config]:
    """Three methods of which none can train in another's pool."""
    table = {
        "num_clients": 20, "max_updates": 300, "num_seeds": num_seeds, "machine": machine,
        "tasks": {"digits": {"num_active": 8, "buffer_size": 2}},
    }  # fmt: skip
    return [fx.make_config({**table, "algorithm": method}) for method in THREE]


def test_programs_come_one_after_another():
    jobs = prepare_run(configs(2)).jobs
    assert jobs == [(arm, seed) for arm in range(3) for seed in range(2)]


@pytest.mark.parametrize("num_seeds", [1, 6])
def test_a_pool_has_rows_for_the_replicates_that_train_in_it(num_seeds):
    prepared = prepare_run(configs(num_seeds))
    assert [needs.most for needs in prepared.sizing.needs] == [num_seeds] * 3
    for needs in prepared.sizing.needs:
        assert needs.rows(num_seeds) == needs.rows(3 * num_seeds)
        assert needs.bytes(num_seeds) == needs.bytes(3 * num_seeds)


def test_others_do_not_fill_a_batch():
    """A replicate can train about 3 requests at once: one seed of each method leaves 16 empty."""
    alone = prepare_run(configs(1, batch_width=16)).sizing
    many = prepare_run(configs(12, batch_width=16)).sizing
    assert alone.fill < 0.5 <= many.fill
    assert many.num_resident < len(jobs_of(configs(12)))
