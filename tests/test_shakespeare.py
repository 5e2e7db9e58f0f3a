"""The LSTM: against a plain scan with automatic gradients, against PyTorch, and in a whole run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax import lax
from test_text import speech

from fedast_jax.oracle import simulate_one_by_one
from fedast_jax.run.resolve import make_config
from fedast_jax.run.simulate import simulate
from fedast_jax.study.fuzz.compare import named_leaves
from fedast_jax.tasks import TASKS, Shape
from fedast_jax.tasks.nn.lstm import last_state

TASK = TASKS["shakespeare"].build(Shape((80,), 80))


def plain_last_state(table, kernel, symbols):
    """An LSTM as the textbooks have it."""

    def step(state, symbol):
        hidden, cell = state
        input_, forget, new, output = jnp.split(table[symbol] + hidden @ kernel, 4, axis=-1)
        cell = jax.nn.sigmoid(forget) * cell + jax.nn.sigmoid(input_) * jnp.tanh(new)
        return (jax.nn.sigmoid(output) * jnp.tanh(cell), cell), None

    zero = jnp.zeros((len(symbols), len(kernel)), table.dtype)
    return lax.scan(step, (zero, zero), symbols.T)[0][0]


def arguments(batch: int = 5, time: int = 12):
    """A small LSTM: 7 symbols, 6 hidden units."""
    rng = np.random.default_rng(0)
    table, kernel, weight = (
        jnp.asarray(rng.normal(size=shape)) for shape in ((7, 24), (6, 24), (batch, 6))
    )
    return table, kernel, jnp.asarray(rng.integers(0, 7, (batch, time), np.int32)), weight


@pytest.mark.parametrize("time", [1, 2, 12])
def test_values_and_gradients_are_those_of_the_plain_lstm(time):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        table, kernel, symbols, weight = arguments(time=time)

        def total(run, table, kernel):
            return (run(table, kernel, symbols) * weight).sum()

        for run in (last_state, jax.jit(last_state)):
            np.testing.assert_allclose(
                run(table, kernel, symbols), plain_last_state(table, kernel, symbols), atol=1e-12
            )
        ours = jax.grad(total, (1, 2))(last_state, table, kernel)
        theirs = jax.grad(total, (1, 2))(plain_last_state, table, kernel)
        for one, other in zip(ours, theirs, strict=True):
            assert one.dtype == jnp.float64
            np.testing.assert_allclose(one, other, atol=1e-11)


def test_clients_with_their_own_weights_train_side_by_side():
    with jax.enable_x64(True):
        table, kernel, symbols, weight = arguments()
        tables, kernels = jnp.stack([table, 2 * table]), jnp.stack([kernel, -kernel])
        both_symbols = jnp.stack([symbols, symbols[::-1]])

        def gradient(table, kernel, symbols):
            def total(table, kernel):
                return (last_state(table, kernel, symbols) * weight).sum()

            return jax.grad(total, (0, 1))(table, kernel)

        both = jax.vmap(gradient)(tables, kernels, both_symbols)
        for i in range(2):
            alone = gradient(tables[i], kernels[i], both_symbols[i])
            for one, other in zip(both, alone, strict=True):
                np.testing.assert_allclose(one[i], other, atol=1e-11)


def test_number_of_parameters_is_the_papers():
    params = jax.eval_shape(TASK.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 52_720


def test_initial_parameters_are_drawn_as_pytorchs():
    lstm = TASK.init(jax.random.key(0))["SymbolLSTM_0"]
    embedding = np.asarray(lstm.pop("embedding"))
    assert (abs(embedding.mean()), abs(embedding.std() - 1)) < (0.15, 0.1)
    for leaf in jax.tree.leaves(lstm):
        assert 0.09 < np.abs(leaf).max() <= 0.1  # uniform in ±1/sqrt(100)


def test_windows_are_gathered_from_the_text():
    text = jnp.arange(200, dtype=jnp.uint8) % 80
    data = {"text": text, "starts": jnp.array([3, 50, 119], jnp.int32)}
    batch = TASK.take(data, jnp.array([2, 0]), jax.random.key(0))
    np.testing.assert_array_equal(batch.symbols, [text[119:199], text[3:83]])
    np.testing.assert_array_equal(batch.following, [text[199], text[83]])


def test_losses_and_gradients_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    text = rng.integers(0, 80, 300, dtype=np.uint8)
    data = {"text": jnp.asarray(text), "starts": jnp.arange(220, dtype=jnp.int32)}
    batch = TASK.take(data, jnp.arange(0, 200, 25), None)
    params = TASK.init(jax.random.key(1))
    loss, gradient = jax.value_and_grad(TASK.loss)(params, batch)

    modules = torch.nn.Embedding(80, 8), torch.nn.LSTM(8, 100), torch.nn.Linear(100, 80)
    embedding, lstm, dense = modules
    with torch.no_grad():
        for ours, theirs in torch_pairs(params, embedding, lstm, dense):
            theirs.copy_(torch.from_numpy(ours.copy()))
    symbols = torch.from_numpy(np.array(batch.symbols)).long()
    logits = dense(lstm(embedding(symbols.T))[0][-1])
    following = torch.from_numpy(np.array(batch.following)).long()
    torch_loss = torch.nn.functional.cross_entropy(logits, following)
    torch_loss.backward()
    assert float(loss) == pytest.approx(torch_loss.item(), rel=1e-5)
    for ours, theirs in torch_pairs(gradient, embedding, lstm, dense):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-3, atol=1e-6)


def torch_pairs(params, embedding, lstm, dense):
    """Our parameters in PyTorch's layout, and its own."""
    ours = {name: np.asarray(leaf) for name, leaf in params["SymbolLSTM_0"].items()}
    return [
        (ours["embedding"], embedding.weight),
        (ours["input_kernel"].T, lstm.weight_ih_l0),
        (ours["kernel"].T, lstm.weight_hh_l0),
        (ours["input_bias"], lstm.bias_ih_l0),
        (ours["bias"], lstm.bias_hh_l0),
        (np.asarray(params["Dense_0"]["kernel"]).T, dense.weight),
        (np.asarray(params["Dense_0"]["bias"]), dense.bias),
    ]


