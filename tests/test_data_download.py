"""Downloads: verified, whole or not at all, and clear words where there is no network."""

import hashlib
import http.client
import http.server
import importlib
import importlib.util
import io
import threading
import urllib.error
from functools import partial
from pathlib import Path

import pytest

from fedast_jax.data import DATASETS, DataError, prepare
from fedast_jax.data.download import RemoteFile, fetch, no_progress, open_remote, remote_files

# the package has a function of the same name as the module
module = importlib.import_module("fedast_jax.data.download")

FILES = {
    "train-images-idx3-ubyte.gz": b"training images",
    "train-labels-idx1-ubyte.gz": b"training labels",
    "t10k-images-idx3-ubyte.gz": b"test images",
    "t10k-labels-idx1-ubyte.gz": b"test labels" * 1000,
}


def remote(name: str, data: bytes, url: str = "") -> RemoteFile:
    url = url or f"https://example.org/{name}"
    return RemoteFile(url, len(data), hashlib.sha256(data).hexdigest(), name)


def find_files(name: str, folder: Path) -> tuple[Path, ...]:
    layout = DATASETS[name].layout
    assert layout is not None
    return layout.find(folder)


class Server:
    """Opens addresses from a dictionary, and remembers which were asked for."""

    def __init__(self, files):
        self.files, self.asked = dict(files), []

    def __call__(self, url: str) -> io.BytesIO:
        name = url.rsplit("/", 1)[1]
        self.asked.append(name)
        return io.BytesIO(self.files[name])


@pytest.fixture
def server(monkeypatch, tmp_path) -> Server:
    """Four small files in place of MNIST's."""
    files = [remote(name, data) for name, data in FILES.items()]
    monkeypatch.setattr(module, "remote_files", lambda name: files)
    monkeypatch.setattr(module, "download_folder", lambda: tmp_path / "downloads")
    return Server(FILES)


def test_files_are_put_where_they_are_looked_for(server, tmp_path):
    paths = prepare("mnist", open_url=server)
    assert [path.name for path in paths] == list(FILES)
    for path in paths:
        assert path.parent == tmp_path / "downloads" / "mnist"
        assert path.read_bytes() == FILES[path.name]
    assert set(find_files("mnist", paths[0].parent)) == set(paths)


def test_verified_files_are_not_fetched_again(server):
    paths = prepare("mnist", open_url=server)
    server.asked.clear()
    assert prepare("mnist", open_url=server) == paths
    assert server.asked == []


def test_a_damaged_file_is_fetched_again(server):
    paths = prepare("mnist", open_url=server)
    paths[1].write_bytes(b"Training labels")  # the right length
    server.asked.clear()
    prepare("mnist", open_url=server)
    assert server.asked == [paths[1].name]
    assert paths[1].read_bytes() == FILES[paths[1].name]


def test_another_directory(server, tmp_path):
    paths = prepare("mnist", tmp_path / "mine", open_url=server)
    assert {path.parent for path in paths} == {tmp_path / "mine" / "mnist"}


@pytest.mark.parametrize("wrong", [b"", b"test image", b"test imagez", b"test images and more"])
def test_wrong_bytes_are_refused_and_not_kept(server, tmp_path, wrong):
    server.files["t10k-images-idx3-ubyte.gz"] = wrong
    with pytest.raises(DataError, match=r"t10k-images.* is not the expected file"):
        prepare("mnist", open_url=server)
    left = sorted(path.name for path in (tmp_path / "downloads" / "mnist").iterdir())
    assert left == sorted(name for name in FILES if name.startswith("train"))


def test_endless_answer_is_cut_off(tmp_path):
    class Endless(io.BytesIO):
        num_reads = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.num_reads += 1
            return bytes(size or 1)

    endless = Endless()
    with pytest.raises(DataError, match="not the expected file"):
        fetch(remote("a", b"small"), tmp_path / "a", lambda url: endless, no_progress)
    assert endless.num_reads == 1


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError("no route to host"),
        TimeoutError("timed out"),
        ConnectionResetError("reset"),
        http.client.IncompleteRead(b""),
    ],
)
def test_no_network_says_which_files_to_put_where(server, tmp_path, error):
    def fail(url):
        raise error

    with pytest.raises(DataError, match=r"could not fetch mnist .*FEDAST_DATA_DIR") as caught:
        prepare("mnist", open_url=fail)
    for words in (*FILES, str(tmp_path / "downloads" / "mnist")):
        assert words in str(caught.value)


def test_interrupted_download_leaves_nothing(server, tmp_path):
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionResetError("reset by peer")

    with pytest.raises(DataError, match="reset by peer"):
        prepare("mnist", open_url=lambda url: Broken())
    assert list((tmp_path / "downloads" / "mnist").iterdir()) == []


def test_slow_download_is_given_up(server, monkeypatch):
    monkeypatch.setattr(module, "DEADLINE", -1.0)
    with pytest.raises(DataError, match="not done after"):
        prepare("mnist", open_url=server)


def test_what_is_fetched_may_be_read_by_others(server):
    (first, *_) = prepare("mnist", open_url=server)
    ours = first.with_name("ours")
    ours.touch()
    assert first.stat().st_mode == ours.stat().st_mode


def test_nothing_is_said_on_the_way(server, capfd):
    prepare("mnist", open_url=server)
    assert capfd.readouterr() == ("", "")


def test_progress_ends_at_the_whole(server):
    told = []
    prepare("mnist", open_url=server, progress=lambda *state: told.append(state))
    assert [state[0] for state in told] == list(FILES)
    assert all(num_bytes == total for _, num_bytes, total in told)


def test_digits_need_no_download():
    assert prepare("digits") == []


def test_unknown_name():
    with pytest.raises(DataError, match="did you mean 'mnist'"):
        prepare("mnits")


@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_datasets") is None, reason="needs tensorflow-datasets"
)
@pytest.mark.parametrize("name", sorted(set(DATASETS) - {"digits"}))
def test_listed_files_are_those_that_are_read(name, tmp_path):
    """The names that tensorflow-datasets lists are the names that ``load_dataset`` looks for."""
    files = remote_files(name)
    for file in files:
        assert file.url.startswith(("http://", "https://"))
        assert len(file.sha256) == 64
        assert file.num_bytes > 0
        (tmp_path / file.file_name).touch()
    found = find_files(name, tmp_path)
    assert {path.name for path in found} == {file.file_name for file in files}


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def address(tmp_path):
    """A real web server on this machine, serving ``tmp_path/served``."""
    (tmp_path / "served").mkdir()
    handler = partial(QuietHandler, directory=tmp_path / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def test_over_http(address, tmp_path):
    data = bytes(range(256)) * 10_000
    (tmp_path / "served" / "file.gz").write_bytes(data)
    file = remote("file.gz", data, f"{address}/file.gz")
    path = fetch(file, tmp_path / "here" / "file.gz", open_remote, no_progress)
    assert path.read_bytes() == data


def test_over_http_not_found(address, tmp_path):
    file = remote("gone.gz", b"?", f"{address}/gone.gz")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(file, Path(tmp_path / "here" / "gone.gz"), open_remote, no_progress)


def test_nobody_listens(address, tmp_path):
    file = remote("file.gz", b"?", "http://127.0.0.1:1/file.gz")
    with pytest.raises(urllib.error.URLError, match="refused"):
        fetch(file, tmp_path / "file.gz", open_remote, no_progress)
