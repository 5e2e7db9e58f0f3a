"""What the rest of the program sees of a data set: four arrays and where they came from."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .errors import DataError


class Splits(NamedTuple):
    """The arrays of a data set, as decoded."""

    train_images: np.ndarray  # uint8[num_train, height, width, channels]
    train_labels: np.ndarray  # int32[num_train], in [0, num_classes)
    test_images: np.ndarray  # uint8[num_test, height, width, channels]
    test_labels: np.ndarray  # int32[num_test], in [0, num_classes)


class Dataset(NamedTuple):
    """An image classification set in memory. Pixels are raw: tasks normalise them."""

    name: str
    train_images: np.ndarray  # uint8[num_train, height, width, channels]
    train_labels: np.ndarray  # int32[num_train], in [0, num_classes)
    test_images: np.ndarray  # uint8[num_test, height, width, channels]
    test_labels: np.ndarray  # int32[num_test], in [0, num_classes)
    num_classes: int
    source: str  # in words: where the arrays came from


def make_dataset(name: str, splits: Splits, num_classes: int, source: str) -> Dataset:
    """Put a data set together from its arrays.

    Raises:
        DataError: a split is empty, its images and labels differ in number or type, a label is
            out of range, or training and test images differ in shape.
    """
    where = f"{name} ({source})"
    check_split(splits.train_images, splits.train_labels, num_classes, f"training set of {where}")
    check_split(splits.test_images, splits.test_labels, num_classes, f"test set of {where}")
    train_shape, test_shape = splits.train_images.shape[1:], splits.test_images.shape[1:]
    if train_shape != test_shape:
        raise DataError(
            f"the images of {where} must share one shape, but training images are "
            f"{show_shape(train_shape)} and test images {show_shape(test_shape)}"
        )
    return Dataset(name, *splits, num_classes=num_classes, source=source)


def check_split(images: np.ndarray, labels: np.ndarray, num_classes: int, where: str) -> None:
    """Check ``uint8[n, height, width, channels]`` images against their ``int32[n]`` labels."""
    if images.ndim != 4 or images.dtype != np.uint8 or labels.dtype != np.int32:
        raise DataError(
            f"the {where} must be uint8 images with int32 labels, "
            f"got {images.dtype}{list(images.shape)} with {labels.dtype}{list(labels.shape)}"
        )
    if labels.shape != (len(images),):
        raise DataError(f"the {where} has {len(images)} images but {labels.size} labels")
    if images.size == 0:
        raise DataError(f"the {where} is empty: its images have shape {list(images.shape)}")
    check_labels(labels, num_classes, where)


def check_labels(labels: np.ndarray, num_classes: int, where: str) -> None:
    """Refuse labels outside ``[0, num_classes)``, naming the first of them."""
    is_wrong = (labels < 0) | (labels >= num_classes)
    if is_wrong.any():
        first = int(is_wrong.argmax())
        raise DataError(
            f"labels must be in [0, {num_classes}), but the {where} has label "
            f"{int(labels[first])} at position {first}"
        )


def show_shape(shape: tuple[int, ...]) -> str:
    """``(28, 28, 1)`` as ``28 x 28 x 1``."""
    return " x ".join(str(size) for size in shape)
