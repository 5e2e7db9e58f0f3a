"""ResNet-18: its size, its parts against flax, the random crops; two rounds on random images."""

from __future__ import annotations

from collections import Counter

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fedast_jax.data import load_dataset
from fedast_jax.run.resolve import make_config
from fedast_jax.run.simulate import simulate
from fedast_jax.tasks import TASKS, Shape
from fedast_jax.tasks.nn.augment import crop_and_flip
from fedast_jax.tasks.nn.resnet import Block, Conv1x1, GroupNorm, conv3x3

TASK = TASKS["cifar100"].build(Shape((32, 32, 3), 100))


def test_number_of_parameters_is_that_of_resnet_18():
    # Convolutions: 1,728 (stem) + 147,456 + 524,288 + 2,097,152 + 8,388,608 (four stages);
    # normalisations: 2 * (64 + 256 + 3 * 128 + 2 * 128 + ... ) = 9,600; dense: 51,300.
    params = jax.eval_shape(TASK.init, jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 11_220_132


def normal(seed: int, shape: tuple[int, ...]) -> jax.Array:
    """Of JAX's default type, drawn without a program for each shape."""
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def images(channels: int, size: int, batch: int = 3) -> jax.Array:
    """Batch innermost."""
    return normal(0, (channels, size, size, batch))


def applied(module: nn.Module, params, x: jax.Array) -> jax.Array:
    """What a module makes of an image."""
    out = jax.jit(module.apply)(params, x)
    assert isinstance(out, jax.Array)
    return out


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [4, 5])
@pytest.mark.parametrize("x64", [False, True])
def test_convolutions_are_laxs(stride, size, x64):
    with jax.enable_x64(x64):
        x, order = images(4, size), ("CHWN", "HWIO", "CHWN")
        kernel = normal(1, (3, 3, 4, 6))
        expected = lax.conv_general_dilated(
            x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=order
        )
        ours = jax.jit(conv3x3, static_argnums=2)(x, kernel, stride)
        assert ours.dtype == x.dtype
        np.testing.assert_allclose(ours, expected, atol=1e-9 if x64 else 1e-4)
        params = {"params": {"kernel": kernel[:1, :1]}}
        expected = lax.conv_general_dilated(
            x, kernel[:1, :1], (stride, stride), "VALID", dimension_numbers=order
        )
        ours = applied(Conv1x1(6, stride), params, x)
        np.testing.assert_allclose(ours, expected, atol=1e-9 if x64 else 1e-4)


def test_group_normalisation_is_flaxs():
    with jax.enable_x64(True):
        x = 3 + images(8, 5)
        scale, bias = normal(2, (2, 8))
        params = {"params": {"scale": scale, "bias": bias}}
        ours = applied(GroupNorm(2), params, x)
        with jax.numpy_dtype_promotion("standard"):  # flax's own mixes float32 in
            theirs = applied(nn.GroupNorm(2, epsilon=1e-5), params, x.transpose(3, 1, 2, 0))
        np.testing.assert_allclose(ours, theirs.transpose(3, 1, 2, 0), atol=1e-10)


def test_a_block_halves_the_image_and_widens_it():
    x = images(4, 6)
    params = jax.jit(Block(8, 2, 2).init)(jax.random.key(0), x)
    assert applied(Block(8, 2, 2), params, x).shape == (8, 3, 3, 3)
    assert set(params["params"]) == {
        "Conv3x3_0", "Conv3x3_1", "Conv1x1_0", "GroupNorm_0", "GroupNorm_1", "GroupNorm_2",
    }  # fmt: skip


def test_crops_and_flips_are_windows_of_the_padded_image():
    rng = np.random.default_rng(0)
    image = rng.integers(1, 256, (6, 5, 3), dtype=np.uint8)
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)))
    mirrored = padded[:, ::-1]
    found = {
        one[i : i + 6, j : j + 5].tobytes(): (flip, i, j)
        for flip, one in enumerate((padded, mirrored))
        for i in range(9)
        for j in range(9)
    }
    num = 8000
    changed = jax.jit(crop_and_flip)(jnp.tile(image, (num, 1, 1, 1)), jax.random.key(0))
    assert changed.dtype == jnp.uint8
    counts = Counter(found[np.asarray(one).tobytes()] for one in changed)
    flips = sum(count for (flip, _, _), count in counts.items() if flip)
    assert abs(flips - num / 2) < 5 * np.sqrt(num / 4)
    for axis in (1, 2):
        shifts = Counter()
        for place, count in counts.items():
            shifts[place[axis]] += count
        assert set(shifts) == set(range(9))
        assert max(abs(count - num / 9) for count in shifts.values()) < 5 * np.sqrt(num / 9)


def test_only_training_images_are_changed():
    rng = np.random.default_rng(0)
    data = {
        "images": jnp.asarray(rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)),
        "labels": jnp.arange(4, dtype=jnp.int32),
    }
    plain = TASK.take(data, jnp.arange(4), None)
    mean, std = np.array([0.5071, 0.4867, 0.4408]), np.array([0.2675, 0.2565, 0.2761])
    wanted = (np.asarray(data["images"]) / 255 - mean) / std
    np.testing.assert_allclose(plain.images, wanted, rtol=1e-4, atol=1e-5)
    first, again = (TASK.take(data, jnp.arange(4), jax.random.key(1)).images for _ in range(2))
    other = TASK.take(data, jnp.arange(4), jax.random.key(2)).images
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, plain.images)


def write_cifar100(folder, num_train: int, num_test: int) -> None:
    """Random images in the binary form: a coarse and a fine label before the pixels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, number in (("train.bin", num_train), ("test.bin", num_test)):
        records = rng.integers(0, 256, (number, 2 + 3072), dtype=np.uint8)
        records[:, 0], records[:, 1] = rng.integers(0, 20, number), np.arange(number) % 100
        (folder / name).write_bytes(records.tobytes())


@pytest.fixture
def random_cifar100(tmp_path, monkeypatch):
    """A data set of random images of CIFAR-100's shape."""
    monkeypatch.setenv("FEDAST_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("FEDAST_CACHE_DIR", str(tmp_path / "cache"))
    write_cifar100(tmp_path / "cifar100", 300, 20)


@pytest.mark.usefixtures("random_cifar100")
def test_binary_files_are_read():
    dataset = load_dataset("cifar100")
    assert dataset.train_images.shape == (300, 32, 32, 3)
    np.testing.assert_array_equal(dataset.test_labels, np.arange(20))


@pytest.mark.slow
@pytest.mark.usefixtures("random_cifar100")
def test_two_rounds_on_random_images():
    task = {
        "num_active": 2, "buffer_size": 1, "max_rounds": 2, "test_every": 1, "local_steps": 2,
        "batch_size": 4, "samples_per_client": 20,
    }  # fmt: skip
    result = simulate(
        make_config({"num_clients": 4, "machine": {"batch_width": 1}, "tasks": {"cifar100": task}})
    )
    assert result.status == "finished"
    assert len(result.evaluations) == 2
    assert np.isfinite(result.evaluations["loss"]).all()
