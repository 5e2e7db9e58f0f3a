"""Whatever file operation fails, and however: finished, resumable or not there, told in a sentence.

Runs train numbers in place of models, so that one takes a fifth of a second; every operation of
``run``, ``compare``, ``sweep`` and ``resume`` fails in turn (here some of them; all where slow).
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from itertools import count, cycle
from pathlib import Path
from typing import NamedTuple

import pytest
from failing import ERRORS, Crash, Fault, clear, files_of, quick_runs

from fedast_jax.cli import commands as cli
from fedast_jax.config import disk

CONFIG = """
num_clients = 5
max_updates = 90
num_seeds = 1
[machine]
checkpoint_seconds = 0
batch_width = 4
[tasks.digits]
num_active = 4
buffer_size = 2
test_every = 8
samples_per_client = 20
target_accuracy = "none"
"""
COMMANDS = {
    "run": ["run", "a.toml", "--save", "requests,models,partition"],
    "compare": ["compare", "a.toml", "--algorithms", "fedast,fedbuff"],
    "sweep": ["sweep", "a.toml", "--grid", "tasks.digits.buffer_size=1,2"],
    "resume": ["run", "a.toml", "--save", "requests,models,partition"],  # what is resumed
}
WAYS = [
    *((kind, lasts) for kind in ERRORS for lasts in (False, True)),
    *(("short", lasts) for lasts in (False, True)),
    *((kind, False) for kind in ("before", "after")),
]


class Ended(NamedTuple):
    """How a command came to its end."""

    code: int | None  # None: the process was gone
    said: str  # on stderr


class Place:
    """A folder in which one command is tried again and again."""

    def __init__(self, folder: Path, command: str) -> None:
        self.folder, self.command = folder, command
        self.out = folder / "work" / "out"
        (folder / "a.toml").write_text(CONFIG)
        self.scratch = folder / "scratch"
        self.scratch.mkdir()
        self.out.parent.mkdir()
        self.fresh = [*COMMANDS[command], "--out", str(self.out)]
        assert self.run(self.fresh) == (0, "")
        self.whole = files_of(self.out)
        self.begun = self._interrupted() if command == "resume" else None

    def _interrupted(self) -> Path:
        """The folder of a run that was killed once it had two checkpoints."""
        clear(self.out.parent)
        renames = [index for index, verb in enumerate(self.verbs_of(), 1) if verb == "rename"]
        clear(self.out.parent)
        self.run(self.fresh, Fault(renames[2], "after"))
        return Path(self.partial.rename(self.folder / "begun"))

    def verbs_of(self) -> list[str]:
        """Every operation of the command where none fails."""
        fault = Fault()
        self.begin_with(fault)
        return fault.verbs

    @property
    def partial(self) -> Path:
        return self.out.with_name("out.partial")

    def run(self, arguments: Sequence[str], fault: Fault | None = None) -> Ended:
        said, fault = io.StringIO(), fault or Fault()
        argv, sys.argv = sys.argv, ["fedast", *arguments]
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(said), disk.by_way_of(fault):
                cli.main()
        except SystemExit as ended:
            return Ended(int(ended.code or 0), _without_progress(said.getvalue()))
        except Crash:
            return Ended(None, _without_progress(said.getvalue()))
        finally:
            fault.forget()
            sys.argv = argv
        return Ended(0, _without_progress(said.getvalue()))

    def begin_with(self, fault: Fault) -> Ended:
        """The command, from the beginning, with an operation that fails."""
        clear(self.out.parent)
        clear(self.scratch)
        if not hasattr(self, "begun") or self.begun is None:
            return self.run(self.fresh, fault)
        shutil.copytree(self.begun, self.partial)
        return self.run(["resume", str(self.out)], fault)

    def try_with(self, fault: Fault) -> str:
        """Let an operation fail, and look at what is left; the outcome in a word."""
        ended = self.begin_with(fault)
        assert "Traceback" not in ended.said, ended.said
        errors = [line for line in ended.said.splitlines() if line.startswith("error: ")]
        assert ended.code in (None, 0, 2), ended
        assert len(errors) == (ended.code == 2), ended.said
        if ended.code == 2:
            assert ended.said.endswith(errors[0] + "\n"), ended.said
        if self.status == "finished":
            return self.look_at_finished(ended)
        assert ended.code != 0, ended
        rescued = re.search(r"the results are in '([^']+)'(?:, without (.*))?", ended.said)
        if rescued:
            self.look_at_rescued(Path(rescued[1]), rescued[2] or "")
        self.go_on(self.state)
        return f"rescued, {self.went_on_from}" if rescued else self.went_on_from

    @property
    def status(self) -> str | None:
        path = self.out / "manifest.json"
        return json.loads(path.read_text())["status"] if path.exists() else None

    @property
    def state(self) -> str:
        """What is there: a run that can be resumed, or nothing that counts."""
        if self.status == "interrupted" or (self.partial / "checkpoints" / "run.json").exists():
            return "resumable"
        return "absent"

    def look_at_finished(self, ended: Ended) -> str:
        there, pictures = files_of(self.out), {name for name in self.whole if "figures/" in name}
        lost = set(self.whole) - set(there)
        assert lost <= pictures, lost
        if lost and ended.code is not None:
            assert "warning: cannot draw" in ended.said, ended.said
        assert {name: there[name] for name in there} == {name: self.whole[name] for name in there}
        again = self.run(["resume", str(self.out)])
        assert again.code == 2
        assert "is already finished" in again.said
        self.look_around()
        return "finished, but pictures" if lost else "finished"

    def look_at_rescued(self, folder: Path, without: str) -> None:
        there, missing = files_of(folder), set(without.split(", "))
        for name in set(self.whole) - set(there):
            assert "figures/" in name or Path(name).name in missing, name
        for name, content in there.items():
            assert content == self.whole[name], name

    def go_on(self, state: str) -> None:
        """Come to the end from what is left, as another process would."""
        self.went_on_from = state
        again = ["resume", str(self.out)] if state == "resumable" else self.fresh
        ended = self.run(again)
        assert ended.code == 0, (state, ended)
        assert files_of(self.out) == self.whole
        self.look_around()

    def look_around(self) -> None:
        """Nothing else is left."""
        assert [path.name for path in self.out.parent.iterdir()] == ["out"]


def _without_progress(text: str) -> str:
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()
    return "".join(f"{line}\n" for line in lines if line and not re.match(r" *\d+%  ", line))


@pytest.fixture(params=COMMANDS)
def place(request, tmp_path, monkeypatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(disk, "scratch", lambda: tmp_path / "scratch")
    with quick_runs():
        yield Place(tmp_path, request.param)


def test_some_operations_fail(place):
    """Another way for each, spread over the run."""
    verbs = place.verbs_of()
    numbers = range(1, len(verbs) + 1, len(verbs) // 11)
    for number, (kind, lasts) in zip(numbers, cycle(WAYS)):
        try_one(place, number, kind, lasts)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "lasts"), WAYS)
def test_every_operation_fails(place, kind, lasts):
    """For n = 1, 2, ... until none fails any more."""
    outcomes = Counter()
    for number in count(1):
        fault = Fault(number, kind, lasts)
        outcomes[try_one(place, number, kind, lasts, fault)] += 1
        if len(fault.verbs) < number:
            print(f"{place.command} {kind} lasts={lasts}: {dict(outcomes)}")
            assert number > 100
            return


def try_one(place: Place, number: int, kind: str, lasts: bool, fault: Fault | None = None) -> str:
    fault = fault or Fault(number, kind, lasts)
    try:
        return place.try_with(fault)
    except BaseException as error:
        what = fault.verbs[number - 1] if number <= len(fault.verbs) else "none"
        error.add_note(f"operation {number} ({what}) of {place.command}: {kind}, lasts={lasts}")
        raise
