"""Methods: every built-in one by hand, bits that depend on nothing else, and what is refused."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedast_jax as fx
from fedast_jax.algorithms import ALGORITHMS
from fedast_jax.algorithms.methods.bound import Bound
from fedast_jax.algorithms.methods.built_in import BUILT_IN
from fedast_jax.algorithms.methods.record import Arrived
from fedast_jax.engine.aggregate import More, Rounds
from fedast_jax.engine.apply import apply_rounds
from fedast_jax.engine.local_train import local_train
from fedast_jax.engine.server import make_server
from fedast_jax.run.prepare import prepare_run

METHODS = {method.name: method for method in BUILT_IN}
TASK = {"num_active": 4, "buffer_size": 2, "samples_per_client": 32, "server_lr": 0.5}


def config_of(algorithm: str = "fedast", top: dict | None = None, **task) -> fx.Config:
    return fx.make_config(
        {
            "algorithm": algorithm, "max_updates": 12, "num_clients": 20,
            "machine": {"batch_width": 4}, **(top or {}), "tasks": {"softmax": {**TASK, **task}},
        }
    )  # fmt: skip


def refusal(config: object, **options) -> str:
    with pytest.raises(fx.ConfigError) as caught:
        fx.plan(config, **options)  # type: ignore[arg-type]
    return str(caught.value)


# Three arrivals by hand: delta = 4, 2, -1 of ages 0, 1 and 3, from a model at 10, eta = 1/2.


def arrive(name: str, deltas: list[float], ages: list[int], **more) -> Arrived:
    method = METHODS[name]
    numbers = {key: jnp.float32(one.default) for key, one in method.numbers.items()}
    parts = {key: jnp.asarray(value, jnp.float32)[:, None] for key, value in more.items()}
    return Arrived(
        jnp.asarray(deltas, jnp.float32)[:, None], jnp.asarray(ages, jnp.float32),
        jnp.int32(len(deltas)), jnp.float32(0.5), jnp.float32(10), jnp.float32(2),
        jnp.float32(max(ages)), jnp.ones(len(ages)),
        hyperparameters=numbers, **parts,
    )  # fmt: skip


def follow(name: str, rounds: list[Arrived]) -> list[float]:
    """The model after each round."""
    method, model = METHODS[name], jnp.full(1, 10.0)
    state, models = method.init(model), []
    for arrived in rounds:
        assert method.apply is not None
        model, state = method.apply(model, state, arrived)
        models.append(float(model[0]))
    return models


def test_fedasync_by_hand():
    """alpha = 0.6: of 10 and 10 - 4; of 7.6 and 10 - 2; of 7.84 and 9 + 1."""
    parts = [(4.0, 0, 10.0), (2.0, 1, 10.0), (-1.0, 3, 9.0)]
    rounds = [arrive("fedasync", [delta], [age], start=[start]) for delta, age, start in parts]
    assert follow("fedasync", rounds) == pytest.approx([7.6, 7.84, 9.136])


def test_ca2fl_by_hand():
    """N = 10. The second client comes twice: its h is its first delta, in the same buffer."""
    rounds = [
        arrive("ca2fl", [4.0, 2.0], [0, 0], previous=[0.0, 0.0]),  # v = 3, h = 0.6
        arrive("ca2fl", [-1.0, 1.0], [1, 1], previous=[2.0, -1.0]),  # v = 0.6 + (-3 + 2) / 2
    ]
    assert follow("ca2fl", rounds) == pytest.approx([8.5, 8.45])


def test_ace_by_hand():
    """N = 10. The third arrival takes the place of the first: 4, 4 + 2, 2 - 1 over 10."""
    parts = [(4.0, 0.0), (2.0, 0.0), (-1.0, 4.0)]
    rounds = [arrive("ace", [delta], [0], previous=[before]) for delta, before in parts]
    assert follow("ace", rounds) == pytest.approx([9.8, 9.5, 9.45])


def test_fadas_by_hand():
    """m, v from -4 (age 0), -2 (age 1), 1 (age 3 > gamma_c = R = 2: a step of 1/3, not 1/2)."""
    deltas, ages = [4.0, 2.0, -1.0], [0, 1, 3]
    found = follow("fadas", [arrive("fadas", [d], [a]) for d, a in zip(deltas, ages, strict=True)])
    # v: 0.16, 0.1984, 0.206416; all of them the largest so far
    wanted = [10 - 0.5 * 0.4 / (0.4 + 1e-3)]
    wanted.append(wanted[0] - 0.5 * 0.56 / (0.1984**0.5 + 1e-3))
    wanted.append(wanted[1] + (-0.404) / 3 / (0.206416**0.5 + 1e-3))
    assert found == pytest.approx(wanted, rel=1e-5)


def bound(name: str, num_clients: int = 10, **task) -> Bound:
    one = config_of(name, **task).tasks["softmax"]
    return Bound(METHODS.get(name, fx.Method("plain")), one, num_clients)


def test_weights_and_drops_by_hand():
    """Ages 0, 1 and 3, with R = 2."""
    delay, ages = bound("delay_adaptive"), [0, 1, 3]
    assert [delay.weight(age, 2) for age in ages] == [1.0, 1.0, 2 / 3]
    near = bound("delay_adaptive", method={"delay_bound": 1})
    assert [near.weight(age, 2) for age in ages] == [1.0, 1.0, 1 / 3]
    ring = bound("ringmaster", method={"max_staleness": 3})
    assert [ring.accepts(age, 2) for age in ages] == [True, True, False]
    assert [bound("rennala").accepts(age, 2) for age in ages] == [True, False, False]
    old = bound("fedast", staleness="polynomial")
    assert [old.weight(age, 2) for age in ages] == [1.0, 2**-0.5, 0.5]
    hinge = bound("fedast", staleness="hinge", staleness_a=2.0, staleness_bound=1.0)
    assert [hinge.weight(age, 2) for age in ages] == [1.0, 1.0, 1 / 5]


# Bits.


def one_round(method: fx.Method, size: int, most: int, columns: int, seed: int) -> bytes:
    """The first lane's new version, from a round of some updates among other lanes' rounds."""
    num, place = 6, np.random.default_rng(seed)
    values = np.random.default_rng(size)
    updates, versions = (values.normal(size=(9, num)).astype(np.float32) for _ in range(2))
    rows = place.permutation(40)[:9]  # where they live; what is beside them is another's
    pool = place.normal(size=(40, num)).astype(np.float32)
    pool[rows] = updates
    server = make_server(method.rule, num)
    wide = jnp.stack([server.init(jnp.asarray(one)) for one in versions])
    table = np.zeros((40, wide.shape[1]), np.float32)
    table[rows] = wide
    used = np.zeros((1, columns, most), np.int32)
    used[0, 0, :size] = rows[:size]
    used[0, 1:] = place.integers(0, 40, used[0, 1:].shape)
    before = np.where(np.arange(most) % 2, -1, rows[-1]).astype(np.int32)
    counts = place.integers(1, most + 1, (1, columns)).astype(np.int32)
    counts[0, 0] = size
    each = np.tile(np.linspace(1, 0.1, 9)[:most].astype(np.float32), (1, columns, 1))
    numbers = np.array([one.default for one in method.numbers.values()], np.float32)
    more = More(
        np.tile(np.arange(most, dtype=np.float32), (1, columns, 1)),
        np.tile(before, (1, columns, 1)), np.full((1, columns, most), rows[2], np.int32),
        np.full((1, columns), 7, np.float32), np.full((1, columns), 11, np.float32),
        np.tile(numbers, (1, columns, 1)),
    )  # fmt: skip
    targets = 1000 + np.arange(columns, dtype=np.int32)[None]
    targets[0, 0] = rows[0]
    sources = np.full((1, columns), rows[0], np.int32)
    rates, true = np.full((1, columns), 0.3, np.float32), np.ones((1, columns), bool)
    ticks = Rounds(sources, targets, rates, true, true, counts, used, each, more)
    close = jax.jit(lambda pool, table: apply_rounds(method.rule, server, pool, table, ticks, 1))
    return np.asarray(close(pool, table))[rows[0]].tobytes()


@pytest.mark.parametrize("name", [name for name, one in METHODS.items() if one.apply])
def test_a_rounds_bits_depend_on_nothing_but_its_updates(name):
    """Not on rows, on what else is in the batch, nor on how many rows are padding."""
    size = 1 if METHODS[name].buffer_size == 1 else 3
    found = {
        one_round(METHODS[name], size, most, columns, seed)
        for seed, (most, columns) in enumerate([(size, 1), (size, 4), (size + 2, 1), (8, 3)])
    }
    assert len(found) == 1
    assert np.isfinite(np.frombuffer(found.pop(), np.float32)).all()


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9), st.integers(0, 4))
@settings(max_examples=20)
def test_sums_are_in_order_and_leave_padding_out(numbers, padding):
    rows = np.array(numbers + [np.nan] * padding, np.float32)
    total = np.float32(0)
    for number in numbers:
        total = np.float32(total + np.float32(number))
    assert float(fx.sum_in_order(jnp.asarray(rows), len(numbers))) == total
    mean = np.float32(total / np.float32(len(numbers)))
    assert float(fx.mean_in_order(jnp.asarray(rows), len(numbers))) == mean


# Own methods.


def own_ca2fl(name: str = "own") -> fx.Method:
    def apply(model, h, arrived):
        change = arrived.updates - arrived.previous
        v = h + fx.mean_in_order(change)
        return model - arrived.server_lr * v, h + fx.sum_in_order(change) / arrived.num_clients

    return fx.Method(
        name, init=lambda model: jnp.zeros_like(model), apply=apply, needs={"previous"}
    )


@pytest.fixture(autouse=True)
def _only_known_methods():
    """What a test registers is forgotten after it."""
    known = dict(ALGORITHMS)
    yield
    ALGORITHMS.clear()
    ALGORITHMS.update(known)


def test_an_own_method_against_the_built_in_one():
    """Passed in place of a name, and then known by it: the very bits of ``ca2fl``."""
    table = config_of(num_active=6).given()
    del table["algorithm"]
    study = fx.compare(table, ["ca2fl", own_ca2fl()], keep_models=True)
    ours, theirs = (study.result(name).models() for name in ("own", "ca2fl"))
    assert any("final" in name for name in theirs)
    for name, leaf in theirs.items():
        assert np.array_equal(ours[name], leaf)
    assert fx.make_config({**table, "algorithm": "own"}).algorithm == "own"


def test_registering_again_replaces_with_a_note():
    first = fx.register_method(own_ca2fl())
    fx.register_method(first)
    with pytest.warns(UserWarning, match="'own' replaces another"):
        second = fx.register_method(own_ca2fl())
    assert ALGORITHMS["own"].method is second
    with pytest.warns(UserWarning, match="'ca2fl' replaces another"):  # also this package's own
        fx.register_method(own_ca2fl("ca2fl"))
    for name in ("fedast", "sync_st"):
        with pytest.raises(ValueError, match="choose another name"):
            fx.register_method(own_ca2fl(name))
    with pytest.raises(TypeError, match="Method, got str"):
        fx.register_method("own")  # type: ignore[arg-type]


def test_an_optax_transformation_as_the_servers_step():
    """``sgd(1.0)`` is plain averaging; a count that is kept goes up."""
    plain = make_server(fx.from_optax(optax.sgd(1.0)).rule, 3)
    version = plain.step(plain.init(jnp.ones(3)), jnp.array([1.0, -2.0, 4.0]), jnp.float32(0.5))
    np.testing.assert_allclose(version, [0.5, 2.0, -1.0])
    with jax.numpy_dtype_promotion("standard"):  # optax mixes whole numbers and floats
        adam = make_server(fx.from_optax(optax.adam(0.1)).rule, 3)
        version = adam.init(jnp.ones(3))
        for _ in range(2):
            version = adam.step(version, jnp.array([1.0, -2.0, 4.0]), jnp.float32(1.0))
    np.testing.assert_allclose(version[:3], [0.8, 1.2, 0.8], rtol=1e-5)
    assert version[3] == 2.0


def test_hyperparameters_share_one_program():
    """Numbers of a sweep are no reason to compile; what is compiled differs by rule alone."""
    swept = [config_of("fadas", method={"beta_1": value}) for value in (0.0, 0.5)]
    assert len(prepare_run(swept).pools) == 1
    means = [config_of(name) for name in ("fedast", "ringmaster", "rennala", "delay_adaptive")]
    assert len(prepare_run([*means, config_of(staleness="hinge")]).pools) == 1
    near = [config_of(proximal=value) for value in (0.0, 0.1, 0.2)]
    assert [pool.spec.is_proximal for pool in prepare_run(near).pools] == [False, True]


def test_a_sweep_over_a_hyperparameter():
    grid = {"tasks.softmax.method.max_staleness": [1, 100]}
    study = fx.sweep(config_of("ringmaster", num_active=6, buffer_size=1), grid)
    (key,) = grid
    dropped = (study.requests.status == "dropped").groupby(study.requests[key]).sum()
    assert dropped[100] == 0 < dropped[1]


# The client's own rule.


@pytest.fixture(scope="module")
def work():
    """A kind, its data and one client's samples."""
    from fedast_jax.oracle import built_task, load_data

    task, data = built_task("softmax"), load_data("softmax").on_device.train
    local = config_of(samples_per_client=30, local_epochs=1).tasks["softmax"].work
    params = task.init(jax.random.key(0))
    train = lambda *more: local_train(  # noqa: E731
        task, local, data, params, jnp.arange(30), jax.random.key(1), 0.2, 0.01, *more
    )
    return lambda *more: jax.tree.leaves(train(*more).update)


