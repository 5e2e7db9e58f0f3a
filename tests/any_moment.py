"""Signals at random moments: ``python tests/any_moment.py NUMBER [SEED]``, so many of each signal.

Each command is a process: the fork of one that has imported everything and begun nothing. One in
twenty trains digits for real; in the others models are numbers (see ``failing.py``). Afterwards the
folder is finished, resumable or absent, the exit code is what a shell expects, and going on gives
the bytes of an undisturbed run.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import jax
from failing import COMMANDS, Ended, Fault, Place, clear, quick_runs, without_progress
from sklearn.datasets import load_digits as load_digits  # so that forks have it, and what follows

from fedast_jax.cli import commands as cli
from fedast_jax.cli import finish as finish
from fedast_jax.config import disk
from fedast_jax.study import figures as figures

KINDS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)
REAL = 20  # one trial in so many trains
LATEST = 1.2  # of the seconds of an undisturbed run
LONGEST = 120.0  # seconds of a process, however busy the machine


@dataclass
class Moment(Fault):
    """A signal after so many seconds."""

    seconds: float = 0.0


class AnyMoment(Place):
    """A place whose commands are processes, and are sent signals."""

    codes: Counter[tuple[str, int]]  # of the processes that were sent one

    def __init__(self, folder: Path, command: str) -> None:
        self.codes, self.seconds = Counter(), 0.0
        super().__init__(folder, command)

    def run(self, arguments: Sequence[str], fault: Fault | None = None) -> Ended:
        moment = fault if isinstance(fault, Moment) else None
        start, said = time.monotonic(), self.folder / "said"
        pid = fork(arguments, said)
        if moment:
            time.sleep(moment.seconds)
            os.kill(pid, signal.Signals[moment.kind])
        code = code_of(pid)
        if code == 0 and (moment or arguments is self.fresh):  # from the beginning to the end
            self.seconds = time.monotonic() - start
        text = without_progress(said.read_text())
        if moment:
            self.check_code(code, moment.kind, text)
        return Ended(None if code < 0 else code, text)

    def _interrupted(self) -> Path:
        """The folder of a run that was killed once it had checkpoints."""
        for part in range(8, 200):
            clear(self.out.parent)
            seconds = self.seconds * (part % 20) / 20
            self.run(self.fresh, Moment(kind="SIGKILL", seconds=seconds))
            if any((self.partial / "checkpoints").glob("0*.npz")):
                return Path(self.partial.rename(self.folder / "begun"))
        raise AssertionError("never killed between its first checkpoint and its end")

    def check_code(self, code: int, kind: str, said: str) -> None:
        """Raise AssertionError where a shell would be told something else."""
        self.codes[kind, code] += 1
        number = signal.Signals[kind]
        expected = {0, -number} if kind == "SIGKILL" else {0, -number, 128 + number}
        assert code in expected, (code, kind, said)
        if code == -number and kind != "SIGKILL":  # it did not listen yet, or no more
            untouched = "resumable" if self.begun else "absent"
            assert self.state == untouched or self.status == "finished", said


@contextmanager
def held_back() -> Iterator[None]:
    """No signal is heard."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, KINDS[:2])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def fork(arguments: Sequence[str], said: Path) -> int:
    """``fedast ARGUMENTS`` in another process; its number."""
    sys.stdout.flush()
    with held_back(), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # JAX is imported, and has not begun
        pid = os.fork()
        if pid == 0:
            be_fedast(arguments, said)
    return pid


def be_fedast(arguments: Sequence[str], said: Path) -> None:
    """The process from here on; it does not return."""
    code = 70
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.argv = ["fedast", *arguments]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, KINDS[:2])
        cli.main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except KeyboardInterrupt:  # as Python does
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        print(f"Traceback: {error!r}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def code_of(pid: int) -> int:
    """How a process ends; below 0: by a signal.

    Raises:
        TimeoutError: it does not.
    """
    deadline = time.monotonic() + LONGEST
    while time.monotonic() < deadline:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"not at its end after {LONGEST:.0f} s")


def try_all(number: int, seed: int) -> None:
    """Send each signal so many times; print what came of it."""
    chance, outcomes = random.Random(seed), Counter[tuple[str, str]]()
    codes: Counter[tuple[str, int]] = Counter()
    with tempfile.TemporaryDirectory() as name:
        jax.config.update("jax_compilation_cache_dir", f"{name}/compiled")  # of all processes
        disk.scratch = lambda: Path.cwd() / "scratch"
        places: dict[tuple[str, bool], AnyMoment] = {}
        for trial in range(number * len(KINDS)):
            kind, command = KINDS[trial % 3].name, list(COMMANDS)[trial // 3 % 4]
            is_real = trial // 3 % REAL == REAL - 1
            with nullcontext() if is_real else quick_runs():
                place = find_place(places, Path(name), command, is_real)
                os.chdir(place.folder)
                place.codes = codes
                outcome = try_one(place, Moment(kind=kind, seconds=a_moment(place, chance)))
            outcomes[kind, outcome] += 1
            if trial % 30 == 29:
                show(outcomes, codes)
    show(outcomes, codes)


def find_place(
    places: dict[tuple[str, bool], AnyMoment], folder: Path, command: str, is_real: bool
) -> AnyMoment:
    """The place of a command; made when it is first asked for."""
    if (command, is_real) not in places:
        own = folder / f"{command}_{is_real}"
        own.mkdir()
        os.chdir(own)
        places[command, is_real] = AnyMoment(own, command)
    return places[command, is_real]


def a_moment(place: AnyMoment, chance: random.Random) -> float:
    """Seconds after the start of the next process."""
    return chance.uniform(0.0, LATEST * place.seconds)


def try_one(place: AnyMoment, moment: Moment) -> str:
    try:
        return place.try_with(moment)
    except BaseException as error:
        error.add_note(f"{moment.kind} after {moment.seconds:.3f} s in {place.folder.name}")
        raise


def show(outcomes: Counter[tuple[str, str]], codes: Counter[tuple[str, int]]) -> None:
    """How many of each, so far."""
    for kind in (kind.name for kind in KINDS):
        ways = {way: number for (name, way), number in sorted(outcomes.items()) if name == kind}
        ends = {code: number for (name, code), number in sorted(codes.items()) if name == kind}
        print(f"{kind}: {sum(ways.values())}: {ways}, exit codes {ends}", flush=True)


if __name__ == "__main__":
    try_all(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
