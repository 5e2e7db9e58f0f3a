"""Which files make up a data set in a folder, and how they become arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..config import disk
from .dataset import Splits, check_labels, show_shape
from .errors import DataError
from .formats import parse_cifar, parse_idx, read_file, read_tar

Files = tuple[Path, ...]

IDX_STEMS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Layout:
    """How one family of data sets lies in a folder."""

    find: Callable[[Path], Files]
    """``folder -> files``: () if none of them is there; DataError if only some are."""
    read: Callable[[Files], Splits]
    """``files -> arrays``; DataError names the file that is damaged."""
    wanted: str
    """The files in words, for messages."""


def idx_layout(num_classes: int, image_shape: tuple[int, int]) -> Layout:
    """Four IDX files, each plain or gzipped, in either spelling (``-idx3-`` or ``.idx3-``)."""
    return Layout(
        find=find_idx,
        read=partial(read_idx, num_classes=num_classes, image_shape=image_shape),
        wanted=", ".join(f"{stem}.gz" for stem in IDX_STEMS),
    )


def cifar_layout(
    archive: str,
    unpacked: str,
    train_files: Sequence[str],
    test_files: Sequence[str],
    num_label_bytes: int,
    num_classes: int,
) -> Layout:
    """CIFAR binary files, each plain or compressed, or the archive that they come in.

    Args:
        archive: name of the original archive without ``.tar.gz``.
        unpacked: the folder that the archive unpacks to.
        train_files, test_files: names of the record files, in order.
        num_label_bytes, num_classes: see ``parse_cifar``.
    """
    names = (*train_files, *test_files)
    parse = partial(parse_cifar, num_label_bytes=num_label_bytes, num_classes=num_classes)
    return Layout(
        find=partial(find_cifar, archive=archive, unpacked=unpacked, names=names),
        read=partial(read_cifar, names=names, num_train=len(train_files), parse=parse),
        wanted=f"{archive}.tar.gz (the binary version)",
    )


def find_idx(folder: Path) -> Files:
    """The four IDX files of a folder: images and labels for training, then for testing."""
    spellings = [(stem, stem.replace("-idx", ".idx")) for stem in IDX_STEMS]
    paths = [first_file(folder, names, ("", ".gz")) for names in spellings]
    return all_or_none(folder, IDX_STEMS, paths)


def find_cifar(folder: Path, archive: str, unpacked: str, names: Sequence[str]) -> Files:
    """The record files of a folder (or of the folder that the archive unpacks to), or the archive.

    An archive counts only where the record files are not complete.
    """
    endings = ("", ".gz", ".xz")
    parts = [
        [first_file(place, (name,), endings) for name in names]
        for place in (folder, folder / unpacked)
    ]
    most = min(parts, key=lambda part: part.count(None))
    packed = first_file(folder, (archive,), (".tar.gz", ".tar"))
    return (packed,) if packed and None in most else all_or_none(folder, names, most)


def first_file(folder: Path, names: Iterable[str], endings: Iterable[str]) -> Path | None:
    """The first of the names, with the first of the endings, that is a file of the folder."""
    paths = (folder / f"{name}{ending}" for name in names for ending in endings)
    return next((path for path in paths if disk.is_file(path)), None)


def all_or_none(folder: Path, names: Sequence[str], paths: Sequence[Path | None]) -> Files:
    """Every file, or () if none was found; a part of them is an error."""
    files = tuple(path for path in paths if path is not None)
    if files and len(files) < len(paths):
        missing = ", ".join(name for name, path in zip(names, paths, strict=True) if path is None)
        raise DataError(f"{folder} holds only a part of the data set: add {missing}")
    return files


def read_idx(files: Files, num_classes: int, image_shape: tuple[int, int]) -> Splits:
    """Read images and labels for training, then for testing."""
    train_images, train_labels, test_images, test_labels = files
    return Splits(
        read_idx_images(train_images, image_shape),
        read_idx_labels(train_labels, num_classes),
        read_idx_images(test_images, image_shape),
        read_idx_labels(test_labels, num_classes),
    )


def read_idx_images(path: Path, image_shape: tuple[int, int]) -> np.ndarray:
    """``uint8[n, height, width, 1]``."""
    images = parse_idx(read_file(path), 3, str(path))
    if images.shape[1:] != image_shape:
        raise DataError(
            f"{path} holds images of {show_shape(images.shape[1:])} pixels, "
            f"expected {show_shape(image_shape)}"
        )
    return images[..., None]


def read_idx_labels(path: Path, num_classes: int) -> np.ndarray:
    """``int32[n]``."""
    labels = parse_idx(read_file(path), 1, str(path)).astype(np.int32)
    check_labels(labels, num_classes, f"file {path}")
    return labels


def read_cifar(
    files: Files, names: Sequence[str], num_train: int, parse: Callable[..., tuple]
) -> Splits:
    """Read the record files side by side (decompression is slow, and runs outside the GIL)."""

    def read_part(path: Path) -> tuple[np.ndarray, np.ndarray]:
        return parse(read_file(path), where=str(path))

    if len(files) == len(names):
        with ThreadPoolExecutor() as pool:
            parts = list(pool.map(read_part, files))
    else:
        contents = read_tar(files[0], names)
        parts = [parse(contents[name], where=f"{files[0]}:{name}") for name in names]
    return Splits(*join(parts[:num_train]), *join(parts[num_train:]))


def join(parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """The images and the labels of several files as one array each."""
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)
