"""Prepared TFDS sets, written here by TFDS itself and read back without TensorFlow."""

import io
import json
import sys

import numpy as np
import pytest

from fedast_jax.data import DataError, load_dataset, load_tfds
from fedast_jax.data.tfds import find_prepared

tfds = pytest.importorskip("tensorflow_datasets")
Image = pytest.importorskip("PIL.Image")

RGB = (6, 5, 3)


def png(image: np.ndarray) -> io.BytesIO:
    """An image as a file: TFDS encodes arrays with TensorFlow, but copies files."""
    stream = io.BytesIO()
    Image.fromarray(image.squeeze()).save(stream, format="png")
    stream.seek(0)
    return stream


def examples(num_examples: int, shape=RGB, num_classes: int = 3) -> list[dict]:
    rng = np.random.default_rng(num_examples)
    return [
        {"image": rng.integers(0, 256, shape, dtype=np.uint8), "label": number % num_classes}
        for number in range(num_examples)
    ]


class ToyBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # pyright: ignore
    """Prepares given examples as TFDS prepares any other set."""

    def __init__(self, name, version, features, splits, **kwargs):
        self.name, self.features, self.splits = name, features, splits
        self.VERSION = tfds.core.Version(version)
        super().__init__(**kwargs)

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=self.features)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(rows) for split, rows in self.splits.items()}

    def _generate_examples(self, rows):
        for number, row in enumerate(rows):
            yield number, row | {"image": png(row["image"])}


def prepare(folder, name, splits, shape=RGB, label=None, version="1.0.0"):
    """Let TFDS write a set of the given examples."""
    label = label or tfds.features.ClassLabel(num_classes=3)
    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=shape), "label": label}
    )
    builder = ToyBuilder(
        name, version, features, splits, data_dir=folder, file_format="array_record"
    )
    builder.download_and_prepare()


@pytest.fixture(autouse=True)
def tfds_dir(tmp_path, monkeypatch):
    tfds.disable_progress_bar()
    for variable in ("FEDAST_CACHE_DIR", "TFDS_DATA_DIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.delenv("FEDAST_DATA_DIR", raising=False)
    monkeypatch.setattr("fedast_jax.data.sources.download_folder", lambda: tmp_path / "downloads")
    return tmp_path / "TFDS_DATA_DIR"


def multiset(images, labels) -> list[bytes]:
    """TFDS shuffles what it writes, so that only the set of examples can be compared."""
    return sorted(
        bytes(image) + bytes([label]) for image, label in zip(images, labels, strict=True)
    )


def assert_holds(images, labels, rows) -> None:
    assert images.dtype == np.uint8
    assert labels.dtype == np.int32
    wanted = multiset([row["image"] for row in rows], [row["label"] for row in rows])
    assert multiset(images, labels) == wanted


def test_round_trip_without_tensorflow(tfds_dir):
    train, test = examples(20), examples(5)
    prepare(tfds_dir, "toy", {"train": train, "test": test})
    for _ in range(2):  # decoded, then from the cache
        dataset = load_tfds("toy")
        assert (dataset.name, dataset.num_classes) == ("toy", 3)
        assert_holds(dataset.train_images, dataset.train_labels, train)
        assert_holds(dataset.test_images, dataset.test_labels, test)
        assert str(tfds_dir / "toy" / "1.0.0") in dataset.source
    assert "tensorflow" not in sys.modules


def test_nothing_is_printed(tfds_dir, capfd):
    prepare(tfds_dir, "toy", {"train": examples(4), "test": examples(2)})
    capfd.readouterr()
    load_tfds("toy")
    assert capfd.readouterr() == ("", "")


def test_known_name_is_found_among_prepared_sets(tfds_dir):
    shape, label = (28, 28, 1), tfds.features.ClassLabel(num_classes=10)
    train, test = examples(12, shape, 10), examples(3, shape, 10)
    prepare(tfds_dir, "mnist", {"train": train, "test": test}, shape, label)
    dataset = load_dataset("mnist")
    assert_holds(dataset.train_images, dataset.train_labels, train)
    assert "TFDS" in dataset.source


def test_known_name_with_other_images_is_refused(tfds_dir):
    prepare(tfds_dir, "mnist", {"train": examples(4), "test": examples(2)})
    with pytest.raises(
        DataError, match=r"mnist .* has 3 classes of 6 x 5 x 3 images, expected 10 of"
    ):
        load_dataset("mnist")


def test_any_set_by_its_tfds_name(tfds_dir):
    prepare(tfds_dir, "toy", {"train": examples(4), "test": examples(2)})
    assert load_dataset("anything", tfds_name="toy").name == "toy"


def test_validation_stands_in_for_test(tfds_dir):
    validation = examples(3)
    prepare(tfds_dir, "toy", {"train": examples(4), "validation": validation})
    dataset = load_tfds("toy")
    assert_holds(dataset.test_images, dataset.test_labels, validation)


def test_newest_version_unless_one_is_named(tfds_dir):
    for version, number in (("1.9.0", 9), ("1.10.0", 10)):
        splits = {"train": examples(number), "test": examples(2)}
        prepare(tfds_dir, "toy", splits, version=version)
    assert len(load_tfds("toy").train_labels) == 10
    assert len(load_tfds("toy:1.9.0").train_labels) == 9
    with pytest.raises(DataError, match=r"'toy:2\.0\.0' is not prepared"):
        load_tfds("toy:2.0.0")


def test_name_that_leaves_the_configuration_open(tfds_dir):
    for config in ("balanced", "letters"):
        folder = tfds_dir / "emnist" / config / "3.1.0"
        folder.mkdir(parents=True)
        (folder / "dataset_info.json").write_text("{}")
    assert find_prepared("emnist/letters") == tfds_dir / "emnist" / "letters" / "3.1.0"
    with pytest.raises(DataError, match="name one of emnist/balanced, emnist/letters"):
        find_prepared("emnist")


def test_unfinished_set_does_not_count(tfds_dir):
    folder = tfds_dir / "toy" / "incomplete.ABC_1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{}")
    assert find_prepared("toy") is None


