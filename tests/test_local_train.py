"""Algorithm 1 against a plain Python loop, and the way batches are drawn."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from fedast_jax.clients import batches
from fedast_jax.clients.batches import AUGMENT, batch_orders
from fedast_jax.config.work import LocalWork
from fedast_jax.engine.local_train import Trained, local_train, side_by_side
from fedast_jax.tasks import TASKS, Shape, TaskFunctions

pytestmark = pytest.mark.optimised

EPOCHS = LocalWork(batch_size=4, local_epochs=2, local_steps=None, num_samples=11)
STEPS = LocalWork(batch_size=4, local_epochs=None, local_steps=5, num_samples=11)
FEW = LocalWork(batch_size=4, local_epochs=None, local_steps=5, num_samples=3)
WHOLE = LocalWork(batch_size=11, local_epochs=3, local_steps=None, num_samples=11)
WORKS = {"epochs": EPOCHS, "steps": STEPS, "few samples": FEW, "whole": WHOLE}


TASK = TASKS["digits"].build(Shape((8, 8, 1), 10))
GRADIENT = jax.jit(
    jax.value_and_grad(lambda x, data, rows: TASK.loss(x, TASK.take(data, rows, None)))
)


def digits(num_examples: int = 40):
    """Random digits, and the first parameters of their task."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 17, (num_examples, 8, 8, 1), dtype=np.uint8)
    labels = rng.integers(0, 10, num_examples, dtype=np.int32)
    data = {"images": jnp.asarray(images), "labels": jnp.asarray(labels)}
    return data, TASK.init(jax.random.key(0))


def samples_of(work: LocalWork, first: int = 5) -> jax.Array:
    assert work.num_samples is not None
    return jnp.arange(first, first + work.num_samples, dtype=jnp.int32)


def one_step_at_a_time(work, data, params, samples, key, client_lr, weight_decay):
    """Algorithm 1 as printed, in NumPy: ``x <- x - eta_c (grad + lambda x)``; the mean loss."""
    x = params = jax.tree.map(np.asarray, params)
    losses = []
    for positions in np.asarray(batch_orders(work, key)):
        loss, gradient = GRADIENT(x, data, np.asarray(samples)[positions])
        gradient = jax.tree.map(np.asarray, gradient)
        x = jax.tree.map(lambda p, g: p - client_lr * (g + weight_decay * p), x, gradient)
        losses.append(float(loss))
    return Trained(jax.tree.map(np.subtract, params, x), jnp.asarray(np.mean(losses)))


def assert_trees_close(ours, theirs, **tolerance):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerance), ours, theirs)


@pytest.mark.parametrize("name", sorted(WORKS))
def test_training_is_the_plain_loop(name):
    work = WORKS[name]
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        data, params = digits()
        args = (data, params, samples_of(work), jax.random.key(3), 0.3, 0.01)
        ours = jax.jit(lambda *a: local_train(TASK, work, *a))(*args)
        theirs = one_step_at_a_time(work, *args)
        assert_trees_close(ours, theirs, rtol=1e-9, atol=1e-12)
        assert {leaf.dtype for leaf in jax.tree.leaves(ours)} == {jnp.dtype(jnp.float64)}


def test_weight_decay_shrinks_parameters_that_have_no_gradient():
    task = TaskFunctions(
        init=lambda key: jnp.array([2.0, -4.0]),
        take=lambda data, index, key: data[index],
        loss=lambda params, batch: 0.0 * params.sum(),
        score=lambda params, batch: (batch, batch),
    )
    # Five steps, each multiplying by 1 - 0.1 * 0.5 = 0.95.
    start = task.init(jax.random.key(0))
    update, loss = local_train(
        task, STEPS, jnp.zeros(20), start, samples_of(STEPS), jax.random.key(0), 0.1, 0.5
    )
    assert loss == 0.0
    np.testing.assert_allclose(start - update, start * 0.95**5, rtol=1e-6)


def test_learning_rate_and_decay_may_differ_between_clients_of_one_program():
    data, params = digits()
    rates, decays = jnp.array([0.1, 0.3]), jnp.array([0.0, 0.1])
    args = (samples_of(EPOCHS), jax.random.key(3))

    def train(rate, decay):
        return local_train(TASK, EPOCHS, data, params, *args, rate, decay)

    both = jax.jit(jax.vmap(train))(rates, decays)
    for i, (rate, decay) in enumerate([(0.1, 0.0), (0.3, 0.1)]):
        alone = one_step_at_a_time(EPOCHS, data, params, *args, rate, decay)
        assert_trees_close(
            jax.tree.map(lambda leaf, i=i: leaf[i], both), alone, rtol=1e-4, atol=1e-6
        )