@pytest.fixture
def small_text(tmp_path, monkeypatch):
    """A play of five roles as the data."""
    monkeypatch.setenv("FEDAST_DATA_DIR", str(tmp_path))
    plays = tmp_path / "shakespeare" / "plays"
    plays.mkdir(parents=True)
    (plays / "a.txt").write_text("".join(speech(f"R{i}", 700 + i) for i in range(5)))


def small_run(precision="float32", **top):
    machine = {"batch_width": 2, "precision": precision}
    task = {"num_active": 3, "buffer_size": 2, "max_rounds": 2, "local_steps": 2, "batch_size": 8}
    return make_config(
        {"num_clients": 4, "machine": machine, "tasks": {"shakespeare": task}, **top}
    )


@pytest.mark.usefixtures("small_text")
def test_a_run_is_the_oracles():
    config = small_run(precision="float64")
    result, (oracle,) = simulate(config, keep_models=True), simulate_one_by_one(config)
    theirs = named_leaves(oracle.final_model("shakespeare"))
    for name, leaf in theirs.items():
        ours = result.models()[f"0/shakespeare/final/{name}"]
        np.testing.assert_allclose(ours, leaf, rtol=1e-9, atol=1e-12)
    (loss,) = result.evaluations["loss"]
    assert loss == pytest.approx(oracle.evaluations[0][-1], rel=1e-9)
    assert 0 < loss < 6  # ln 80 = 4.4 before training


@pytest.mark.usefixtures("small_text")
def test_the_partition_lists_every_window_once():
    (table,) = [pd.concat(simulate(small_run(max_updates=1)).partition())]
    assert len(set(table["client"])) == 4
    assert len(set(table["sample"])) == len(table)
