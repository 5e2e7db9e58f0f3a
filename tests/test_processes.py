"""One run in several processes: real ones, on this machine, and all that can keep them apart."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from test_cli import run
from test_resume import CHECKPOINTS, assert_same_data, partial, python

import fedast_jax as fx
from fedast_jax.run.cluster import address as addresses
from fedast_jax.run.cluster import roll_call
from fedast_jax.run.cluster.address import Address
from fedast_jax.run.cluster.errors import ClusterError
from fedast_jax.run.cluster.processes import Place
from fedast_jax.run.cluster.roll_call import Card, Company, call_roll

pytestmark = pytest.mark.optimised

CONFIG = """
num_clients = 20
max_updates = 60
num_seeds = 3
[tasks.digits]
num_active = 6
buffer_size = 2
test_every = 2
samples_per_client = 20
"""
EVERYTHING = ["--save", "requests,models,partition"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def place() -> Address:
    """A free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return Address("127.0.0.1", server.getsockname()[1])


def start(place: Address, num: int, number: int, *arguments: object) -> subprocess.Popen:
    """``fedast ARGUMENTS`` as one of several processes."""
    where = ["--coordinator", place, "--num-processes", num, "--process-id", number]
    return python("-m", "fedast_jax.cli", *arguments, *where)


def end(processes: list[subprocess.Popen], *codes: int) -> list[str]:
    """What they have said; they must end with these codes."""
    said = [one.communicate(timeout=300)[0] for one in processes]
    assert tuple(one.returncode for one in processes) == codes, said
    return said


def test_two_processes_measure_what_one_does(monkeypatch, tmp_path, config, place):
    """Three replicates: two in one process, one in the other."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    given = ["run", config, "--out", out, *EVERYTHING]
    processes = [start(place, 2, number, *given) for number in range(2)]
    assert run(monkeypatch, "run", config, "--out", whole, *EVERYTHING) == 0
    said = end(processes, 0, 0)
    assert "results in" in said[0]
    assert "process 1 is done" in said[1]
    manifest, found = whole / "manifest.json", json.loads((out / "manifest.json").read_text())
    expected = json.loads(manifest.read_text())
    assert found["counts"]["arrivals"] == expected["counts"]["arrivals"]
    manifest.write_text(json.dumps(expected | {"counts": found["counts"]}))  # batches differ
    assert_same_data(out, whole)


@pytest.mark.slow
def test_a_sweep_in_two_processes(monkeypatch, tmp_path, config, place):
    """Each process divides its batches over two devices."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    grid = ["sweep", config, "--devices", 2, "--grid", "tasks.digits.buffer_size=1,3", "--seeds", 2]
    processes = [start(place, 2, number, *grid, "--out", out) for number in range(2)]
    assert run(monkeypatch, *grid, "--out", whole) == 0
    end(processes, 0, 0)
    for file in ("evaluations.parquet", "allocations.parquet", "summary.json", "config.toml"):
        assert (out / file).read_bytes() == (whole / file).read_bytes(), file


@pytest.mark.slow
def test_an_interrupted_process_leaves_what_was_measured(tmp_path, config, place):
    """The other one runs to its end, and process 0 writes both shares."""
    out = tmp_path / "out"
    endless = ["--set", "max_updates=20000", "--set", "tasks.digits.target_accuracy=none"]
    processes = [
        start(place, 2, number, "run", config, *endless, "--out", out) for number in range(2)
    ]
    assert processes[0].stdout is not None
    assert "2 processes are there" in processes[0].stdout.readline()
    processes[1].send_signal(signal.SIGINT)
    end(processes, 130, 130)
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["status"], summary["num_finished"]) == ("interrupted", 2)
    assert not (out / CHECKPOINTS).exists()
    assert not partial(out).exists()


def begin(place: Address, config: Path, out: Path, max_updates: int) -> list[subprocess.Popen]:
    """Two processes at work on what takes a while."""
    more = ["--set", f"max_updates={max_updates}", "--set", "tasks.digits.target_accuracy=none"]
    given = ["run", config, *more, "--out", out]
    processes = [start(place, 2, number, *given) for number in range(2)]
    for one in processes:
        assert one.stdout is not None
        assert "2 processes are there" in one.stdout.readline()
    return processes


@pytest.mark.slow
def test_without_process_0_the_others_end_at_once(monkeypatch, tmp_path, config, place):
    """The run goes on from the beginning, in one process."""
    out = tmp_path / "out"
    processes = begin(place, config, out, 2000)
    processes[0].kill()
    said = end(processes, -signal.SIGKILL, 2)
    assert said[1].splitlines()[-1].startswith("error: process 0 is gone, and with it what")
    assert "Traceback" not in said[1]
    assert run(monkeypatch, "resume", out) == 0
    assert json.loads((out / "summary.json").read_text())["status"] == "finished"
    assert {path.name for path in tmp_path.iterdir()} == {"small.toml", "out"}