def test_the_paper_trains_27_steps():
    assert LocalWork(32, 3, None, 300).num_steps == 27
    assert LocalWork(64, None, 27, 1000).num_steps == 27
    assert LocalWork(300, 3, None, 300).num_steps == 3


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (LocalWork(32, 3, 27, 300), "one of local_epochs and local_steps"),
        (LocalWork(32, None, None, 300), "one of local_epochs and local_steps"),
        (LocalWork(32, 3, None, 31), "at least one local step"),
        (LocalWork(32, None, 0, 300), "at least one local step"),
    ],
)
def test_impossible_work_is_refused(work, message):
    with pytest.raises(ValueError, match=message):
        _ = work.num_steps


@pytest.mark.parametrize("name", sorted(WORKS))
def test_orders_have_the_promised_shape_and_range(name):
    work = WORKS[name]
    orders = batch_orders(work, jax.random.key(1))
    assert orders.shape == (work.num_steps, work.batch_size)
    assert orders.dtype == jnp.int32
    assert work.num_samples is not None
    assert 0 <= orders.min() <= orders.max() < work.num_samples


def test_an_epoch_uses_no_sample_twice_and_is_reshuffled():
    orders = np.asarray(batch_orders(EPOCHS, jax.random.key(1))).reshape(2, -1)
    assert [len(set(epoch)) for epoch in orders] == [8, 8]
    assert not np.array_equal(orders[0], orders[1])


def test_a_step_draws_without_replacement_where_it_can():
    orders = np.asarray(batch_orders(STEPS, jax.random.key(1)))
    assert all(len(set(step)) == STEPS.batch_size for step in orders)
    assert len({tuple(step) for step in orders}) == STEPS.local_steps


def test_a_step_draws_with_replacement_from_too_few_samples():
    orders = np.asarray(batch_orders(FEW, jax.random.key(1)))
    assert all(len(set(step)) < FEW.batch_size for step in orders)


def test_epochs_are_a_prefix_of_longer_training():
    longer = EPOCHS._replace(local_epochs=5)
    key = jax.random.key(1)
    np.testing.assert_array_equal(batch_orders(longer, key)[:4], batch_orders(EPOCHS, key))


@pytest.mark.parametrize("largest_packed", [0, batches.LARGEST_PACKED])
def test_every_position_is_equally_likely_everywhere(monkeypatch, largest_packed):
    monkeypatch.setattr(batches, "LARGEST_PACKED", largest_packed)
    work = LocalWork(batch_size=5, local_epochs=1, local_steps=None, num_samples=5)
    keys = jax.random.split(jax.random.key(0), 5000)
    orders = np.asarray(jax.vmap(lambda key: batch_orders(work, key))(keys))[:, 0]
    counts = np.stack([np.bincount(orders[:, place], minlength=5) for place in range(5)])
    # Each count is binomial(5000, 1/5), of standard deviation 28.
    assert np.abs(counts - 1000).max() < 5 * 28


def test_the_same_key_gives_the_same_bits_wherever_the_client_stands():
    data, params = digits()
    keys = jax.random.split(jax.random.key(5), 4)
    samples = jnp.stack([samples_of(EPOCHS, first) for first in range(4)])

    @jax.jit
    def train(samples, keys):
        return jax.vmap(
            lambda s, k: ravel_pytree(local_train(TASK, EPOCHS, data, params, s, k, 0.1, 1e-3))[0]
        )(samples, keys)

    place = np.array([2, 0, 3, 1])
    straight, shuffled = train(samples, keys), train(samples[place], keys[place])
    np.testing.assert_array_equal(straight, train(samples, keys))
    np.testing.assert_array_equal(straight[place], shuffled)
    assert not np.array_equal(straight[0], straight[1])


def test_each_step_augments_with_its_own_key():
    seen = TaskFunctions(
        init=lambda key: jnp.zeros(()),
        take=lambda data, index, key: jax.random.uniform(key),
        loss=lambda params, batch: params * batch,
        score=lambda params, batch: (batch, batch),
    )
    key = jax.random.key(2)
    update, _ = local_train(seen, STEPS, None, jnp.zeros(()), samples_of(STEPS), key, 1.0, 0.0)
    draws = [jax.random.uniform(jax.random.fold_in(key, AUGMENT + i)) for i in range(5)]
    assert len({float(draw) for draw in draws}) == 5
    np.testing.assert_allclose(update, sum(draws), rtol=1e-6)


@pytest.mark.parametrize("width", [1, 3])
def test_side_by_side_keeps_the_slot_axis(width):
    tree = {"a": jnp.arange(2.0 * width).reshape(width, 2), "b": jnp.arange(width)}
    double = side_by_side(lambda tree, factor: jax.tree.map(lambda x: x * factor, tree), width)
    jax.tree.map(
        np.testing.assert_array_equal,
        double(tree, jnp.full(width, 2)),
        jax.tree.map(lambda x: 2 * x, tree),
    )
