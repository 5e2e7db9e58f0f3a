"""Operations that fail: one file operation after the other, in runs that train on numbers alone."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from matplotlib.figure import Figure

from fedast_jax.cli import commands as cli
from fedast_jax.config import disk
from fedast_jax.engine.planning.pool import LanePool, PoolPlan
from fedast_jax.run import simulate
from fedast_jax.run.executor import Interrupted
from fedast_jax.study.fuzz.symbols import Row, SymbolicDevice

ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES}
SIGNALS = {"SIGINT": signal.SIGINT, "SIGTERM": signal.SIGTERM}
ALWAYS_DONE = ("close", "unlock")  # by the system, however a process ends


class Crash(BaseException):
    """The process is gone: nothing catches it, and nothing is done after it."""


@dataclass
class Fault:
    """A way of ``disk.by_way_of``: the n-th operation goes wrong.

    ``kind`` is one of ``ERRORS``; ``short``, a write that ends half-way; ``before`` or ``after``,
    a crash before or after the operation; ``SIGINT`` or ``SIGTERM``, which come just before it, and
    end a process that does not listen yet. ``lasts``: every later operation goes wrong as well.
    """

    number: int = 0  # from 1; 0: none
    kind: str = "EIO"
    lasts: bool = False
    verbs: list[str] = field(default_factory=list)  # of all operations so far
    _held: list[Any] = field(default_factory=list)
    _is_gone: bool = False

    def __call__(self, verb: str, do: Callable[..., Any], *arguments: Any) -> Any:
        is_wrong = self._is_wrong(verb) and not self._needs_no_room(verb)
        if self._is_gone or is_wrong:
            return self._go_wrong(verb, do, *arguments)
        done = do(*arguments)
        if verb == "lock":
            self._held.append(do.__self__)  # type: ignore[attr-defined]
        return done

    def _is_wrong(self, verb: str) -> bool:
        self.verbs.append(verb)
        here = len(self.verbs)
        return here == self.number or (self.lasts and 0 < self.number < here)

    def _needs_no_room(self, verb: str) -> bool:
        """What succeeds on a disk that stays full."""
        return self.lasts and self.kind in ("ENOSPC", "short") and verb.startswith("remove")

    def _go_wrong(self, verb: str, do: Callable[..., Any], *arguments: Any) -> Any:
        if verb in ALWAYS_DONE:
            do(*arguments)
        if self._is_gone:
            raise Crash
        if self.kind in SIGNALS:
            return self._signal(verb, do, *arguments)
        if verb == "unlock":  # cannot fail: the system does it by itself
            return
        self._half(verb, do, *arguments)
        if self.kind in ("before", "after"):
            if self.kind == "after" and verb not in ALWAYS_DONE:
                done = do(*arguments)
                _close(done if verb == "open" else None)
            self._is_gone = True
            raise Crash
        code = ERRORS.get(self.kind, errno.ENOSPC)
        raise OSError(code, os.strerror(code))

    def _signal(self, verb: str, do: Callable[..., Any], *arguments: Any) -> Any:
        if signal.getsignal(SIGNALS[self.kind]) == signal.SIG_DFL:
            self._is_gone = True
            raise Crash
        signal.raise_signal(SIGNALS[self.kind])
        done = do(*arguments)
        if verb == "lock":
            self._held.append(do.__self__)  # type: ignore[attr-defined]
        return done

    def _half(self, verb: str, do: Callable[..., Any], *arguments: Any) -> None:
        """What is done of an operation that ends in its middle."""
        if verb == "write" and self.kind in ("short", "before"):
            do(memoryview(arguments[0]).cast("B")[: len(memoryview(arguments[0]).cast("B")) // 2])
        if verb == "remove tree" and arguments[0].is_dir():
            for path in sorted(arguments[0].rglob("*"))[::2]:
                if path.is_file():
                    path.unlink()

    def forget(self) -> None:
        """Let go of what a process holds that is gone."""
        for held in self._held:
            held.release(force=True)


def _close(opened: Any) -> None:
    """What a process that is gone had open."""
    number = opened[0] if isinstance(opened, tuple) else opened
    if isinstance(opened, io.FileIO):
        io.FileIO.close(opened)
    elif isinstance(number, int) and number > 2:
        os.close(number)


class Numbers(SymbolicDevice):
    """As a ``Device``, but it trains numbers in place of models."""

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        super().__init__()
        self._is_stopped = is_stopped

    def train(self, pool: LanePool, plan: PoolPlan, step_updates: int) -> None:
        if self._is_stopped():
            raise Interrupted
        super().train(pool, plan, step_updates)

    def _put(self, rows: dict, pool: LanePool, number: int, row: Row) -> None:
        """Rows that a segment has freed are not told of here, and may be written."""
        rows[id(pool), number] = row

    def model(self, pool: LanePool, row: int) -> dict[str, Any]:
        return {"content": np.asarray(super().model(pool, row)["content"])}


@contextmanager
def quick_runs(device: type[Numbers] = Numbers) -> Iterator[None]:
    """Runs that neither compile nor draw, of segments so short that there are several."""
    prepare = simulate.prepare_run

    def prepare_short(*arguments: Any) -> Any:
        prepared = prepare(*arguments)
        return prepared._replace(sizing=prepared.sizing._replace(window=30))

    def draw(self: Figure, file: Any, **options: Any) -> None:
        file.write(b"a picture")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "Device", device)
        patch.setattr(simulate, "prepare_run", prepare_short)
        patch.setattr(Figure, "savefig", draw)
        yield


def files_of(folder: Path) -> dict[str, bytes]:
    """The bytes of every file; of the manifest, and of pictures, only that they are there."""
    return {
        path.relative_to(folder).as_posix(): b"" if _varies(path) else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _varies(path: Path) -> bool:
    return path.name in ("manifest.json", "checksums.json") or path.parent.name == "figures"


def clear(folder: Path) -> None:
    """Empty a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


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
        self.begun: Path | None = None
        if command == "resume":
            self.begun = self._interrupted()

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
            return Ended(int(ended.code or 0), without_progress(said.getvalue()))
        except (Crash, KeyboardInterrupt):  # before anything listens
            return Ended(None, without_progress(said.getvalue()))
        finally:
            fault.forget()
            sys.argv = argv
        return Ended(0, without_progress(said.getvalue()))

    def begin_with(self, fault: Fault) -> Ended:
        """The command, from the beginning, with an operation that fails."""
        clear(self.out.parent)
        clear(self.scratch)
        if self.begun is None:
            return self.run(self.fresh, fault)
        shutil.copytree(self.begun, self.partial)
        return self.run(["resume", str(self.out)], fault)

    def try_with(self, fault: Fault, error: str = "error: ") -> str:
        """Let an operation fail, and look at what is left; the outcome in a word."""
        ended = self.begin_with(fault)
        assert "Traceback" not in ended.said, ended.said
        errors = [line for line in ended.said.splitlines() if line.startswith(error)]
        assert ended.code in (None, 0, 2, 130, 143), ended
        assert len(errors) == (ended.code == 2), ended.said
        if ended.code == 2:
            assert ended.said.endswith(errors[0] + "\n"), ended.said
        if self.status == "finished":
            return self.look_at_finished(ended, is_hard=fault.lasts or ended.code is None)
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

    def look_at_finished(self, ended: Ended, *, is_hard: bool) -> str:
        """``is_hard``: nothing could be put right, for the process or the disk was gone."""
        there, pictures = files_of(self.out), {name for name in self.whole if "figures/" in name}
        if is_hard:
            there.pop("checksums.tmp", None)  # it stands for nothing; the next picture replaces it
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
        there = files_of(self.out)
        assert {
            name for name in there | self.whole if there.get(name) != self.whole.get(name)
        } == set()
        self.look_around()

    def look_around(self) -> None:
        """Nothing else is left."""
        assert [path.name for path in self.out.parent.iterdir()] == ["out"]


def without_progress(text: str) -> str:
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n").splitlines()
    return "".join(f"{line}\n" for line in lines if line and not re.match(r" *\d+%  ", line))