@pytest.mark.parametrize("name", ["", "../toy", "toy/../..", "/etc", "toy:latest"])
def test_what_is_no_tfds_name(name):
    with pytest.raises(DataError, match="is not the name of a TFDS set"):
        load_tfds(name)


def test_missing_set_says_how_to_get_it():
    with pytest.raises(DataError, match="tfds data build toy --file_format=array_record"):
        load_tfds("toy")


def test_images_of_several_shapes_are_refused(tfds_dir):
    rows = examples(3) + examples(3, (7, 7, 3))
    prepare(tfds_dir, "toy", {"train": rows, "test": examples(2)}, shape=(None, None, 3))
    with pytest.raises(DataError, match=r"must share one shape, but image 0 is .* and image \d is"):
        load_tfds("toy")


def test_train_and_test_of_different_shapes_are_refused(tfds_dir):
    splits = {"train": examples(3), "test": examples(2, (7, 7, 3))}
    prepare(tfds_dir, "toy", splits, shape=(None, None, 3))
    with pytest.raises(DataError, match="training images are 6 x 5 x 3 and test images 7 x 7 x 3"):
        load_tfds("toy")


def test_labels_that_are_no_classes_are_refused(tfds_dir):
    label = tfds.features.Scalar(dtype=np.int64)
    prepare(tfds_dir, "toy", {"train": examples(3), "test": examples(2)}, label=label)
    with pytest.raises(DataError, match=r"not image classification.*'label' \(Scalar\)"):
        load_tfds("toy")


def test_unlabelled_test_set_is_refused(tfds_dir):
    unlabelled = [row | {"label": -1} for row in examples(2)]
    prepare(tfds_dir, "toy", {"train": examples(3), "test": unlabelled})
    with pytest.raises(DataError, match="test set of toy has label -1"):
        load_tfds("toy")


def test_set_without_a_test_split_is_refused(tfds_dir):
    prepare(tfds_dir, "toy", {"train": examples(3)})
    with pytest.raises(DataError, match=r"needs the splits 'train' and 'test'.*found train"):
        load_tfds("toy")


def test_set_that_needs_tensorflow_is_refused(tfds_dir):
    folder = tfds_dir / "toy" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text(json.dumps({"fileFormat": "tfrecord"}))
    with pytest.raises(DataError, match=r"stored as tfrecord.*--file_format=array_record"):
        load_tfds("toy")


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "toy-train.array_record-*"])
def test_damaged_set_is_named(tfds_dir, name):
    prepare(tfds_dir, "toy", {"train": examples(30), "test": examples(2)})
    (path,) = (tfds_dir / "toy" / "1.0.0").glob(name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"cannot read .*toy"):
        load_tfds("toy")
