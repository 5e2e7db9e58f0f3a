"""ResNet-18 for 32x32 images with group normalisation, on batch-innermost images (see layers.py).

Reference:
    He, Zhang, Ren, Sun, "Deep residual learning for image recognition" (2016); Wu, He, "Group
    normalization" (2018); as used by Acar et al., "Federated learning based on dynamic
    regularization" (2021), whose model Askin et al. (UAI 2024) train.
"""

from __future__ import annotations

import math
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from .layers import Dense, uniform_fan_in

STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels, stride of the first block
BLOCKS = 2  # of each stage
EPSILON = 1e-5


class ResNet18(nn.Module):
    """3x3 stem without pooling, eight blocks of two convolutions, mean over the image, dense."""

    num_classes: int
    num_groups: int = 2
    pool_size: int | None = None  # mean over so many rows and columns, the first ones; None: all

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = jnp.transpose(images, (3, 1, 2, 0))
        x = nn.relu(GroupNorm(self.num_groups)(Conv3x3(STAGES[0][0])(x)))
        for channels, stride in STAGES:
            for block in range(BLOCKS):
                x = Block(channels, stride if block == 0 else 1, self.num_groups)(x)
        x = x[:, : self.pool_size, : self.pool_size]
        return Dense(self.num_classes)(x.mean((1, 2)).T)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where shapes differ."""

    features: int
    stride: int
    num_groups: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        norm = partial(GroupNorm, self.num_groups)
        out = nn.relu(norm()(Conv3x3(self.features, self.stride)(x)))
        out = norm()(Conv3x3(self.features)(out))
        if self.stride > 1 or len(x) != self.features:
            x = norm()(Conv1x1(self.features, self.stride)(x))
        return nn.relu(out + x)


class GroupNorm(nn.Module):
    """Normalise every image over groups of channels; scale and shift each channel.

    ``(channels, height, width, batch)`` with ``num_groups`` dividing the channels; as
    ``torch.nn.GroupNorm``.
    """

    num_groups: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones_init(), (len(x),), x.dtype)
        bias = self.param("bias", nn.initializers.zeros_init(), (len(x),), x.dtype)
        groups = x.reshape(self.num_groups, -1, x.shape[-1])
        mean = groups.mean(1, keepdims=True)
        variance = jnp.square(groups - mean).mean(1, keepdims=True)
        normed = ((groups - mean) * jax.lax.rsqrt(variance + EPSILON)).reshape(x.shape)
        return normed * scale[:, None, None, None] + bias[:, None, None, None]


class Conv3x3(nn.Module):
    """3x3 convolution padded by one pixel, without bias: ``(in, h, w, batch) -> (features, ...)``.

    The image is gathered along its width only, and one product a kernel row is summed. The gathered
    image, three times as large, is gathered again for the gradient instead of being kept.
    """

    features: int
    stride: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (3, 3, len(x), self.features)
        kernel = self.param("kernel", uniform_fan_in(math.prod(shape[:3])), shape)
        return jax.checkpoint(partial(conv3x3, stride=self.stride))(x.astype(kernel.dtype), kernel)


class Conv1x1(nn.Module):
    """1x1 convolution without bias."""

    features: int
    stride: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", uniform_fan_in(len(x)), (1, 1, len(x), self.features))
        x = x[:, :: self.stride, :: self.stride]
        return _product(kernel[0, 0], x)


def conv3x3(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Cross-correlation of ``(in, h, w, batch)`` with ``(3, 3, in, out)``, padded by one pixel."""
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1] - 2, x.shape[2] - 2
    columns = jnp.concatenate([x[:, :, j : j + width : stride] for j in range(3)])
    rows = (columns[:, i : i + height : stride] for i in range(3))
    return jnp.asarray(
        sum(_product(k.reshape(-1, k.shape[-1]), row) for k, row in zip(kernel, rows, strict=True))
    )


def _product(kernel: jax.Array, x: jax.Array) -> jax.Array:
    """``(in, out)`` with ``(in, h, w, batch)``: ``(out, h, w, batch)``."""
    out = kernel.T @ x.reshape(len(x), -1)
    return out.reshape(-1, *x.shape[1:])
