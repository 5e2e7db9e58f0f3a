"""The cache of decoded sets saves time and never breaks a load."""

import os
import warnings
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedast_jax.data import DataError
from fedast_jax.data.cache import atomic_write, cached, content_key, warn_once
from fedast_jax.data.dataset import Splits


@pytest.fixture(autouse=True)
def cache_dir(tmp_path, monkeypatch):
    warn_once.cache_clear()
    monkeypatch.setenv("FEDAST_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(b"as downloaded")
    return path


class Decoder:
    """Decodes always to the same arrays, and counts how often it is asked."""

    def __init__(self):
        self.num_calls = 0

    def __call__(self) -> Splits:
        self.num_calls += 1
        images = np.arange(4 * 5 * 5, dtype=np.uint8).reshape(4, 5, 5, 1)
        labels = np.arange(4, dtype=np.int32)
        return Splits(images, labels, images[:2], labels[:2])


def assert_same(left: Splits, right: Splits) -> None:
    for one, other in zip(left, right, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_second_load_comes_from_the_cache(source, cache_dir):
    decode = Decoder()
    first, second = (cached("toy", [source], decode) for _ in range(2))
    assert decode.num_calls == 1
    assert_same(first, second)
    assert [path.suffix for path in cache_dir.iterdir()] == [".npz"]


def test_changed_source_is_decoded_again(source):
    decode = Decoder()
    cached("toy", [source], decode)
    source.write_bytes(b"as corrected")
    cached("toy", [source], decode)
    assert decode.num_calls == 2


def test_key_depends_on_name_and_content_but_not_on_place(source, tmp_path):
    copy = tmp_path / "copy"
    copy.write_bytes(source.read_bytes())
    assert content_key("toy", [source]) == content_key("toy", [copy])
    assert content_key("toy", [source]) != content_key("other", [source])
    assert content_key("toy", [source]) != content_key("toy", [source, copy])


@pytest.mark.parametrize(
    "harm",
    [
        lambda data: b"",
        lambda data: b"not a zip file",
        lambda data: data[: len(data) // 2],
        lambda data: data[:200] + b"\xaa" + data[201:],
        lambda data: b"\x93NUMPY" + data,
    ],
)
def test_damaged_entry_is_made_again(source, cache_dir, harm):
    decode = Decoder()
    cached("toy", [source], decode)
    (entry,) = cache_dir.iterdir()
    entry.write_bytes(harm(entry.read_bytes()))
    assert_same(cached("toy", [source], decode), decode())
    calls = decode.num_calls
    cached("toy", [source], decode)  # the entry is whole again
    assert decode.num_calls == calls


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(position=st.integers(0, 10**6), byte=st.integers(1, 255))
def test_any_flipped_byte_is_noticed_or_harmless(source, cache_dir, position, byte):
    decode = Decoder()
    cached("toy", [source], decode)
    (entry,) = cache_dir.iterdir()
    data = bytearray(entry.read_bytes())
    data[position % len(data)] ^= byte
    entry.write_bytes(data)
    assert_same(cached("toy", [source], decode), decode())


def test_entry_with_pickled_objects_is_not_loaded(source, cache_dir):
    decode = Decoder()
    cached("toy", [source], decode)
    (entry,) = cache_dir.iterdir()
    evil = np.array([{"a": 1}], dtype=object)
    with open(entry, "wb") as stream:
        np.savez(stream, **decode()._replace(train_images=evil)._asdict())
    assert_same(cached("toy", [source], decode), decode())


def test_cache_folder_that_cannot_be_made_warns_once(source, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("FEDAST_CACHE_DIR", str(blocked / "cache"))
    decode = Decoder()
    with pytest.warns(UserWarning, match="cannot keep decoded data in .*FEDAST_CACHE_DIR"):
        assert_same(cached("toy", [source], decode), decode())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached("toy", [source], decode)


def test_full_disk_warns_and_leaves_nothing(source, cache_dir, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.warns(UserWarning, match="No space left on device"):
        cached("toy", [source], Decoder())
    assert list(cache_dir.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_cache_warns(source, cache_dir):
    cache_dir.mkdir()
    cache_dir.chmod(0o500)
    try:
        with pytest.warns(UserWarning, match="cannot keep"):
            cached("toy", [source], Decoder())
    finally:
        cache_dir.chmod(0o700)


def test_unreadable_source_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*gone"):
        cached("toy", [tmp_path / "gone"], Decoder())


def test_error_while_decoding_is_not_cached(source, cache_dir):
    def fail() -> Splits:
        raise DataError("damaged")

    with pytest.raises(DataError, match="damaged"):
        cached("toy", [source], fail)
    assert not cache_dir.exists()


def test_atomic_write_keeps_the_old_file_on_failure(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    write = partial(write_and_fail, path)
    with pytest.raises(RuntimeError):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def write_and_fail(path) -> None:
    with atomic_write(path) as stream:
        stream.write(b"new")
        raise RuntimeError
