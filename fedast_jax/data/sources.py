"""The known data sets, and the places where each is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..config.closest import did_you_mean
from ..config.words import show
from .cache import cached
from .dataset import Dataset, Splits, make_dataset, show_shape
from .errors import DataError
from .layouts import Files, Layout, cifar_layout, idx_layout
from .paths import download_folder, user_folder
from .tfds import check_file_format, find_prepared, load_prepared, load_tfds


@dataclass(frozen=True)
class Entry:
    """What is known of a data set before its files are there."""

    num_classes: int
    image_shape: tuple[int, int, int]  # height, width, channels
    num_train: int  # as published; the files may hold fewer
    num_test: int
    layout: Layout | None  # None: comes with scikit-learn


DATASETS: dict[str, Entry] = {
    "digits": Entry(10, (8, 8, 1), 1437, 360, layout=None),
    "mnist": Entry(10, (28, 28, 1), 60_000, 10_000, idx_layout(10, (28, 28))),
    "fashion_mnist": Entry(10, (28, 28, 1), 60_000, 10_000, idx_layout(10, (28, 28))),
    "cifar10": Entry(
        10,
        (32, 32, 3),
        50_000,
        10_000,
        cifar_layout(
            archive="cifar-10-binary",
            unpacked="cifar-10-batches-bin",
            train_files=[f"data_batch_{number}.bin" for number in range(1, 6)],
            test_files=["test_batch.bin"],
            num_label_bytes=1,
            num_classes=10,
        ),
    ),
    "cifar100": Entry(
        100,
        (32, 32, 3),
        50_000,
        10_000,
        cifar_layout(
            archive="cifar-100-binary",
            unpacked="cifar-100-binary",
            train_files=["train.bin"],
            test_files=["test.bin"],
            num_label_bytes=2,
            num_classes=100,
        ),
    ),
}


class Source(NamedTuple):
    """One place where a data set was found."""

    words: str  # for the user
    files: Files = ()  # the files in their standard format, if it lies in such
    tfds: Path | None = None  # the prepared TFDS folder, if it lies in one


def load_dataset(name: str, tfds_name: str | None = None) -> Dataset:
    """Load an image classification set.

    ``digits`` comes with scikit-learn. Any other set is looked for, in this order, in
    ``$FEDAST_DATA_DIR/<name>/`` (standard file formats), among the files that
    ``fedast data prepare`` fetched, and among prepared TFDS sets.

    Args:
        name: a key of ``DATASETS``; of no account where ``tfds_name`` is given.
        tfds_name: load this prepared TFDS set instead, whatever it is.
    Raises:
        DataError: unknown name, nothing found, or files that are incomplete or damaged.
    """
    if tfds_name is not None:
        return load_tfds(tfds_name)
    entry = get_entry(name)
    source = find_source(name)
    if source is None:
        raise DataError(how_to_get(name))
    dataset = read_source(name, entry, source)
    shapes = (dataset.num_classes, dataset.train_images.shape[1:])
    if shapes != (entry.num_classes, entry.image_shape):
        raise DataError(
            f"{name} ({source.words}) has {shapes[0]} classes of {show_shape(shapes[1])} images, "
            f"expected {entry.num_classes} of {show_shape(entry.image_shape)}"
        )
    return dataset


def get_entry(name: str) -> Entry:
    """The registry entry of a name; DataError with the nearest right name if there is none."""
    if name not in DATASETS:
        hint = did_you_mean(name, DATASETS).rstrip("?")
        raise DataError(
            f"unknown data set {show(name)}: {hint}, or name a prepared TFDS set as such"
        )
    return DATASETS[name]


def find_source(name: str) -> Source | None:
    """The first place that has the data set; nothing is decoded.

    Raises:
        DataError: a place has a part of the files only.
    """
    layout = get_entry(name).layout
    if layout is None:
        return Source("comes with scikit-learn")
    for folder in file_folders(name):
        files = layout.find(folder)
        if files:
            return Source(f"files in {folder}", files=files)
    prepared = find_prepared(name)
    if prepared is None:
        return None
    check_file_format(name, prepared)
    return Source(f"TFDS, {prepared}", tfds=prepared)


def file_folders(name: str) -> Iterator[Path]:
    """The folders where a data set's files may lie, in order."""
    own = user_folder()
    if own is not None:
        yield own / name
    yield download_folder() / name


def read_source(name: str, entry: Entry, source: Source) -> Dataset:
    """Decode a data set from where it was found (or take the decoded copy from the cache)."""
    if source.tfds is not None:
        return load_prepared(name, source.tfds)._replace(source=source.words)
    layout = entry.layout
    if layout is None:
        splits = digits_splits()
    else:
        splits = cached(name, source.files, lambda: layout.read(source.files))
    return make_dataset(name, splits, entry.num_classes, source.words)


def digits_splits() -> Splits:
    """scikit-learn's 1,797 digits of 8x8 pixels in 0..16: every fifth, from the first, tests."""
    from sklearn.datasets import load_digits  # slow to import

    pixels, classes = load_digits(return_X_y=True)
    images = np.asarray(pixels).astype(np.uint8).reshape(-1, 8, 8, 1)
    labels = np.asarray(classes).astype(np.int32)
    is_test = np.arange(len(labels)) % 5 == 0
    return Splits(images[~is_test], labels[~is_test], images[is_test], labels[is_test])


def how_to_get(name: str) -> str:
    """One sentence on which files to put where."""
    layout = get_entry(name).layout
    assert layout is not None
    return (
        f"data set {name!r} was not found: run `fedast data prepare {name}`, or set "
        f"FEDAST_DATA_DIR to a folder whose folder {name} holds {layout.wanted}"
    )