def test_a_proximal_term_as_an_own_rule_of_the_client(work):
    """An optax transformation that also gets the start: FedProx, as the setting has it."""

    def update(gradient, state, x, *, start):
        return jax.tree.map(lambda g, x, x_0: g + 0.7 * (x - x_0), gradient, x, start), state

    own = optax.GradientTransformation(lambda x: (), update)  # type: ignore[arg-type]
    for ours, theirs in zip(work(None, own), work(0.7), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(work(None, optax.identity()), work(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert any(
        np.abs(ours - theirs).max() > 1e-3
        for ours, theirs in zip(work(None, optax.trace(0.9)), work(), strict=True)
    )


# What is refused.


def run_own(**parts) -> str:
    method = fx.Method("own", **parts)
    return refusal({**config_of().given(), "algorithm": method})


WRONG = {
    "another shape": (
        lambda model, state, arrived: (model[:2], state),
        "apply of method 'own' must return a model of float32[650], got float32[2]",
    ),
    "another type": (
        lambda model, state, arrived: (model.astype(jnp.bfloat16), state),
        "must return a model of float32[650], got bfloat16[650]",
    ),
    "a Python float": (lambda model, state, arrived: (0.5, state), "got float32[]"),
    "no state": (lambda model, state, arrived: model, "must return the model and the state, got"),
    "another state": (
        lambda model, state, arrived: (model, model), "must return a state of nothing, got float32"
    ),
    "an error": (
        lambda model, state, arrived: (model - arrived.prevous, state),
        "apply of method 'own' failed: AttributeError: a round has no 'prevous'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_rule_that_returns_something_else_is_refused(what):
    apply, words = WRONG[what]
    assert words in run_own(apply=apply)


def test_an_accept_that_accepts_nothing_is_refused():
    words = run_own(accept=lambda staleness: staleness > 1)
    assert "accept of method 'own' drops even an update of staleness 0" in words
    assert "no round would ever close" in words


def test_planner_functions_that_fail_are_refused():
    warnings.simplefilter("ignore")  # they replace each other
    assert "weight of method 'own' must be a finite number, got nan" in run_own(
        weight=lambda staleness: float("nan")
    )
    assert "must be a finite number, got 'x'" in run_own(weight=lambda staleness: "x")
    assert "accept of method 'own' failed for staleness 0: KeyError" in run_own(
        accept=lambda staleness: {}[staleness]
    )
    assert "must keep float or int32 arrays, got uint32" in run_own(
        init=lambda model: jnp.zeros(2, jnp.uint32),
        step=lambda model, state, update, lr: (model, 0),
    )


def test_a_weight_beyond_float32_is_refused():
    assert "must be a finite number, got 1e+300" in run_own(weight=lambda staleness: 1e300)


def test_an_accept_that_answers_with_an_array_is_refused():
    words = run_own(accept=lambda staleness: np.array([True, False]))
    assert "must be true or false, got array([ True, False]) for staleness" in words


SUMMED = optax.stateless(lambda change, _: jax.tree.map(jnp.sum, change))
TRANSFORMATION: Any = optax.GradientTransformation
FORGETFUL = TRANSFORMATION(lambda params: params, lambda change, *_: (change, ()))
LOCAL = {
    "no transformation": (3, "local of method 'own' must be an optax transformation, got 3"),
    "another shape": (SUMMED, "must return a change of float32[10], float32[64, 10], got float32"),
    "another state": (FORGETFUL, "must return a state of float32[10], float32[64, 10], got"),
    "no pair": (
        TRANSFORMATION(lambda params: (), lambda change, *_: change),
        "local of method 'own' must return the change and the state, got dict",
    ),
    "an error": (optax.lbfgs(), "local of method 'own' failed: "),
}  # fmt: skip


@pytest.mark.parametrize("what", LOCAL)
def test_a_rule_of_the_client_that_cannot_be_is_refused(what):
    local, words = LOCAL[what]
    assert words in run_own(local=local)


def test_what_is_no_optax_transformation_is_refused():
    with pytest.raises(ValueError, match="takes an optax transformation, got 3"):
        fx.from_optax(3)


def test_a_nan_is_found_by_the_next_test():
    method = fx.Method("own", apply=lambda model, state, arrived: (model * jnp.nan, state))
    result = fx.simulate({**config_of(test_every=1).given(), "algorithm": method})
    assert set(result.lanes.end_reason) == {"diverged"}
    assert "softmax untested; 1 of 1 diverged; finished" in repr(result)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"needs": {"previus"}, "apply": max}, "unknown need 'previus'; did you mean 'previous'"),
        ({"needs": {"start"}}, "needs=['start'] are for apply, which it has not"),
        ({"step": max, "apply": max}, "has both step and apply"),
        ({"buffer_size": 0}, "buffer_size is at least 1 or None, got 0"),
        ({"buffer_size": "1"}, "buffer_size is a whole number or None, got '1'"),
        ({"buffer_size": 1.5}, "buffer_size is a whole number or None, got 1.5"),
        ({"buffer_size": True}, "buffer_size is a whole number or None, got True"),
        ({"needs": "previous", "apply": max}, "needs are a set of names: needs={'previous'}"),
        ({"hyperparameters": ["beta"]}, "hyperparameters are numbers by name, got ['beta']"),
        ({"hyperparameters": {3: 1.0}}, "hyperparameters are numbers by name, got {3: 1.0}"),
        ({"hyperparameters": {"beta": "x"}}, "default of 'beta' must be a number, got 'x'"),
        ({"hyperparameters": {"beta": True}}, "must be a whole number, got True"),
        ({"hyperparameters": {"updates": 1}}, "cannot be called 'updates'"),
        (
            {"hyperparameters": {"beta": fx.Hyperparameter(2.0, 0, 1)}},
            "the default of 'beta' must be a number from 0 to 1, got 2",
        ),
    ],
)
def test_a_method_that_cannot_be_is_refused(parts, words):
    with pytest.raises(ValueError, match="method 'own'") as caught:
        fx.Method("own", **parts)
    assert words in str(caught.value)
    for name in ("", "a:b", "../a", "<b>", "a b", "1a", "ä", "a" * 65):
        with pytest.raises(ValueError, match="name is a letter"):
            fx.Method(name)


@pytest.mark.parametrize(
    ("algorithm", "task", "words"),
    [
        (
            "ringmaster",
            {"method": {"max_staleness": 0}},
            "tasks.softmax.method.max_staleness must be a whole number from 1 to 2e+09, got 0",
        ),
        ("ringmaster", {"method": {"max_staleness": 1.5}}, "must be a whole number"),
        ("fedasync", {"method": {"mixing": 1e30}}, "must be a number from 0 to 1, got 1e+30"),
        ("fedasync", {"method": {"mixing": "x"}}, "tasks.softmax.method.mixing must be a number"),
        (
            "fedasync",
            {"method": {"mixin": 0.1}},
            "unknown key 'tasks.softmax.method.mixin'; did you mean 'mixing'",
        ),
        ("ca2fl", {"server_optimizer": "adam"}, "='adam' has no meaning for 'ca2fl'"),
        ("ace", {"staleness": "hinge"}, "staleness='hinge' has no meaning for 'ace'"),
        ("delay_adaptive", {"staleness": "hinge"}, "has its own rule for old updates"),
        ("fedast", {"proximal": -1.0}, "tasks.softmax.proximal must be at least 0, got -1.0"),
        ("ca2f", {}, "unknown algorithm 'ca2f'; did you mean 'ca2fl'"),
        ("mine", {}, "an own method is known once its module is imported (--import MODULE)"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(algorithm, task, words):
    with pytest.raises(fx.ConfigError) as caught:
        config_of(algorithm, **task)
    assert words in str(caught.value)


def test_a_comparison_shares_its_tables():
    """What another method takes is left alone; settings of one method are its own."""
    table = config_of(method={"max_staleness": 5}).given()
    del table["algorithm"]
    table["study"] = {
        "compare": ["ringmaster", "ca2fl"],
        "settings": {"ca2fl": {"tasks": {"softmax": {"server_lr": 0.25}}}},
    }
    from fedast_jax.study.variants import make_variants

    ring, calibrated = (variant.config.tasks["softmax"] for variant in make_variants(table))
    assert (ring.server_lr, calibrated.server_lr) == (0.5, 0.25)
    assert ring.method == {"max_staleness": 5.0}
    for settings_of, words in (
        ({"ace": {}}, "there is no 'ace' in study.compare"),
        ({"ca2fl": {"seed": 1}}, "cannot be"),
        ({"ca2fl": {"tasks.b.server_lr": 1.0}}, "there is no table 'tasks.b'"),
    ):
        table["study"]["settings"] = settings_of
        with pytest.raises(fx.ConfigError) as caught:
            make_variants(table)
        assert words in str(caught.value)


# Memory.


def test_the_rows_of_clients_last_updates_are_counted():
    """N rows a lane, said before; where they do not fit, N is what to lower."""
    report = fx.plan(config_of("ca2fl", copies=2))
    assert report.rows[0]["previous_rows"] == 2 * 20
    assert fx.plan(config_of()).rows[0]["previous_rows"] == 0
    many = {"num_clients": 10**6, "machine": {"batch_width": 4, "memory_gib": 1.0}}
    assert "num_clients=1000000" in refusal(config_of("ace", many))


def test_arrived_is_what_it_says():
    arrived = arrive("fadas", [1.0], [0])
    assert float(arrived.beta_1) == pytest.approx(0.9)
    assert replace(arrived, hyperparameters={}).previous is None
