"""Layers as the engine needs them: convolutions as matrix products, fast with weights per client.

Images inside a model are *batch innermost*, ``(channels, height, width, batch)``: a patch is then a
concatenation of contiguous slices along the channel axis, and a convolution is one product of a
small kernel matrix with long rows.  ``vmap`` over clients turns it into a batched product, where
``lax.conv`` would become a grouped convolution (slow on every backend) and would be slow inside
``lax.scan`` on the CPU.

Initialisation is PyTorch's default, which the paper's authors train with: kernel and bias uniform
in ``±1/sqrt(fan_in)``.  Parameters have JAX's default float type; arithmetic is done in that type.
"""

from __future__ import annotations

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

Form = Literal["patches", "rows"]


def to_batch_innermost(images: jax.Array) -> jax.Array:
    """``(batch, height, width, channels) -> (channels, height, width, batch)``."""
    return jnp.transpose(images, (3, 1, 2, 0))


def flatten(x: jax.Array) -> jax.Array:
    """``(channels, height, width, batch) -> (batch, features)``, features ordered as in PyTorch."""
    return x.reshape(-1, x.shape[-1]).T


def conv2d(x: jax.Array, kernel: jax.Array, padding: int = 0, form: Form = "patches") -> jax.Array:
    """Cross-correlation with stride 1, as ``torch.nn.functional.conv2d``.

    Args:
        x: ``(in, height, width, batch)``.
        kernel: ``(kernel_height, kernel_width, in, out)``.
        padding: zeros added on each side of height and width.
        form: "patches" makes one product of all patches (best for few input channels); "rows"
            gathers along the width only and sums one product per kernel row (less memory traffic).
    Returns:
        ``(out, height + 2 padding - kernel_height + 1, width + ..., batch)``.
    """
    if padding:
        x = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return _conv_patches(x, kernel) if form == "patches" else _conv_rows(x, kernel)


def _conv_patches(x: jax.Array, kernel: jax.Array) -> jax.Array:
    kernel_height, kernel_width, _, num_out = kernel.shape
    height, width = x.shape[1] - kernel_height + 1, x.shape[2] - kernel_width + 1
    shifts = [(i, j) for i in range(kernel_height) for j in range(kernel_width)]
    patches = jnp.concatenate([x[:, i : i + height, j : j + width] for i, j in shifts])
    out = kernel.reshape(-1, num_out).T @ patches.reshape(len(patches), -1)
    return out.reshape(num_out, height, width, -1)


