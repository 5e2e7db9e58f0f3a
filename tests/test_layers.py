"""Convolution, pooling and dense layers against JAX's own operations, in float64."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fedast_jax.tasks.nn.layers import Conv, Dense, conv2d, flatten, max_pool, to_batch_innermost

FORMS = ["patches", "rows"]


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def normal(seed: int, shape: tuple[int, ...]) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))  # not a program a shape


def lax_conv(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    dimensions = ("CHWN", "HWIO", "CHWN")
    pads = [(padding, padding)] * 2
    return lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=dimensions)


def lax_max_pool(x: jax.Array) -> jax.Array:
    window = (1, 2, 2, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def assert_same_value_and_gradient(function, expected, *args):
    weight = normal(9, jax.eval_shape(expected, *args).shape)
    numbers = tuple(range(len(args)))

    @partial(jax.jit, static_argnums=0)
    def value_and_gradient(f, *args):
        return f(*args), jax.grad(lambda *a: (f(*a) * weight).sum(), numbers)(*args)

    jax.tree.map(
        partial(np.testing.assert_allclose, rtol=1e-11, atol=1e-11),
        value_and_gradient(function, *args),
        value_and_gradient(expected, *args),
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("image", "kernel", "padding"),
    [
        ((3, 6, 7, 5), (3, 4, 3, 4), 0),
        ((2, 6, 7, 3), (3, 3, 2, 6), 1),
        ((1, 4, 4, 2), (2, 3, 1, 1), 0),
    ],
)
def test_convolution_is_the_textbook_one(image, kernel, padding, form):
    assert_same_value_and_gradient(
        lambda x, k: conv2d(x, k, padding, form),
        lambda x, k: lax_conv(x, k, padding),
        normal(0, image),
        normal(1, kernel),
    )


@pytest.mark.parametrize("form", FORMS)
def test_convolution_with_a_kernel_per_client(form):
    images, kernels = normal(0, (3, 2, 6, 6, 4)), normal(1, (3, 3, 3, 2, 5))
    together = jax.jit(jax.vmap(lambda x, k: conv2d(x, k, 1, form)))(images, kernels)
    one_by_one = jnp.stack([lax_conv(x, k, 1) for x, k in zip(images, kernels, strict=True)])
    np.testing.assert_allclose(together, one_by_one, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 7, 2)])
def test_pooling_is_the_textbook_one_where_no_values_tie(shape):
    assert_same_value_and_gradient(max_pool, lax_max_pool, normal(0, shape))


@pytest.mark.parametrize(
    ("square", "gradient"),
    [
        ([1.0, 1.0, 1.0, 1.0], [0.25, 0.25, 0.25, 0.25]),
        ([0.0, 2.0, 1.0, 2.0], [0.0, 0.5, 0.0, 0.5]),
        ([3.0, 2.0, 3.0, 3.0], [1 / 3, 0.0, 1 / 3, 1 / 3]),
    ],
)
def test_tied_values_share_the_gradient_of_pooling(square, gradient):
    x = jnp.array(square).reshape(1, 2, 2, 1)
    np.testing.assert_allclose(jax.grad(lambda x: max_pool(x).sum())(x).ravel(), gradient)


def test_flatten_orders_features_as_pytorch():
    images = normal(0, (2, 3, 4, 5))  # batch, height, width, channels
    channels_first = images.transpose(0, 3, 1, 2).reshape(2, -1)
    np.testing.assert_array_equal(flatten(to_batch_innermost(images)), channels_first)


@pytest.mark.parametrize(
    ("layer", "shape", "fan_in"),
    [(Conv(64, 5), (3, 8, 8, 2), 75), (Dense(300), (2, 100), 100)],
)
def test_initial_parameters_are_uniform_within_one_over_root_fan_in(layer, shape, fan_in):
    params = layer.init(jax.random.key(0), jnp.zeros(shape))["params"]
    bound = fan_in**-0.5
    for values in params.values():
        assert values.dtype == jnp.float64
        assert 0.9 * bound < jnp.abs(values).max() <= bound
    assert params["kernel"].std() == pytest.approx(bound / 3**0.5, rel=0.03)


@pytest.mark.parametrize(("layer", "shape"), [(Conv(4, 3), (2, 5, 5, 3)), (Dense(4), (3, 7))])
def test_layers_compute_in_the_type_of_their_parameters(layer, shape):
    params = layer.init(jax.random.key(0), jnp.zeros(shape))
    single = jax.tree.map(lambda p: p.astype(jnp.float32), params)
    assert layer.apply(single, normal(0, shape)).dtype == jnp.float32
