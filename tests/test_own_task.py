"""Own tasks: arrays, models of any library, clients of any size, losses and metrics, by name."""

from __future__ import annotations

from itertools import count
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from pandas.testing import assert_frame_equal
from test_compilations import compilations as compilations
from test_exactness import check_for_real

import fedast_jax as fx
from fedast_jax import tasks as registry
from fedast_jax.cli.show import show
from fedast_jax.oracle import simulate_one_by_one
from fedast_jax.results.console import Console
from fedast_jax.study.fuzz.scenario import Scenario
from fedast_jax.tasks.models import as_model

RNG = np.random.default_rng(0)
NUM_TRAIN, WIDTH, CLASSES = 60, 4, 3
X = RNG.normal(size=(90, WIDTH)).astype(np.float32)
CENTRES = RNG.normal(size=(WIDTH, CLASSES))
LABELS = (X @ CENTRES).argmax(1)
FIGURES = (X @ CENTRES[:, 0]).astype(np.float32)
OWNER = np.repeat(np.arange(6), [1, 4, 20, 5, 10, 20])[np.random.default_rng(1).permutation(60)]
SHORT = {"max_updates": 40, "machine": {"batch_width": 4}, "max_active_clients": 5}


def split(y: np.ndarray) -> dict[str, Any]:
    return {"train": (X[:NUM_TRAIN], y[:NUM_TRAIN]), "test": (X[NUM_TRAIN:], y[NUM_TRAIN:])}


def pair(outputs: int) -> tuple:
    """A linear model as two functions."""

    def init(key: jax.Array) -> dict[str, jax.Array]:
        return {
            "kernel": 0.1 * jax.random.normal(key, (WIDTH, outputs)),
            "bias": jnp.zeros(outputs),
        }

    return init, lambda params, x: x @ params["kernel"] + params["bias"]


def classes(**changes: Any) -> fx.Task:
    settings = {
        **split(LABELS), "model": pair(CLASSES), "clients": OWNER, "client_lr": 0.5,
        "batch_size": 4, "num_active": 4, "buffer_size": 2, "test_every": 2, "server_lr": 1.0,
    }  # fmt: skip
    return fx.Task.from_arrays(**{**settings, **changes})


