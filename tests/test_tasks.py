"""What every kind in the registry must keep, and what single kinds promise."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from fedast_jax.config.errors import ConfigError
from fedast_jax.run import bench
from fedast_jax.tasks import TASKS, Defaults, Kind, Shape, TaskFunctions, get_kind, register_task
from fedast_jax.tasks.classification import first_largest

SHAPES = {**bench.SHAPES, None: Shape((12, 10, 3), 7)}
SLOW = {"cifar100"}  # kinds that take many seconds to compile
KINDS = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name, kind in sorted(TASKS.items())
    if kind.dataset in SHAPES
]
NUM_EXAMPLES = 12


def shape_of(name: str) -> Shape:
    return SHAPES[TASKS[name].dataset]


def random_data(shape: Shape) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    if len(shape.input_shape) == 1:
        text = rng.integers(0, shape.num_classes, 120, dtype=np.uint8)
        return {"text": jnp.asarray(text), "starts": jnp.arange(NUM_EXAMPLES, dtype=jnp.int32)}
    images = rng.integers(0, 256, (NUM_EXAMPLES, *shape.input_shape), dtype=np.uint8)
    labels = rng.integers(0, shape.num_classes, NUM_EXAMPLES, dtype=np.int32)
    return {"images": jnp.asarray(images), "labels": jnp.asarray(labels)}


class Computed(NamedTuple):
    """What one compiled program says of a kind, at the parameters of key 0."""

    batch: Any
    loss: jax.Array
    gradient: jax.Array
    correct: jax.Array
    each_loss: jax.Array


@cache
def task_of(name: str) -> TaskFunctions:
    return TASKS[name].build(shape_of(name))


@cache
def initial(name: str, seed: int = 0) -> Any:
    """The first parameters, in float32."""
    with jax.enable_x64(False):  # whoever asks first
        return jax.device_get(task_of(name).init(jax.random.key(seed)))


@cache
def compute(name: str, x64: bool) -> Computed:
    """Train and score once, forbidding silent changes of rank and type."""
    task = task_of(name)

    def program(params, data, index):
        batch = task.take(data, index, None)
        loss, gradient = jax.value_and_grad(task.loss)(params, batch)
        return Computed(batch, loss, ravel_pytree(gradient)[0], *task.score(params, batch))

    strict_rank, strict_type = (
        jax.numpy_rank_promotion("raise"),
        jax.numpy_dtype_promotion("strict"),
    )
    with jax.enable_x64(x64), strict_rank, strict_type:
        params = jax.tree.map(lambda p: jnp.asarray(p, float), initial(name))
        return jax.device_get(
            jax.jit(program)(params, random_data(shape_of(name)), jnp.arange(2, 8))
        )


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_loss_score_and_gradient_have_the_right_shapes_and_types(name, x64):
    _, loss, gradient, correct, each_loss = compute(name, x64)
    assert loss.shape == ()
    assert correct.shape == each_loss.shape == (6,)
    dtypes = {values.dtype for values in (loss, gradient, correct, each_loss)}
    assert dtypes == {jnp.dtype(jnp.float64 if x64 else jnp.float32)}
    assert np.isfinite(gradient).all()
    assert np.isfinite(loss)
    assert set(np.unique(correct)) <= {0.0, 1.0}
    np.testing.assert_allclose(loss, np.mean(each_loss), rtol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_float32_and_float64_agree(name):
    single, double = compute(name, False), compute(name, True)
    np.testing.assert_allclose(single.each_loss, double.each_loss, rtol=1e-4)
    scale = np.abs(double.gradient).max()
    np.testing.assert_allclose(single.gradient, double.gradient, atol=1e-3 * scale)


@pytest.mark.parametrize("name", KINDS)
def test_initial_parameters_depend_on_the_key_only(name):
    again = jax.device_get(task_of(name).init(jax.random.key(0)))
    first, again, other = (
        ravel_pytree(params)[0] for params in (initial(name), again, initial(name, seed=1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", KINDS)
def test_model_follows_the_default_float_and_computes_in_its_parameters_type(name):
    with jax.enable_x64(True):
        task, data = task_of(name), random_data(shape_of(name))
        params = jax.eval_shape(task.init, jax.random.key(0))
        assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float64)}
        batch = jax.eval_shape(lambda data: task.take(data, jnp.arange(6), None), data)
        loss = jax.eval_shape(task.loss, initial(name), batch)
        assert loss.dtype == jnp.float32


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mnist", 199_210),
        ("fashion_mnist", 44_426),
        ("cifar10", 797_962),
        ("cifar100", 11_220_132),
        ("shakespeare", 52_720),
    ],
)
def test_number_of_parameters_is_the_papers(name, count):
    params = jax.eval_shape(task_of(name).init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


@pytest.mark.parametrize(
    ("name", "low", "high"),  # of pixel 0 and of the brightest pixel
    [
        ("mnist", -0.1307 / 0.3081, (1 - 0.1307) / 0.3081),
        ("fashion_mnist", -0.1307 / 0.3081, (1 - 0.1307) / 0.3081),
        ("cifar10", -1.0, 1.0),
        ("digits", 0.0, 1.0),
        ("tfds", -1.0, 1.0),
    ],
)
def test_pixels_are_normalised_as_the_paper_says(name, low, high):
    shape = shape_of(name)
    data = random_data(shape)
    brightest = 16 if name == "digits" else 255
    pixels = jnp.full((2, *shape.input_shape), brightest, jnp.uint8).at[0].set(0)
    batch = TASKS[name].build(shape).take(data | {"images": pixels}, jnp.arange(2), None)
    np.testing.assert_allclose(batch.images[0], low, rtol=1e-6)
    np.testing.assert_allclose(batch.images[1], high, rtol=1e-6)


def test_taking_the_same_examples_twice_is_allowed():
    task = task_of("digits")
    batch = task.take(random_data(shape_of("digits")), jnp.array([3, 3]), jax.random.key(0))
    np.testing.assert_array_equal(batch.images[0], batch.images[1])


@pytest.mark.parametrize("size", [1, 7, 8, 15, 33])
def test_users_data_of_any_size_gets_a_model(size):
    task = TASKS["tfds"].build(Shape((size, size, 3), 5))
    params = jax.eval_shape(task.init, jax.random.key(0))
    data = {"images": jnp.zeros((2, size, size, 3), jnp.uint8), "labels": jnp.zeros(2, jnp.int32)}
    batch = jax.eval_shape(lambda data: task.take(data, jnp.arange(2), None), data)
    gradient = jax.eval_shape(jax.grad(task.loss), params, batch)
    assert jax.tree.leaves(gradient) == jax.tree.leaves(params)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) < 500_000


@pytest.mark.parametrize("name", sorted(TASKS))
def test_registry_name_is_the_kinds_own(name):
    assert get_kind(name).name == name
    assert 16 % TASKS[name].micro_batch.get("cpu", 16) == 0


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'fashion_mnist'"):
        get_kind("fashion-mnist")


def test_registering_an_own_kind(monkeypatch, caplog):
    monkeypatch.setattr("fedast_jax.tasks.TASKS", dict(TASKS))
    own = Kind("own", "digits", TASKS["digits"].build, Defaults(0.1, 0.0, 0.1))
    assert register_task("own", own) is own
    assert get_kind("own") == own
    register_task("own", own)
    assert not caplog.messages
    register_task("own", Kind("own", "mnist", TASKS["mnist"].build, own.defaults))
    (note,) = caplog.messages
    assert note.startswith("the task 'own' takes the place of an earlier one of this name, also in")
    assert get_kind("own").dataset == "mnist"
    with pytest.raises(ConfigError, match="'mnist' is a task of this package: call your own"):
        register_task("mnist", own)
    with pytest.raises(ConfigError, match="a name has 1 to 64 letters"):
        register_task("../own", own)
    with pytest.raises(ConfigError, match="takes a Task, got 3"):
        register_task("own", 3)  # type: ignore[arg-type]


def torch_weights(params, names: list[str]):
    """Our parameters in PyTorch's layout, layer by layer."""
    torch = pytest.importorskip("torch")
    for name in names:
        kernel, bias = np.array(params[name]["kernel"]), np.array(params[name]["bias"])
        turned = kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T
        yield torch.from_numpy(turned.copy()), torch.from_numpy(bias)


