"""Known data sets: which files are found where, and the real ones against published numbers."""

import gzip
import io
import lzma
import os
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest

from fedast_jax.data import DATASETS, DataError, check_dataset, list_datasets, load_dataset
from fedast_jax.data.reports import pixel_statistics

REAL_DATA = os.environ.get("FEDAST_DATA_DIR")
RNG = np.random.default_rng(0)
MNIST_IMAGES = RNG.integers(0, 256, (7, 28, 28), dtype=np.uint8)
MNIST_LABELS = np.array([3, 1, 4, 1, 5, 9, 2])
CIFAR_IMAGES = RNG.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
CIFAR_LABELS = np.arange(12) % 10


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch) -> Path:
    """Every place in which a data set is looked for is an empty folder of the test's own."""
    for variable in ("FEDAST_DATA_DIR", "FEDAST_CACHE_DIR", "TFDS_DATA_DIR"):
        folder = tmp_path / variable.lower()
        folder.mkdir()
        monkeypatch.setenv(variable, str(folder))
    monkeypatch.setattr("fedast_jax.data.sources.download_folder", lambda: tmp_path / "downloads")
    return tmp_path / "fedast_data_dir"


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, ending: str = ".gz", dotted: bool = False) -> None:
    """Five images to train on, two to test on."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in (("train", slice(5)), ("t10k", slice(5, None))):
        for what, array in (("images-idx3", MNIST_IMAGES), ("labels-idx1", MNIST_LABELS)):
            name = f"{split}-{what}-ubyte{ending}"
            data = idx_bytes(array[rows])
            path = folder / (name.replace("-idx", ".idx") if dotted else name)
            path.write_bytes(gzip.compress(data) if ending else data)


def cifar10_files() -> dict[str, bytes]:
    """Two records in each of the six files."""
    rows = zip(CIFAR_LABELS, CIFAR_IMAGES, strict=True)
    records = [bytes([label]) + image.transpose(2, 0, 1).tobytes() for label, image in rows]
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    return {name: b"".join(records[2 * i : 2 * i + 2]) for i, name in enumerate(names)}


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def assert_is_small_mnist(dataset) -> None:
    np.testing.assert_array_equal(dataset.train_images[..., 0], MNIST_IMAGES[:5])
    np.testing.assert_array_equal(dataset.test_images[..., 0], MNIST_IMAGES[5:])
    assert dataset.train_labels.tolist() == MNIST_LABELS[:5].tolist()
    assert dataset.test_labels.tolist() == MNIST_LABELS[5:].tolist()


def assert_is_small_cifar10(dataset) -> None:
    np.testing.assert_array_equal(dataset.train_images, CIFAR_IMAGES[:10])
    np.testing.assert_array_equal(dataset.test_images, CIFAR_IMAGES[10:])
    assert dataset.train_labels.tolist() == CIFAR_LABELS[:10].tolist()
    assert dataset.test_labels.tolist() == CIFAR_LABELS[10:].tolist()


def test_digits_come_with_scikit_learn():
    dataset = load_dataset("digits")
    assert dataset.train_images.shape == (1437, 8, 8, 1)
    assert dataset.test_images.shape == (360, 8, 8, 1)
    assert dataset.train_images.max() == 16
    # scikit-learn's digits start with 0 1 2 3 4 5 6 7 8 9: samples 0 and 5 are for testing
    assert dataset.test_labels[:2].tolist() == [0, 5]
    assert dataset.train_labels[:8].tolist() == [1, 2, 3, 4, 6, 7, 8, 9]


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_mnist_in_each_spelling(data_dir, ending, dotted):
    write_mnist(data_dir / "mnist", ending, dotted)
    dataset = load_dataset("mnist")
    assert_is_small_mnist(dataset)
    assert str(data_dir / "mnist") in dataset.source
    assert_is_small_mnist(load_dataset("mnist"))  # from the cache


def test_downloads_are_found_where_the_user_has_no_files(tmp_path, monkeypatch):
    write_mnist(tmp_path / "downloads" / "fashion_mnist")
    assert_is_small_mnist(load_dataset("fashion_mnist"))
    monkeypatch.delenv("FEDAST_DATA_DIR")
    assert_is_small_mnist(load_dataset("fashion_mnist"))


def test_the_users_files_come_first(data_dir, tmp_path):
    write_mnist(data_dir / "mnist")
    write_mnist(tmp_path / "downloads" / "mnist")
    assert str(data_dir) in load_dataset("mnist").source


@pytest.mark.parametrize(
    ("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)]
)
@pytest.mark.parametrize("folder", ["cifar10", "cifar10/cifar-10-batches-bin"])
def test_cifar10_record_files(data_dir, folder, ending, pack):
    (data_dir / folder).mkdir(parents=True)
    for name, data in cifar10_files().items():
        (data_dir / folder / f"{name}{ending}").write_bytes(pack(data))
    assert_is_small_cifar10(load_dataset("cifar10"))


def test_cifar10_archive(data_dir):
    files = {f"cifar-10-batches-bin/{name}": data for name, data in cifar10_files().items()}
    write_tar(data_dir / "cifar10" / "cifar-10-binary.tar.gz", files)
    assert_is_small_cifar10(load_dataset("cifar10"))
    (data_dir / "cifar10" / "test_batch.bin").write_bytes(b"one file of six is no data set")
    assert_is_small_cifar10(load_dataset("cifar10"))


def test_cifar100_takes_fine_labels(data_dir):
    image = CIFAR_IMAGES[0].transpose(2, 0, 1).tobytes()
    files = {"train.bin": bytes([4, 99]) + image, "test.bin": bytes([19, 0]) + image}
    write_tar(data_dir / "cifar100" / "cifar-100-binary.tar.gz", files)
    dataset = load_dataset("cifar100")
    assert dataset.num_classes == 100
    assert (dataset.train_labels.tolist(), dataset.test_labels.tolist()) == ([99], [0])
    np.testing.assert_array_equal(dataset.train_images, CIFAR_IMAGES[:1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("minst", "unknown data set 'minst': did you mean 'mnist'"),
        ("Fashion-MNIST", "did you mean 'fashion_mnist'"),
        ("cifar-10", "did you mean 'cifar10'"),
        ("imagenet", "choose from cifar10, cifar100, digits"),
        ("", "unknown data set ''"),
    ],
)
def test_unknown_name_gets_the_nearest_right_one(name, message):
    with pytest.raises(DataError, match=message):
        load_dataset(name)


@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"digits"}))
def test_missing_data_says_what_to_put_where(name):
    with pytest.raises(DataError, match=f"`fedast data prepare {name}`.*FEDAST_DATA_DIR") as error:
        load_dataset(name)
    layout = DATASETS[name].layout
    assert layout is not None
    assert layout.wanted in str(error.value)
    assert "\n" not in str(error.value)


def test_data_folder_that_is_not_there_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("FEDAST_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"FEDAST_DATA_DIR is .*nowhere.* not a folder"):
        load_dataset("mnist")
    assert load_dataset("digits").num_classes == 10


def test_a_part_of_the_files_is_an_error(data_dir):
    write_mnist(data_dir / "mnist")
    (data_dir / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"only a part .*: add t10k-labels-idx1-ubyte$"):
        load_dataset("mnist")


def test_damaged_file_is_named(data_dir):
    write_mnist(data_dir / "mnist")
    path = data_dir / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"cannot read .*train-images-idx3-ubyte\.gz"):
        load_dataset("mnist")


def test_label_out_of_range_names_the_file(data_dir):
    write_mnist(data_dir / "mnist", ending="")
    labels = np.array([0, 1, 10, 3, 4])
    (data_dir / "mnist" / "train-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    with pytest.raises(DataError, match="train-labels-idx1-ubyte has label 10 at position 2"):
        load_dataset("mnist")


@pytest.mark.parametrize(
    ("stem", "array", "message"),
    [
        ("train-labels-idx1-ubyte", MNIST_LABELS, "5 images but 7 labels"),
        ("train-images-idx3-ubyte", MNIST_IMAGES[:, :20], "holds images of 20 x 28 pixels"),
        ("train-images-idx3-ubyte", MNIST_IMAGES[:0], "0 images but 5 labels"),
    ],
)
def test_files_that_do_not_fit_together(data_dir, stem, array, message):
    write_mnist(data_dir / "mnist", ending="")
    (data_dir / "mnist" / stem).write_bytes(idx_bytes(array))
    with pytest.raises(DataError, match=message):
        load_dataset("mnist")


def test_list_says_what_is_available(data_dir):
    write_mnist(data_dir / "mnist")
    write_mnist(data_dir / "fashion_mnist")
    (data_dir / "fashion_mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    rows = {row.name: row for row in list_datasets()}
    assert list(rows) == [*DATASETS, "shakespeare"]
    assert [name for name, row in rows.items() if row.is_available] == ["digits", "mnist"]
    assert "only a part" in rows["fashion_mnist"].source
    assert "fedast data prepare cifar10" in rows["cifar10"].source


def test_check_counts_what_is_there(data_dir):
    write_mnist(data_dir / "mnist")
    report = check_dataset("mnist")
    assert (report.num_train, report.num_test, report.image_shape) == (5, 2, (28, 28, 1))
    assert report.train_histogram == (0, 2, 0, 1, 1, 1, 0, 0, 0, 0)  # 3 1 4 1 5
    assert report.test_histogram == (0, 0, 1, 0, 0, 0, 0, 0, 0, 1)  # 9 2
    assert report.mean == pytest.approx([(MNIST_IMAGES[:5] / 255).mean()])
    assert report.std == pytest.approx([(MNIST_IMAGES[:5] / 255).std()])


def test_check_sum_shows_any_change(data_dir):
    write_mnist(data_dir / "mnist", ending="")
    before = check_dataset("mnist").sha256
    assert check_dataset("mnist").sha256 == before
    images = MNIST_IMAGES[:5].copy()
    images[4, 27, 27] ^= 1
    (data_dir / "mnist" / "train-images-idx3-ubyte").write_bytes(idx_bytes(images))
    assert check_dataset("mnist").sha256 != before


def test_pixel_statistics_are_per_channel(monkeypatch):
    monkeypatch.setattr("fedast_jax.data.reports.CHUNK", 5)
    mean, std = pixel_statistics(CIFAR_IMAGES)
    np.testing.assert_allclose(mean, (CIFAR_IMAGES / 255).mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(std, (CIFAR_IMAGES / 255).std(axis=(0, 1, 2)))


# Published means and standard deviations of the training pixels / 255.
PUBLISHED = {
    "mnist": ([0.1307], [0.3081]),
    "fashion_mnist": ([0.2860], [0.3530]),
    "cifar10": ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
}
TRAIN_HISTOGRAM = {
    "mnist": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    "fashion_mnist": (6000,) * 10,
    "cifar10": (5000,) * 10,
}


@pytest.mark.parametrize(
    "name", ["mnist", "fashion_mnist", pytest.param("cifar10", marks=pytest.mark.slow)]
)
def test_real_data_is_as_published(name, monkeypatch):
    if not REAL_DATA or not Path(REAL_DATA, name).is_dir():
        pytest.skip(f"FEDAST_DATA_DIR has no {name}")
    monkeypatch.setenv("FEDAST_DATA_DIR", REAL_DATA)
    report = check_dataset(name)
    mean, std = PUBLISHED[name]
    np.testing.assert_allclose(report.mean, mean, atol=6e-5)
    np.testing.assert_allclose(report.std, std, atol=6e-5)
    entry = DATASETS[name]
    assert (report.num_train, report.num_test) == (entry.num_train, entry.num_test)
    assert report.train_histogram == TRAIN_HISTOGRAM[name]
    assert check_dataset(name) == report  # the decoded copy is the same
