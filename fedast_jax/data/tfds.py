"""Prepared TensorFlow Datasets sets -> arrays, without TensorFlow.

Only sets in the ``array_record`` form can be read so; TFDS writes them with
``tfds data build NAME --file_format=array_record``.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..config import disk
from .cache import cached
from .dataset import Dataset, Splits, check_labels, make_dataset, show_shape
from .errors import DataError
from .paths import tfds_folder

INFO_FILE = "dataset_info.json"  # its presence marks a prepared set
NAME = re.compile(r"(?P<name>\w[\w-]*(/[\w.+-]+)?)(:(?P<version>[\d.]+))?")
VERSION = re.compile(r"\d+\.\d+\.\d+")
TEST_SPLITS = ("test", "validation")  # the first that a set has is its test set


def load_tfds(dataset_name: str) -> Dataset:
    """Load a prepared TFDS image classification set.

    Args:
        dataset_name: as TFDS writes it: ``name``, ``name/config`` and either with ``:version``;
            the newest version is taken where none is given.
    Returns:
        The data set: the split ``train``, and ``test`` (or else ``validation``) to test on.
    Raises:
        DataError: it is not there, not prepared as ``array_record``, not image classification
            (the features ``image`` and ``label``), or its images differ in shape.
    """
    folder = find_prepared(dataset_name)
    if folder is None:
        raise DataError(
            f"TFDS set {dataset_name!r} is not prepared in {tfds_folder()}: run `tfds data build "
            f"{dataset_name} --file_format=array_record`, or set TFDS_DATA_DIR to where it is"
        )
    return load_prepared(dataset_name, folder)


def load_prepared(dataset_name: str, folder: Path) -> Dataset:
    """Load the prepared TFDS set that lies in ``folder`` (``.../name[/config]/version``)."""
    check_file_format(dataset_name, folder)
    with quiet_tfds() as tfds, readable(dataset_name, folder):
        builder = tfds.builder_from_directory(folder)
        num_classes = check_features(dataset_name, builder.info.features, tfds)
        test_split = find_test_split(dataset_name, builder.info.splits)

        def decode() -> Splits:
            train = builder.as_data_source("train")
            test = builder.as_data_source(test_split)
            return Splits(
                *stack(train, f"training set of {dataset_name}", num_classes),
                *stack(test, f"test set of {dataset_name}", num_classes),
            )

        files = [path for path in disk.entries(folder) if disk.is_file(path)]
        splits = cached(f"tfds-{dataset_name}".replace(":", "-"), files, decode)
    return make_dataset(dataset_name, splits, num_classes, f"TFDS, {folder}")


def find_prepared(dataset_name: str) -> Path | None:
    """The folder of a prepared set, by its name alone: nothing is imported or downloaded.

    Raises:
        DataError: not a TFDS name, or the name leaves open which of several configurations.
    """
    match = NAME.fullmatch(dataset_name)
    if match is None:
        raise DataError(
            f"{dataset_name!r} is not the name of a TFDS set: write name, name/config or "
            "name:version"
        )
    base, version = tfds_folder() / match["name"], match["version"]
    infos = [info for depth in ("*", "*/*") for info in disk.find(base, f"{depth}/{INFO_FILE}")]
    folders = [info.parent for info in infos if VERSION.fullmatch(info.parent.name)]
    folders = [folder for folder in folders if version in (None, folder.name)]
    configs = sorted({folder.parent.relative_to(tfds_folder()).as_posix() for folder in folders})
    if len(configs) > 1:
        raise DataError(
            f"TFDS set {dataset_name!r} is prepared in several forms: "
            f"name one of {', '.join(configs)}"
        )
    return max(folders, key=version_order, default=None)


def version_order(folder: Path) -> tuple[int, ...]:
    """``1.10.0`` after ``1.9.0``."""
    return tuple(int(part) for part in folder.name.split("."))


def check_file_format(dataset_name: str, folder: Path) -> None:
    """Refuse sets that only TensorFlow can read."""
    try:
        form = json.loads(disk.read_text(folder / INFO_FILE)).get("fileFormat", "tfrecord")
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(
            f"cannot read {folder / INFO_FILE} ({error}): prepare the set again"
        ) from error
    if form != "array_record" and not disk.find(folder, "*.array_record*"):
        raise DataError(
            f"TFDS set {dataset_name!r} in {folder} is stored as {form}, which needs TensorFlow: "
            "prepare it with --file_format=array_record"
        )


def check_features(dataset_name: str, features: Any, tfds: Any) -> int:
    """The number of classes of an image classification set; DataError if it is something else."""
    kinds = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = kinds.get("image"), kinds.get("label")
    is_image = isinstance(image, tfds.features.Image) and getattr(image, "np_dtype", 0) == np.uint8
    is_class = isinstance(label, tfds.features.ClassLabel)
    num_classes = getattr(label, "num_classes", None)
    if not (is_image and is_class and num_classes):
        raise DataError(
            f"TFDS set {dataset_name!r} is not image classification: it needs the features "
            f"'image' (uint8 Image) and 'label' (ClassLabel), found {describe(kinds)}"
        )
    return int(num_classes)


def describe(kinds: dict[str, Any]) -> str:
    """The features of a set in words."""
    return ", ".join(f"{key!r} ({type(kind).__name__})" for key, kind in kinds.items()) or "none"


def find_test_split(dataset_name: str, splits: Any) -> str:
    """The name of the split to test on."""
    names = sorted(splits)
    chosen = next((name for name in TEST_SPLITS if name in names), None)
    if chosen is None or "train" not in names:
        raise DataError(
            f"TFDS set {dataset_name!r} needs the splits 'train' and 'test' (or 'validation'), "
            f"found {', '.join(names) or 'none'}"
        )
    return chosen


def stack(examples: Any, where: str, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Read examples one by one into ``uint8[n, height, width, channels]`` and ``int32[n]``."""
    if len(examples) == 0:
        raise DataError(f"the {where} is empty")
    shape = np.shape(examples[0]["image"])
    images = np.empty((len(examples), *shape), np.uint8)
    labels = np.empty(len(examples), np.int32)
    for position, example in enumerate(examples):
        if example["image"].shape != shape:
            raise DataError(
                f"the images of the {where} must share one shape, but image 0 is "
                f"{show_shape(shape)} and image {position} is {show_shape(example['image'].shape)}"
            )
        images[position], labels[position] = example["image"], example["label"]
    check_labels(labels, num_classes, where)
    return images, labels


@contextlib.contextmanager
def quiet_tfds() -> Iterator[Any]:
    """``tensorflow_datasets``, imported when first needed (it is slow), with its log held down."""
    try:
        import tensorflow_datasets
        from absl import logging
    except ImportError as error:
        raise DataError(f"reading TFDS sets needs tensorflow-datasets ({error})") from error
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.FATAL)
    try:
        yield tensorflow_datasets
    finally:
        logging.set_verbosity(verbosity)


@contextlib.contextmanager
def readable(dataset_name: str, folder: Path) -> Iterator[None]:
    """Turn whatever the reading of foreign files raises into one sentence."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"cannot read TFDS set {dataset_name!r} in {folder} ({reason}): prepare it again"
        ) from error
