"""The memory that sizing counts for compiled programs, beside what their compiler says."""

from __future__ import annotations

import jax
import pytest

from fedast_jax.engine.engine import Engine
from fedast_jax.engine.workspace import order_bytes, training_bytes
from fedast_jax.run import bench
from fedast_jax.tasks import get_kind

pytestmark = pytest.mark.optimised


@pytest.mark.parametrize("name", ["softmax", "digits", "digits_cnn"])
def test_a_program_holds_what_was_counted(name):
    """The program that trains; never more, and not much less, than the estimate."""
    engine = Engine(bench.engine_spec(get_kind(name), 16, 1, jax.default_backend()))
    pool = jax.eval_shape(lambda: engine.empty_pool(40, 40))
    data, program = bench.random_data(engine.spec.kind), bench.full_batches(engine, 1)
    found = engine.run.lower(pool, program, data).compile().memory_analysis()
    if found is None:
        pytest.skip("this backend does not tell")
    task, work = engine.task, engine.spec.work
    each = training_bytes(task, data, work.batch_size) + order_bytes(work)
    estimate = engine.spec.micro_batch * each
    assert found.temp_size_in_bytes <= estimate <= 1.6 * found.temp_size_in_bytes