def squared(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    return (outputs[:, 0] - targets) ** 2


ERROR = fx.Metric(lambda outputs, targets: jnp.abs(outputs[:, 0] - targets), "error", "at most")


def figures(**changes: Any) -> fx.Task:
    """A regression."""
    given = {**split(FIGURES), "model": pair(1), "loss": squared, "metric": ERROR, "client_lr": 0.1}
    return classes(**{**given, "target_metric": 0.4, **changes})


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(registry, "TASKS", dict(registry.TASKS))


class LinenNet(nn.Module):
    norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        if self.norm:
            x = nn.BatchNorm(use_running_average=False)(x)
        return nn.Dense(CLASSES)(x)


class NnxNet(nnx.Module):
    def __init__(self, more: type | None, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(WIDTH, CLASSES, rngs=rngs)
        if more is not None:
            self.more = more(WIDTH if more is nnx.BatchNorm else 0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(x)


class EqxNet(eqx.Module):
    dense: eqx.nn.Linear
    norm: Any = None

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(x)


def make_eqx(key: jax.Array, norm: bool = False) -> EqxNet:
    more = eqx.nn.BatchNorm(WIDTH, "batch", mode="ema") if norm else None
    return EqxNet(eqx.nn.Linear(WIDTH, CLASSES, key=key), more)


MODELS = {
    "linen": LinenNet(),
    "nnx": lambda rngs: NnxNet(None, rngs=rngs),
    "equinox": lambda key: make_eqx(key),
    "pair": pair(CLASSES),
}


@pytest.mark.parametrize("library", MODELS)
def test_models_of_every_library_are_pure_functions(library):
    """A linear model: its outputs are those of its two leaves."""
    model = as_model(MODELS[library], jax.ShapeDtypeStruct((2, WIDTH), jnp.float32))
    params = model.init(jax.random.key(0))
    leaves = sorted(jax.tree.leaves(params), key=jnp.ndim)
    bias, kernel = (np.asarray(leaf) for leaf in leaves)
    kernel = kernel if kernel.shape == (WIDTH, CLASSES) else kernel.T
    np.testing.assert_allclose(
        model.apply(params, jnp.asarray(X[:5])), X[:5] @ kernel + bias, atol=1e-6
    )
    names = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    assert sum("bias" in name for name in names) == 1
    other = model.init(jax.random.key(1))
    assert not np.array_equal(jax.tree.leaves(other)[-1], jax.tree.leaves(params)[-1])


@pytest.mark.parametrize(
    ("model", "state"),
    [
        (LinenNet(norm=True), "batch_stats"),
        (lambda rngs: NnxNet(nnx.BatchNorm, rngs=rngs), "BatchStat"),
        (lambda rngs: NnxNet(nnx.Dropout, rngs=rngs), "RngCount, RngKey"),
        (lambda key: make_eqx(key, norm=True), "StateIndex"),
        (lambda key: eqx.nn.make_with_state(make_eqx)(key, norm=True), "eqx.nn.State"),
    ],
)
def test_state_that_calls_change_is_refused(model, state):
    with pytest.raises(fx.ConfigError, match=f"{state}.*use GroupNorm or LayerNorm"):
        classes(model=model)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "labels outside": (split(LABELS + 1), r"labels must be in \[0, 3\).*label 3 at position"),
    "labels below": (split(LABELS - 1), r"labels must be in \[0, 3\).*label -1"),
    "NaN": ({"train": (np.full((60, WIDTH), np.nan), LABELS[:60])}, "train x must be finite"),
    "text": ({"train": (np.full((60, WIDTH), "a"), LABELS[:60])}, "must be numbers"),
    "lengths": ({"train": (X[:60], LABELS[:59])}, r"shape \[60, 4\] and a y of shape \[59\]"),
    "ragged": ({"train": ([[1.0], [1.0, 2.0]], [0, 1])}, "train x must be .* different lengths"),
    "widths": ({"test": (X[60:, :3], LABELS[60:])}, "of train is 4 and one of test 3"),
    "types": ({"test": (X[60:].astype(int), LABELS[60:])}, "one type, got float32 and int32"),
    "empty": ({"test": (X[:0], LABELS[:0])}, "test is empty"),
    "no pair": ({"train": X}, r"train must be a pair \(x, y\)"),
    "nobody's": ({"clients": OWNER + (OWNER > 2)}, "client 3 has no training samples"),
    "negative": ({"clients": OWNER - 1}, "clients must be numbers from 0 on"),
    "too few": ({"clients": OWNER[:50]}, "50 samples, but there are 60"),
    "too many clients": ({"clients": fx.iid(61)}, "61 clients cannot share 60 training samples"),
    "alpha": ({"clients": lambda: fx.dirichlet(5, alpha=-1.0)}, "alpha must be a positive number"),
    "model": ({"model": 3}, r"a pair \(init, apply\); got 3"),
    "instance": ({"model": NnxNet(None, rngs=nnx.Rngs(0))}, "model must be a Flax module"),
    "not a module": ({"model": lambda key: 3}, "must be an equinox.Module, got 3"),
    "no parameters": ({"model": (lambda key: {}, lambda p, x: x)}, "no parameters"),
    "fails": ({"model": (pair(3)[0], lambda p, x: x @ p["w"])}, "given x of shape .* KeyError"),
    "one score": ({"model": pair(1)}, "at least 2 classes, but it gives 1"),
    "wrong outputs": (
        {"model": (pair(3)[0], lambda p, x: (x @ p["kernel"])[0])},
        r"\[2, classes\] for 2 examples, but it gives float32\[3\]",
    ),
    "float labels": (split(FIGURES), "y must be labels, whole numbers in a row, where no loss"),
    "loss of a shape": (
        {"loss": lambda outputs, targets: outputs},
        r"loss must give a number for each.* float32\[2, 3\]",
    ),
    "loss not finite": ({"loss": lambda outputs, _: outputs[:, 0] * jnp.inf}, "must be a finite"),
    "metric": ({"metric": squared}, r"metric must be fx.Metric\(function"),
    "unknown setting": ({"clinet_lr": 1.0}, "no setting 'clinet_lr'; did you mean 'client_lr'"),
    "wrong setting": ({"client_lr": -1.0}, "client_lr must be greater than 0, got -1.0"),
    "epochs": ({"local_epochs": 1}, "local_epochs has no meaning .* give local_steps"),
    "target": ({"target_metric": 0.5}, "judged by its accuracy: give target_accuracy"),
    "from clients": ({"dirichlet_alpha": 0.5}, "comes from clients: give it there"),
    "micro_batch": ({"micro_batch": 0}, "micro_batch must be a whole number from 1 on"),
}


def test_own_tasks_are_planned_with_settings_as_keywords():
    assert fx.plan({"own": classes()}, **SHORT).events == 40


def test_a_task_is_run_by_a_name_that_is_a_text():
    with pytest.raises(fx.ConfigError, match=r'run by name: {"mine": task}, got <Task of 60'):
        fx.simulate(classes())  # type: ignore[arg-type]
    with pytest.raises(fx.ConfigError, match=r"a name has 1 to 64 letters .* got 3"):
        fx.plan({3: classes()})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_task_is_refused_in_one_sentence(name):
    changes, words = BAD[name]
    with pytest.raises((fx.ConfigError, fx.DataError), match=words) as error:
        classes(
            **{
                key: one() if key == "clients" and callable(one) else one
                for key, one in changes.items()
            }
        )
    assert "\n" not in str(error.value)


def test_other_targets_and_names_of_metrics_are_refused():
    with pytest.raises(fx.ConfigError, match="judged by its error, not by its accuracy: give tar"):
        figures(target_accuracy=0.5)
    for name, goal in [("$x", "at most"), ("accuracy", "at most"), ("x", "below")]:
        with pytest.raises(fx.ConfigError, match="metric"):
            fx.Metric(squared, name, goal)  # type: ignore[arg-type]


def test_whose_samples_a_client_of_an_array_has():
    """Spans of the sorted data on the device, and the user's own numbers, name the same samples."""
    data = classes().kind("own").load("own", None)
    settings = fx.make_config({"tasks": {"own": classes()}, **SHORT}).tasks["own"]
    held = data.partition(settings, 6, (0,))
    x = np.asarray(data.on_device.train["x"])
    for client, numbers in enumerate(held.all_samples()):
        assert sorted(numbers[0]) == np.flatnonzero(client == OWNER).tolist()
        first, number = held.samples([client])[0]
        np.testing.assert_array_equal(x[first : first + number], X[numbers[0]])


@pytest.mark.parametrize(
    ("division", "size"),
    [(fx.iid(7), 8), (fx.shards(7, 2), 8), (fx.by_label(7), 8), (fx.dirichlet(7, 0.1), 8)],
)
def test_divisions_are_drawn_anew_for_every_seed_and_equal(division, size):
    labels = LABELS[:NUM_TRAIN]
    assert division.per_client(labels) == size
    parts = [
        np.concatenate(list(division.deal(labels, size, 0.1, [(seed, 1)]).all_samples()))
        for seed in (0, 0, 1)
    ]
    assert parts[0].shape == (7, size)
    np.testing.assert_array_equal(parts[0], parts[1])
    assert not np.array_equal(parts[0], parts[2])
    kinds = [len(set(labels[part])) for part in parts[0]]
    most = {"Iid": 3, "Shards": 3, "ByLabel": 1, "Dirichlet": 3}[type(division).__name__]
    assert max(kinds) <= most
    if type(division).__name__ in ("Iid", "Shards"):
        assert len(set(parts[0].ravel())) == 7 * size


def test_an_unequal_dirichlet_division_leaves_nobody_out():
    division = fx.dirichlet(20, alpha=0.05, unequal=True).for_labels(LABELS[:NUM_TRAIN])
    assert division.given is not None
    counts = np.bincount(division.given, minlength=20)
    assert counts.sum() == NUM_TRAIN
    assert counts.min() == 1 < counts.max()
    with pytest.raises(fx.DataError, match="divides by labels"):
        fx.dirichlet(5, 0.1).for_labels(FIGURES)


def test_unequal_clients_equal_the_oracle():
    fx.register_task("own", classes())
    table = {"tasks": {"own": {}}, "num_seeds": 2, "max_updates": 30}
    machine = {"batch_width": 4, "precision": "float64"}
    config = fx.make_config({**table, "machine": machine})
    assert config.num_clients == 6
    check_for_real(Scenario(config, (60, 60), 2, 20), 1e-9)


def test_a_regression_meets_its_target_where_the_oracle_does(tmp_path):
    """With a target "at most": events, values, the folder, the table and the figures.

    The oracle keeps what it has built by a kind's name: this one is no other test's.
    """
    task = figures()
    study = fx.compare(
        {"prices": task},
        ["fedast", "sync_st"],
        keep_first=2,
        seeds=3,
        **{**SHORT, "max_updates": 200},
    )
    result = study.result("fedast")
    oracles = simulate_one_by_one(result.config)
    theirs = [oracle.target_times["prices"] for oracle in oracles]
    np.testing.assert_allclose(result.lanes.target_time, theirs)
    tests = [test for oracle in oracles for test in oracle.evaluations]
    np.testing.assert_allclose(result.evaluations.metric, [test[4] for test in tests], rtol=1e-3)
    assert result.evaluations.accuracy.isna().all()
    told = study.summary()["algorithms"]["fedast"]["tasks"]["prices"]
    assert told["metric"]["name"] == "error"
    assert told["metric"]["mean"] <= 0.4 == told["target_metric"]
    assert "error" in study._repr_html_()
    again = fx.load_study(study.save(tmp_path / "out"))
    assert again.summary() == study.summary()
    assert_frame_equal(again.evaluations, study.evaluations, check_dtype=False)
    registry.TASKS.pop("prices")
    console = Console(record=True, width=120)
    assert [path.name for path in show([tmp_path / "out"], tmp_path / "shown", console)]
    assert "error" in console.export_text()
    (panel,) = study.figures()["accuracy"].axes
    assert panel.get_ylabel() == "test error"
    assert panel.get_ylim()[0] < 0.4


def test_tasks_of_different_metrics_share_a_run():
    study = fx.sweep(
        {"a": figures(), "b": classes(), "c": {"kind": "softmax"}},
        {"tasks.a.client_lr": [0.01, 0.02]}, max_updates=30, machine={"batch_width": 4},
    )  # fmt: skip
    assert study.result("fedast", {"tasks.a.client_lr": 0.01}).config.num_clients == 6
    table = study.evaluations
    assert table.metric.notna().equals(table.task == "a")
    assert table.accuracy.notna().equals(table.task != "a")
    assert study.best("fedast") is None
    study.figures()
    result = study.results[0]
    assert "a error" in repr(result)
    assert [panel.get_ylabel() for panel in result.plot().axes] == [
        "test error",
        *["test accuracy (%)"] * 2,
    ]  # type: ignore[attr-defined]


def test_a_task_is_compiled_once_however_often_it_runs(compilations):
    task = classes()
    fx.simulate({"own": task}, **SHORT)
    before = compilations()
    first = fx.simulate({"own": task}, **SHORT)
    assert compilations() == before
    other = fx.simulate({"own": classes(client_lr=0.01)}, **SHORT)
    assert not first.evaluations.equals(other.evaluations)


def test_what_a_task_was_given_holds_for_every_algorithm():
    task = classes(server_lr=0.7)
    for algorithm in ("fedast", "sync_st"):
        config = fx.load_config({"own": task}, algorithm=algorithm, keep_first=2, **SHORT)
        assert config.tasks["own"].server_lr == 0.7
        assert config.given()["tasks"] == {"own": {"kind": "own"}}
    changed = fx.load_config({"own": task}, ["tasks.own.server_lr=0.2"], **SHORT)
    assert changed.tasks["own"].server_lr == 0.2


def test_all_tasks_have_the_clients_that_there_are():
    with pytest.raises(fx.ConfigError, match=r"share one pool.* over 6, and num_clients=7: divide"):
        fx.simulate({"own": classes()}, num_clients=7, **SHORT)
    other = classes(clients=fx.iid(5))
    with pytest.raises(fx.ConfigError, match="share one pool"):
        fx.simulate({"own": classes(), "other": other}, **SHORT)
    fx.register_task("other", other)
    with pytest.raises(fx.ConfigError, match="samples_per_client=12 follows from the clients"):
        fx.make_config({"tasks": {"own": {"kind": "other", "samples_per_client": 3}}, **SHORT})


def test_a_run_goes_on_with_the_data_that_it_began_with(tmp_path):
    config = {**SHORT, "machine": {"batch_width": 4, "checkpoint_seconds": 0.0}, "seeds": 2}
    calls, task = count(), classes()
    whole = fx.simulate({"own": task}, **config)
    begun = fx.simulate(
        {"own": task},
        checkpoints=fx.Checkpoints(tmp_path),
        is_stopped=lambda: next(calls) > 3,
        **config,
    )
    assert begun.status == "interrupted"
    other = classes(clients=OWNER[::-1])
    with pytest.raises(fx.ResumeError, match="the data, the clients or the model of the task kind"):
        fx.simulate({"own": other}, checkpoints=fx.Checkpoints(tmp_path), **config)
    rest = fx.simulate({"own": task}, checkpoints=fx.Checkpoints(tmp_path), **config)
    assert_frame_equal(rest.evaluations, whole.evaluations)


def test_an_unknown_kind_is_answered_with_the_nearest():
    fx.register_task("mine", classes())
    with pytest.raises(fx.ConfigError, match=r"did you mean 'mine'.* --import"):
        fx.make_config({"tasks": {"own": {"kind": "mien"}}, **SHORT})
