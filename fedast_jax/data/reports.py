"""What there is to say about data sets: which are available, and what is in one."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from .dataset import Dataset
from .errors import DataError
from .sources import DATASETS, find_source, how_to_get, load_dataset
from .text import SYMBOLS, WINDOW, TextDataset
from .text_sources import NAME as TEXT
from .text_sources import find_roles, how_to_get_text, load_roles

CHUNK = 1000  # images summed up at a time


class DatasetRow(NamedTuple):
    """One line of the list of known data sets."""

    name: str
    is_available: bool
    source: str  # where it is, or what to do to have it
    num_train: int | None  # as published; None: depends on the files
    num_test: int | None
    num_classes: int
    shape: tuple[int, ...]  # of an example: height, width, channels; or the window


class DatasetReport(NamedTuple):
    """What is in a data set."""

    name: str
    source: str
    image_shape: tuple[int, ...]  # height, width, channels
    num_train: int
    num_test: int
    num_classes: int
    sha256: str  # of the decoded arrays, in their order
    mean: tuple[float, ...]  # per channel, of the training pixels / 255
    std: tuple[float, ...]
    train_histogram: tuple[int, ...]  # images of each class
    test_histogram: tuple[int, ...]


def list_datasets() -> list[DatasetRow]:
    """Every known data set, and where it is; nothing is decoded."""
    return [*(list_row(name) for name in DATASETS), text_row()]


def text_row() -> DatasetRow:
    """The line of the text."""
    source = find_roles()
    words = source.words if source else how_to_get_text()
    return DatasetRow(TEXT, source is not None, words, None, None, len(SYMBOLS), (WINDOW,))


def list_row(name: str) -> DatasetRow:
    """The line of one data set; a place that holds only a part of it counts as not available."""
    entry = DATASETS[name]
    try:
        source = find_source(name)
        words = source.words if source else how_to_get(name)
    except DataError as error:
        source, words = None, str(error)
    return DatasetRow(
        name,
        source is not None,
        words,
        entry.num_train,
        entry.num_test,
        entry.num_classes,
        entry.image_shape,
    )


def check_dataset(name: str, tfds_name: str | None = None) -> DatasetReport:
    """Load a data set and sum up what is in it; arguments and errors as for ``load_dataset``."""
    dataset = load_dataset(name, tfds_name)
    mean, std = pixel_statistics(dataset.train_images)
    return DatasetReport(
        name=dataset.name,
        source=dataset.source,
        image_shape=dataset.train_images.shape[1:],
        num_train=len(dataset.train_labels),
        num_test=len(dataset.test_labels),
        num_classes=dataset.num_classes,
        sha256=arrays_sha256(dataset),
        mean=mean,
        std=std,
        train_histogram=class_histogram(dataset.train_labels, dataset.num_classes),
        test_histogram=class_histogram(dataset.test_labels, dataset.num_classes),
    )


class TextReport(NamedTuple):
    """What is in a text."""

    name: str
    source: str
    num_clients: int  # roles that say enough
    windows_per_client: tuple[int, int, int]  # least, median, most
    num_characters: int
    num_unknown: int  # characters outside the alphabet, read as spaces
    num_train: int  # windows
    num_test: int
    num_symbols: int
    sha256: str  # of the text, as positions in the alphabet


def check_text() -> TextReport:
    """Load the text and sum up what is in it.

    Raises:
        DataError: it is missing or broken.
    """
    dataset: TextDataset = load_roles()
    windows = np.sort(dataset.num_windows)
    return TextReport(
        name=dataset.name,
        source=dataset.source,
        num_clients=len(dataset.clients),
        windows_per_client=(int(windows[0]), int(np.median(windows)), int(windows[-1])),
        num_characters=len(dataset.text),
        num_unknown=dataset.num_unknown,
        num_train=len(dataset.train_starts),
        num_test=len(dataset.test_starts),
        num_symbols=len(SYMBOLS),
        sha256=hashlib.sha256(dataset.text.tobytes()).hexdigest(),
    )


def pixel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels / 255, from exact integer sums."""
    sums = np.zeros((2, images.shape[-1]), np.int64)
    for start in range(0, len(images), CHUNK):
        pixels = images[start : start + CHUNK].reshape(-1, images.shape[-1]).astype(np.int64)
        sums += [pixels.sum(axis=0), (pixels * pixels).sum(axis=0)]
    mean, square = sums / (images.size // images.shape[-1])
    std = np.sqrt(np.maximum(square - mean**2, 0.0))
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def class_histogram(labels: np.ndarray, num_classes: int) -> tuple[int, ...]:
    """How many there are of each class."""
    return tuple(np.bincount(labels, minlength=num_classes).tolist())


def arrays_sha256(dataset: Dataset) -> str:
    """SHA-256 over the four arrays (shapes, then bytes; labels as little-endian int32)."""
    digest = hashlib.sha256()
    for images, labels in (
        (dataset.train_images, dataset.train_labels),
        (dataset.test_images, dataset.test_labels),
    ):
        digest.update(str(images.shape).encode())
        digest.update(np.ascontiguousarray(images).data)
        digest.update(np.ascontiguousarray(labels.astype("<i4")).data)
    return digest.hexdigest()