@jax.custom_vjp
def _conv_rows(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _conv_rows_forward(x, kernel)[0]


def _conv_rows_forward(x: jax.Array, kernel: jax.Array):
    kernel_height, kernel_width, _, num_out = kernel.shape
    height, width = x.shape[1] - kernel_height + 1, x.shape[2] - kernel_width + 1
    columns = jnp.concatenate([x[:, :, j : j + width] for j in range(kernel_width)])
    slabs = [columns[:, i : i + height].reshape(len(columns), -1) for i in range(kernel_height)]
    out = sum(kernel[i].reshape(-1, num_out).T @ slab for i, slab in enumerate(slabs))
    return jnp.asarray(out).reshape(num_out, height, width, -1), (x, kernel, slabs)


def _conv_rows_backward(saved, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    return lax.platform_dependent(*saved, gradient, cpu=_row_gradients, default=_plain_gradients)


def _plain_gradients(x: jax.Array, kernel: jax.Array, slabs, gradient: jax.Array):
    """As JAX derives them."""
    del slabs
    return jax.vjp(lambda *given: _conv_rows_forward(*given)[0], x, kernel)[1](gradient)


def _row_gradients(x: jax.Array, kernel: jax.Array, slabs, gradient: jax.Array):
    """The same on a CPU with half of the memory traffic.

    ``dx[c, y+i, z+j] += sum_o kernel[i, j, c, o] gradient[o, y, z]``: of each kernel row i the
    shifts j are added before those of the next row are formed. JAX would write all rows with all
    shifts, padded to the image's height, and then add.
    """
    kernel_height, kernel_width, num_in, num_out = kernel.shape
    flat, total = gradient.reshape(num_out, -1), jnp.zeros_like(x)
    for i in range(kernel_height):
        shifts = kernel[i].reshape(-1, num_out) @ flat
        row = _add_shifts(shifts.reshape(kernel_width, num_in, *gradient.shape[1:]))
        below = kernel_height - 1 - i
        # without the barrier XLA forms each row anew for every pixel that it adds to
        total += jnp.pad(lax.optimization_barrier(row), ((0, 0), (i, below), (0, 0), (0, 0)))
    return total, jnp.stack([slab @ flat.T for slab in slabs]).reshape(kernel.shape)


def _add_shifts(shifts: jax.Array) -> jax.Array:
    """``(shift, channels, height, width, batch)``: the sum, the j-th moved j pixels right."""
    most = len(shifts) - 1
    moved = [
        jnp.pad(image, ((0, 0), (0, 0), (j, most - j), (0, 0))) for j, image in enumerate(shifts)
    ]
    return jnp.asarray(sum(moved))


_conv_rows.defvjp(_conv_rows_forward, _conv_rows_backward)


@jax.custom_vjp
def max_pool(x: jax.Array) -> jax.Array:
    """The largest of each 2x2 square; an odd last row or column is dropped, as in PyTorch.

    Values that tie for the largest share its gradient equally (PyTorch gives it to the first).
    Flat image parts tie everywhere, so this must not count the gradient more than once.

    Args:
        x: ``(channels, height, width, batch)``.
    Returns:
        ``(channels, height // 2, width // 2, batch)``.
    """
    top_left, top_right, bottom_left, bottom_right = _corners(x)
    left, right = jnp.maximum(top_left, bottom_left), jnp.maximum(top_right, bottom_right)
    return jnp.maximum(left, right)


def _max_pool_forward(x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    largest = max_pool(x)
    return largest, (x, largest)


def _max_pool_backward(saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array]:
    x, largest = saved
    num_tied = sum((corner == largest).astype(x.dtype) for corner in _corners(x))
    height, width = 2 * largest.shape[1], 2 * largest.shape[2]
    is_largest = x[:, :height, :width] == _repeat_in_squares(largest)
    shared = jnp.where(is_largest, _repeat_in_squares(gradient / num_tied), 0)
    dropped = ((0, 0), (0, x.shape[1] - height), (0, x.shape[2] - width), (0, 0))
    return (jnp.pad(shared, dropped),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def _corners(x: jax.Array) -> list[jax.Array]:
    """The four pixels of every 2x2 square: top left, top right, bottom left, bottom right."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return [x[:, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]


def _repeat_in_squares(x: jax.Array) -> jax.Array:
    """Every pixel four times, as a 2x2 square."""
    channels, height, width, batch = x.shape
    squares = jnp.broadcast_to(x[:, :, None, :, None], (channels, height, 2, width, 2, batch))
    return squares.reshape(channels, 2 * height, 2 * width, batch)


def uniform_fan_in(fan_in: int):
    """PyTorch's default for linear and convolution layers: uniform in ``±1/sqrt(fan_in)``."""
    bound = 1.0 / math.sqrt(fan_in)

    def init(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        # drawn in one dimension: many compile eight times as long, and a model has many of these
        values = jax.random.uniform(key, (math.prod(shape),), default_float(), -bound, bound)
        return values.reshape(shape)

    return init


def default_float() -> jnp.dtype:
    """float32, or float64 where ``jax_enable_x64`` is on."""
    return jnp.zeros(()).dtype


class Conv(nn.Module):
    """Convolution with stride 1 and a bias, on ``(in, height, width, batch)``; see ``conv2d``."""

    features: int
    kernel_size: int
    padding: int = 0
    form: Form = "patches"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.kernel_size, self.kernel_size, x.shape[0], self.features)
        init = uniform_fan_in(math.prod(shape[:3]))
        kernel = self.param("kernel", init, shape)
        bias = self.param("bias", init, (self.features,))
        x = conv2d(x.astype(kernel.dtype), kernel, self.padding, self.form)
        return x + bias[:, None, None, None]


class Dense(nn.Module):
    """``x @ kernel + bias`` on ``(batch, in)``."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        init = uniform_fan_in(x.shape[-1])
        kernel = self.param("kernel", init, (x.shape[-1], self.features))
        bias = self.param("bias", init, (self.features,))
        return x.astype(kernel.dtype) @ kernel + bias[None]
