"""IDX and CIFAR files: what is read, and what is said of files that are damaged."""

import gzip
import io
import lzma
import struct
import tarfile

import numpy as np
import pytest

from fedast_jax.data import DataError
from fedast_jax.data.formats import parse_cifar, parse_idx, read_file, read_tar


def idx_bytes(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def cifar_bytes(images: np.ndarray, *labels: np.ndarray) -> bytes:
    rows = zip(images, *labels, strict=True)
    return b"".join(
        bytes(int(label) for label in row[1:]) + row[0].transpose(2, 0, 1).tobytes() for row in rows
    )


IMAGES = np.arange(2 * 3 * 4).reshape(2, 3, 4)
RGB = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)


def test_idx_worked_by_hand():
    # two labels: magic 00 00 08 01, the size 2 in four bytes, then the values
    data = bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 255])
    labels = parse_idx(data, 1, "labels")
    assert labels.dtype == np.uint8
    assert labels.tolist() == [7, 255]


def test_idx_images_keep_their_order():
    np.testing.assert_array_equal(parse_idx(idx_bytes(IMAGES), 3, "images"), IMAGES)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "found nothing"),
        (b"\x00\x00\x08", "found 000008"),
        (b"\x1f\x8b\x08\x00" + bytes(40), "found 1f8b0800"),  # still gzipped
        (idx_bytes(IMAGES.ravel()), "found 00000801"),  # labels in place of images
        (b"\x00\x00\x0d\x03" + bytes(12), "found 00000d03"),  # floats
        (idx_bytes(IMAGES)[:10], "expected 16 bytes, found 10"),
        (idx_bytes(IMAGES)[:-1], "needs 40 bytes, found 39"),
        (idx_bytes(IMAGES) + b"\x00", "needs 40 bytes, found 41"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "found 16"),  # sizes whose product is huge
    ],
)
def test_wrong_idx_says_what_was_found(data, message):
    with pytest.raises(DataError, match=message) as error:
        parse_idx(data, 3, "the-file")
    assert "the-file" in str(error.value)


def test_cifar_planes_worked_by_hand():
    # one record: label 5, a red plane of 10, 11, 11, ..., a green plane of 20s, a blue one of 30s
    data = bytes([5, 10] + [11] * 1023 + [20] * 1024 + [30] * 1024)
    images, labels = parse_cifar(data, 1, 10, "records")
    assert images.shape == (1, 32, 32, 3)
    assert images.flags.c_contiguous
    assert labels.dtype == np.int32
    assert labels.tolist() == [5]
    assert images[0, 0, 0].tolist() == [10, 20, 30]
    assert images[0, 31, 31].tolist() == [11, 20, 30]


def test_cifar_rows_are_rows():
    images, _ = parse_cifar(cifar_bytes(RGB, np.arange(3)), 1, 10, "records")
    np.testing.assert_array_equal(images, RGB)


def test_cifar100_takes_the_fine_label():
    data = cifar_bytes(RGB, np.array([1, 2, 3]), np.array([97, 98, 99]))
    images, labels = parse_cifar(data, 2, 100, "records")
    assert labels.tolist() == [97, 98, 99]
    np.testing.assert_array_equal(images, RGB)


@pytest.mark.parametrize("num_bytes", [0, 1, 3072, 3074, 3 * 3073 - 1])
def test_cifar_of_wrong_length_is_refused(num_bytes):
    with pytest.raises(DataError, match=rf"batch_9.*3073 bytes, found {num_bytes:,} bytes"):
        parse_cifar(bytes(num_bytes), 1, 10, "batch_9")


def test_cifar_label_out_of_range_is_refused():
    data = cifar_bytes(RGB, np.array([0, 10, 11]))
    with pytest.raises(DataError, match=r"\[0, 10\).*batch_9 has label 10 at position 1"):
        parse_cifar(data, 1, 10, "batch_9")


@pytest.mark.parametrize(
    ("ending", "pack"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)]
)
def test_files_are_decompressed_by_their_ending(tmp_path, ending, pack):
    path = tmp_path / f"data.bin{ending}"
    path.write_bytes(pack(b"content"))
    assert read_file(path) == b"content"


def damaged(packed: bytes) -> bytes:
    middle = len(packed) // 2
    return (
        packed[:middle]
        + bytes(byte ^ 0xFF for byte in packed[middle : middle + 8])
        + packed[middle + 8 :]
    )


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".xz", lzma.compress)])
@pytest.mark.parametrize(
    "harm", [damaged, lambda packed: packed[:-6], lambda packed: b"no" + packed]
)
def test_damaged_compressed_file_is_named(tmp_path, ending, pack, harm):
    path = tmp_path / f"data.bin{ending}"
    path.write_bytes(harm(pack(RGB.tobytes())))
    with pytest.raises(DataError, match=r"cannot read .*data\.bin"):
        read_file(path)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*nothing"):
        read_file(tmp_path / "nothing")
    with pytest.raises(DataError, match="cannot read"):
        read_file(tmp_path)


def write_tar(path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def test_tar_gives_the_wanted_files_only(tmp_path):
    path = tmp_path / "a.tar.gz"
    write_tar(path, {"folder/one.bin": b"1", "folder/readme.html": b"?", "two.bin": b"22"})
    assert read_tar(path, ["one.bin", "two.bin"]) == {"one.bin": b"1", "two.bin": b"22"}


def test_tar_without_a_wanted_file(tmp_path):
    path = tmp_path / "a.tar.gz"
    write_tar(path, {"folder/one.bin": b"1"})
    with pytest.raises(DataError, match=r"a\.tar\.gz lacks three\.bin, two\.bin"):
        read_tar(path, ["one.bin", "two.bin", "three.bin"])


def test_tar_link_does_not_count_as_a_file(tmp_path):
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        link = tarfile.TarInfo("one.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    with pytest.raises(DataError, match=r"lacks one\.bin"):
        read_tar(path, ["one.bin"])


@pytest.mark.parametrize(
    "harm", [damaged, lambda packed: packed[: len(packed) // 2], lambda _: b"no tar"]
)
def test_damaged_tar_is_named(tmp_path, harm):
    path = tmp_path / "a.tar.gz"
    write_tar(path, {"folder/one.bin": RGB.tobytes(), "folder/two.bin": RGB.tobytes()})
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(DataError, match=r"cannot read .*a\.tar\.gz"):
        read_tar(path, ["one.bin", "two.bin"])
