"""The precision of products, where a machine has only one."""

from __future__ import annotations

import conftest  # noqa: F401  # its kinds of task
import jax
import pytest
from pandas.testing import assert_frame_equal

import fedast_jax as fx
from fedast_jax.run.machine import say_where_it_gains_nothing

TABLE = {"tasks": {"softmax": {"max_rounds": 6, "num_active": 6, "test_every": 2}}}


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="an accelerator has several precisions")
def test_a_cpu_has_one_precision_and_says_so_once(capsys):
    say_where_it_gains_nothing.cache_clear()
    plain = fx.simulate(TABLE)
    assert "gains nothing" not in capsys.readouterr().err
    coarse = [fx.simulate(TABLE, overrides=["machine.precision=bfloat16"]) for _ in range(2)]
    assert capsys.readouterr().err.count("machine.precision = 'bfloat16' gains nothing") == 1
    for result in coarse:
        assert_frame_equal(result.evaluations, plain.evaluations)
