"""What every kind in the registry must keep, and what single kinds promise."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from fedast_jax.tasks import TASKS, Defaults, Kind, Shape, get_kind, register

SHAPES = {
    "mnist": Shape((28, 28, 1), 10),
    "fashion_mnist": Shape((28, 28, 1), 10),
    "cifar10": Shape((32, 32, 3), 10),
    "digits": Shape((8, 8, 1), 10),
    None: Shape((12, 10, 3), 7),
}
IMAGE_KINDS = sorted(name for name, kind in TASKS.items() if kind.dataset in SHAPES)
NUM_EXAMPLES = 12


def shape_of(name: str) -> Shape:
    return SHAPES[TASKS[name].dataset]


def random_data(shape: Shape) -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NUM_EXAMPLES, *shape.input_shape), dtype=np.uint8)
    labels = rng.integers(0, shape.num_classes, NUM_EXAMPLES, dtype=np.int32)
    return {"images": jnp.asarray(images), "labels": jnp.asarray(labels)}


def task_and_batch(name: str):
    task, data = TASKS[name].build(shape_of(name)), random_data(shape_of(name))
    return task, task.init(jax.random.key(0)), task.take(data, jnp.arange(2, 8), None)


@pytest.fixture
def strict():
    """No silent change of rank or type anywhere in a task."""
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_loss_score_and_gradient_have_the_right_shapes_and_types(name, x64):
    with jax.enable_x64(x64):
        task, params, batch = task_and_batch(name)
        loss, gradient = jax.jit(jax.value_and_grad(task.loss))(params, batch)
        correct, each_loss = jax.jit(task.score)(params, batch)
        dtype = jnp.dtype(jnp.float64 if x64 else jnp.float32)
        flat = ravel_pytree(gradient)[0]
        assert loss.shape == ()
        assert correct.shape == each_loss.shape == (6,)
        assert {loss.dtype, correct.dtype, each_loss.dtype, flat.dtype} == {dtype}
        assert np.isfinite(flat).all()
        assert np.isfinite(loss)
        assert set(np.unique(correct)) <= {0.0, 1.0}
        np.testing.assert_allclose(loss, each_loss.mean(), rtol=1e-5)


@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_initial_parameters_depend_on_the_key_only(name):
    init = TASKS[name].build(shape_of(name)).init
    first, again, other = (ravel_pytree(init(jax.random.key(seed)))[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_float32_and_float64_agree(name):
    def loss_in(x64: bool) -> float:
        with jax.enable_x64(x64):
            task, _, batch = task_and_batch(name)
            params = jax.tree.map(lambda p: jnp.asarray(p, jnp.zeros(()).dtype), start)
            return float(jax.jit(task.loss)(params, batch))

    start = jax.tree.map(np.asarray, task_and_batch(name)[1])
    assert loss_in(False) == pytest.approx(loss_in(True), rel=1e-5)


@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_model_computes_in_the_type_of_its_parameters(name):
    with jax.enable_x64(True):
        task, params, batch = task_and_batch(name)
        single = jax.tree.map(lambda p: p.astype(jnp.float32), params)
        assert jax.eval_shape(task.loss, single, batch).dtype == jnp.float32


@pytest.mark.parametrize(
    ("name", "count"), [("mnist", 199_210), ("fashion_mnist", 44_426), ("cifar10", 797_962)]
)
def test_number_of_parameters_is_the_papers(name, count):
    params = jax.eval_shape(TASKS[name].build(shape_of(name)).init, jax.random.key(0))
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
    task = TASKS["digits"].build(shape_of("digits"))
    batch = task.take(random_data(shape_of("digits")), jnp.array([3, 3]), jax.random.key(0))
    np.testing.assert_array_equal(batch.images[0], batch.images[1])


@pytest.mark.parametrize("size", [1, 7, 8, 15, 16, 33, 64])
def test_users_data_of_any_size_gets_a_model(size):
    task = TASKS["tfds"].build(Shape((size, size, 3), 5))
    params = task.init(jax.random.key(0))
    data = {"images": jnp.zeros((2, size, size, 3), jnp.uint8), "labels": jnp.zeros(2, jnp.int32)}
    loss = jax.jit(task.loss)(params, task.take(data, jnp.arange(2), None))
    assert np.isfinite(loss)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_registry_name_is_the_kinds_own(name):
    assert get_kind(name).name == name
    assert 16 % TASKS[name].micro_batch.get("cpu", 16) == 0


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'fashion_mnist'"):
        get_kind("fashion-mnist")


def test_registering_an_own_kind(monkeypatch):
    monkeypatch.setattr("fedast_jax.tasks.TASKS", dict(TASKS))
    own = Kind("own", "digits", TASKS["digits"].build, Defaults(0.1, 0.0, 0.1))
    assert register(own) is own
    assert get_kind("own") is register(own)
    with pytest.raises(ValueError, match="exists already"):
        register(Kind("own", "mnist", own.build, own.defaults))


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
    task, params, batch = task_and_batch(name)
    names = [f"Conv_{i}" for i in range(num_conv)] + [f"Dense_{i}" for i in range(3)]
    assert set(names) == set(params)
    logits = torch_forward(np.asarray(batch.images), torch_weights(params, names))
    labels = torch.from_numpy(np.array(batch.labels)).long()
    expected = torch.nn.functional.cross_entropy(torch.from_numpy(logits), labels, reduction="none")
    correct, losses = jax.jit(task.score)(params, batch)
    np.testing.assert_allclose(losses, expected.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(correct, logits.argmax(1) == np.asarray(batch.labels))
