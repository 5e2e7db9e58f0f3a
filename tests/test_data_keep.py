"""Own data on the device: as what it is, or refused."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import fedast_jax as fx
from fedast_jax.data.dataset import Dataset
from fedast_jax.data.image_data import ImageData
from fedast_jax.data.keep import keep
from fedast_jax.tasks import TASKS, Defaults, Kind, Normalise, Shape, TaskFunctions, classification

SIZES = (40, 20)  # training, test


def dataset(dtype: type = np.float32) -> Dataset:
    """Points left and right of the middle, features in [0, 1): cast to integers all are 0."""
    splits = []
    for seed, size in enumerate(SIZES):
        points = np.random.default_rng(seed).random((size, 1, 2, 1))
        splits += [points.astype(dtype), (points[:, 0, 0, 0] > 0.5).astype(np.int64)]
    return Dataset("own", *splits, num_classes=2, source="here")


def build(shape: Shape) -> TaskFunctions:
    from fedast_jax.study.fuzz.kinds import Perceptron

    return classification(Perceptron(0, shape.num_classes), shape, Normalise(0.5, 0.3, scale=1.0))


@pytest.fixture
def own_kind(monkeypatch) -> str:
    defaults = Defaults(
        client_lr=1.0, weight_decay=0.0, step_time=0.5, server_lr=1.0, batch_size=10,
        samples_per_client=20, dirichlet_alpha=100.0, test_every=1, num_active=4, buffer_size=2,
    )  # fmt: skip
    monkeypatch.setitem(
        TASKS,
        "own",
        Kind("own", "own", build, defaults, load=lambda name, tests: ImageData(dataset(), tests)),
    )
    return "own"


def test_a_kind_learns_from_features_between_0_and_1(own_kind):
    table = {
        "num_clients": 8,
        "max_updates": 24,
        "machine": {"batch_width": 4},
        "tasks": {own_kind: {}},
    }
    assert fx.simulate(table).evaluations.accuracy.iloc[-1] > 0.8


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.uint8, np.uint8), (np.bool_, np.bool_), (np.int8, np.int32), (np.int32, np.int32),
        (np.int64, np.int32), (np.uint32, np.int32), (np.float16, np.float32),
        (np.float32, np.float32), (np.float64, np.float32), (jnp.bfloat16, np.float32),
    ],
)  # fmt: skip
def test_types(given, kept):
    values = np.array([[0, 1], [1, 0]]).astype(given)
    found = keep(values, "images")
    assert found.dtype == kept
    np.testing.assert_array_equal(found, [[0, 1], [1, 0]])


def test_floats_keep_their_values():
    values = np.random.default_rng(0).normal(size=50)
    np.testing.assert_array_equal(keep(values, "images"), values.astype(np.float32))


def test_what_is_on_the_device_is_what_was_announced():
    data = ImageData(dataset(np.float64))
    placed = data.put()
    for name, one in data.train_shapes.items():
        assert (placed.train[name].shape, placed.train[name].dtype) == (one.shape, one.dtype)
    assert data.num_bytes == sum(one.nbytes for part in placed for one in part.values())


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.array([1j]), "got the type complex128"),
        (np.array(["a"]), "got the type <U1"),
        (np.array([None]), "got the type object"),
        (np.array(["2020-01-01"], "M8[D]"), "got the type datetime64"),
        (np.array([[0.0, np.nan]]), "finite and below 3.4e38 in size, but at [0, 1] there is nan"),
        (np.array([np.inf], np.float32), "at [0] there is inf"),
        (np.array([1e300]), "at [0] there is 1e+300"),
        (np.array([2**31]), "below 2**31 in size, but at [0] there is 2147483648"),
        (np.array([0, -(2**40)]), "at [1] there is -1099511627776"),
        (np.array([2**63], np.uint64), "at [0] there is 9223372036854775808"),
    ],
)
def test_what_cannot_be_kept_is_refused(values, says):
    with pytest.raises(fx.DataError) as caught:
        keep(values, "training images")
    assert str(caught.value).startswith("the training images must be ")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"train_labels": np.zeros(SIZES[0])},
            "labels of the training set of own must be a row of",
        ),
        ({"test_labels": np.full(SIZES[1], 2)}, "test set of own has label 2 at position 0"),
        ({"test_labels": np.zeros(3, int)}, "test set of own has 20 images but 3 labels"),
        ({"train_images": np.array(["a"] * SIZES[0])}, "images of the training set of own must be"),
    ],
)
def test_labels_that_do_not_suit_are_refused(change, says):
    with pytest.raises(fx.DataError, match=says):
        ImageData(dataset()._replace(**change))