def torch_forward(images: np.ndarray, weights) -> np.ndarray:
    """5x5 convolutions with ReLU and pooling, then dense layers with ReLU between them."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = torch.from_numpy(np.array(images.transpose(0, 3, 1, 2)))
    weights = list(weights)
    for number, (weight, bias) in enumerate(weights):
        if weight.ndim == 4:
            x = functional.max_pool2d(functional.relu(functional.conv2d(x, weight, bias)), 2)
        else:
            x = functional.linear(x.flatten(1), weight, bias)
            x = functional.relu(x) if number < len(weights) - 1 else x
    return x.numpy()


@pytest.mark.parametrize(("name", "num_conv"), [("mnist", 0), ("fashion_mnist", 2), ("cifar10", 2)])
def test_losses_agree_with_pytorch(name, num_conv):
    torch = pytest.importorskip("torch")
    params, computed = initial(name), compute(name, False)
    names = [f"Conv_{i}" for i in range(num_conv)] + [f"Dense_{i}" for i in range(3)]
    assert set(names) == set(params)
    images, labels = (np.array(values) for values in computed.batch)
    logits = torch_forward(images, torch_weights(params, names))
    expected = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits), torch.from_numpy(labels).long(), reduction="none"
    )
    np.testing.assert_allclose(computed.each_loss, expected.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(computed.correct, logits.argmax(1) == labels)


def test_the_first_of_the_largest():
    """As ``argmax``, of ties and NaN too."""
    values = np.array([[1, 3, 3], [2, 2, 2], [0, np.nan, 5], [-np.inf] * 3, [np.nan] * 3], float)
    np.testing.assert_array_equal(first_largest(jnp.asarray(values)), values.argmax(-1))