@pytest.mark.slow
def test_without_another_process_its_replicates_are_missing(tmp_path, config, place):
    """Process 0 says so while it works, goes on, and ends in order when it is asked to."""
    out = tmp_path / "out"
    processes = begin(place, config, out, 10**7)
    processes[1].kill()
    assert processes[0].stdout is not None
    for line in processes[0].stdout:
        if "process 1 is lost; the others go on" in line:
            break
    processes[0].send_signal(signal.SIGTERM)
    said = end(processes, 143, -signal.SIGKILL)
    assert "lost on the way: process 1\n" in said[0]
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["status"], summary["num_finished"]) == ("interrupted", 0)
    assert not partial(out).exists()


def pair() -> tuple[Company, Company]:
    """Process 0's connections and process 1's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = socket.create_connection(server.getsockname())
        one = server.accept()[0]
    return Company({1: one}), Company({0: other})


def test_another_process_hears_that_process_0_is_gone():
    first, second = pair()
    with second:
        assert not second.is_over()
        first.__exit__()
        assert second.is_over()
        with pytest.raises(ClusterError, match="process 0 is gone"):
            second.verdict()


def test_process_0_hears_that_another_one_is_gone():
    first, second = pair()
    with first:
        assert (first.lost(), first.awaited()) == ([], [1])
        second.__exit__()
        assert (first.lost(), first.awaited()) == ([1], [])
        assert first.collect() == {}


def test_a_share_that_waits_to_be_taken_is_no_loss():
    first, second = pair()
    with first, second:
        second.hand_in(b"all")
        assert (first.lost(), first.awaited()) == ([], [])
        assert first.collect() == {1: b"all"}


def test_a_process_that_hangs_is_not_waited_for_once_the_run_is_to_stop(monkeypatch):
    monkeypatch.setattr(roll_call, "LAST_SECONDS", 0.05)
    monkeypatch.setattr(roll_call, "POLL_SECONDS", 0.01)
    first, second = pair()
    with first, second:
        assert first.collect(lambda: True) == {}
        assert second.is_over()


def test_the_verdict_follows_the_wish_to_stop():
    """Both may be there at once, or one after the other."""
    first, second = pair()
    with first, second:
        second.hand_in(b"half")
        assert first.collect(lambda: True) == {1: b"half"}
        first.tell(["process 0: no"])
        assert second.verdict() == ["process 0: no"]


def test_a_machine_that_is_lost_is_noticed_within_a_minute(place):
    """The system asks for a sign of life by itself."""
    with socket.create_server(place) as server, socket.create_connection(place) as member:
        server.accept()[0].close()
        with Company({1: member}):
            idle, every, number = (
                member.getsockopt(socket.IPPROTO_TCP, getattr(socket, name))
                for name in roll_call.KEEPALIVE
            )
            assert member.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert idle + every * number <= 60


@pytest.mark.slow
def test_what_stops_one_stops_all(tmp_path, config, place):
    given = ["run", config, "--out", tmp_path / "out", "--set", "machine.memory_gib=1e-6"]
    said = end([start(place, 2, number, *given) for number in range(2)], 2, 2)
    for one in said:
        assert "error: process 0: one replicate needs about" in one
        assert "; process 1: one replicate needs about" in one
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_processes_with_different_configurations(tmp_path, config, place):
    given = [["run", config, "--out", tmp_path / "out", "--set", f"seed={seed}"] for seed in (0, 1)]
    said = end([start(place, 2, number, *one) for number, one in enumerate(given)], 2, 2)
    assert said[0].strip() == said[1].strip()
    assert said[0].strip().startswith("error: the processes must be alike, but process 0 has conf")
    assert said[0].strip().count("\n") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_versions_that_differ_are_named(place):
    found = together(place, [{"jax": "0.9", "numpy": "2"}, {"jax": "0.10", "numpy": "2"}])
    expected = "the processes must be alike, but process 0 has jax 0.9; process 1 has jax 0.10"
    assert [str(error) for error in found] == [expected, expected]


def test_equal_processes_may_begin(place):
    """Whoever else calls in between is not listened to."""
    with pytest.MonkeyPatch.context() as patch:
        listen = roll_call._listen

        def listen_and_be_disturbed(address: Address) -> socket.socket:
            server = listen(address)
            with socket.create_connection(address) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            return server

        patch.setattr(roll_call, "_listen", listen_and_be_disturbed)
        assert together(place, [{"jax": "1"}] * 3) == [None, None, None]


def test_one_process_id_twice(place):
    found = together(place, [{}, {}, {}], numbers=[0, 1, 1])
    assert all("two processes have --process-id 1" in str(error) for error in found)


def test_another_number_of_processes(place):
    found = together(place, [{}, {}], numbers=[0, 2])
    assert all("process 0 has --num-processes 2" in str(error) for error in found)


def together(
    place: Address, facts: list[dict[str, str]], numbers: list[int] | None = None
) -> list[ClusterError | None]:
    """What stops each of several processes at the roll call."""
    found: list[ClusterError | None] = [None] * len(facts)

    def call(index: int, number: int) -> None:
        try:
            with call_roll(place, len(facts), Card(number, facts[index])):
                pass
        except ClusterError as error:
            found[index] = error

    calls = [
        threading.Thread(target=call, args=one) for one in enumerate(numbers or range(len(facts)))
    ]
    for one in calls:
        one.start()
    for one in calls:
        one.join()
    return found


def test_a_process_that_does_not_come(monkeypatch, place):
    monkeypatch.setattr(roll_call, "WAIT_SECONDS", 0.3)
    with pytest.raises(ClusterError, match=rf"at {place}, .* did not come: 1, 2; start"):
        call_roll(place, 3, Card(0, {}))


def test_a_coordinator_that_is_not_there(monkeypatch, tmp_path, config, place, capsys):
    monkeypatch.setattr(addresses, "WAIT_SECONDS", 0.5)
    assert f"at {place} cannot be reached" in refused(monkeypatch, capsys, config, place, 2, 1)
    nowhere = "no-such-host.invalid:4000"
    assert f"at {nowhere} cannot be reached" in refused(monkeypatch, capsys, config, nowhere, 2, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_something_else_at_the_address(monkeypatch, place):
    monkeypatch.setattr(roll_call, "ANSWER_SECONDS", 0.3)
    with (
        socket.create_server(place),
        pytest.raises(ClusterError, match=f"listens at {place} has not let this process in"),
    ):
        call_roll(place, 2, Card(1, {}))


def test_a_port_that_is_taken(monkeypatch, tmp_path, config, place, capsys):
    with socket.create_server(("", place.port)):
        said = refused(monkeypatch, capsys, config, place, 2, 0, "--out", tmp_path / "out")
    assert f"process 0 cannot listen at {place}: address already in use" in said
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


@pytest.mark.parametrize(
    ("where", "num", "number", "sentence"),
    [
        ("127.0.0.1", 2, 0, "--coordinator must read HOST:PORT .*, got '127.0.0.1'"),
        ("127.0.0.1:0", 2, 0, "got '127.0.0.1:0'"),
        ("http://a:80", 2, 0, "got 'http://a:80'"),
        (":80", 2, 0, "got ':80'"),
        ("a:80", 2, 2, r"--process-id must be from 0 to 1 \(--num-processes 2\), got 2"),
        ("a:80", 2, -1, "got -1"),
        ("a:80", 0, 0, "--num-processes must be at least 1, got 0"),
        ("a:80", 2, None, "belong together; --process-id is missing"),
        (None, 2, None, "--coordinator and --process-id is missing"),
    ],
)
def test_options_that_cannot_be(where, num, number, sentence):
    with pytest.raises(ClusterError, match=sentence):
        Place.parse(where, num, number)


def test_more_processes_than_replicates(monkeypatch, tmp_path, config, place, capsys):
    said = refused(monkeypatch, capsys, config, place, 4, 0, "--out", tmp_path / "out")
    assert "--num-processes 4 is more than the 3 replicates of the run" in said
    assert [path.name for path in tmp_path.iterdir()] == ["small.toml"]


def test_an_address_reads_as_it_was_given():
    for text in ("host:1", "10.0.0.1:65535", "[::1]:6000"):
        assert str(Address.parse(text, "--coordinator")) == text
    assert Address.parse("[::1]:6000", "--coordinator").host == "::1"


def test_without_the_options_there_is_one_process():
    assert Place.parse(None, None, None) is None
    config = fx.make_config({"max_updates": 1, "num_seeds": 2, "tasks": {"digits": {}}})
    Place(Address("a", 1), 2, 0).check([config])


def refused(monkeypatch, capsys, config: Path, where: object, num: int, number: int, *more) -> str:
    """What ``fedast run`` says when it refuses: one sentence."""
    given = ["--coordinator", where, "--num-processes", num, "--process-id", number, *more]
    assert run(monkeypatch, "run", config, *given) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said
