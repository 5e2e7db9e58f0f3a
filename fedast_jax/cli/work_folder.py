"""What a run in progress keeps on disk: ``DIR.partial``, which becomes or makes way for ``DIR``.

While a run goes on there is ``DIR.partial`` and no ``DIR``; once it has ended, ``DIR`` and no
``DIR.partial``. Only the ``DIR`` of an interrupted run holds checkpoints.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TextIO

import tomli_w

from ..config.settings import Config, ConfigError, load_table
from ..results.run_folder import OutputError, check_folder
from ..run.checkpoint import Checkpoints, ResumeError
from ..run.resolve import make_config

SUFFIX = ".partial"
CHECKPOINTS = "checkpoints"
JOB = "run.json"


class Job(NamedTuple):
    """What was asked for."""

    command: str  # of ``cli.FINISH``
    configs: Sequence[Config]
    options: Mapping[str, Any] = {}  # of the command, as JSON can hold them
    table: Mapping[str, Any] | None = None  # of a study: what the configurations were made from

    @property
    def settings(self) -> dict[str, Any]:
        """What ``config.toml`` holds."""
        return self.configs[0].to_dict() if self.table is None else dict(self.table)

    def to_json(self) -> str:
        """As text."""
        content = {
            "command": self.command,
            "options": dict(self.options),
            "table": self.table,
            "configs": [config.to_dict() for config in self.configs],
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of ``to_json``."""
        content = json.loads(text)
        configs = [make_config(table) for table in content["configs"]]
        return cls(content["command"], configs, content["options"], content["table"])


class WorkFolder:
    """``DIR.partial`` of one run, locked by the process that works in it.

    As a context manager it lets go at the end. Where the run ended by an error it is removed if it
    holds no checkpoint, and is ``DIR`` again if it was the folder of an interrupted run.
    """

    def __init__(self, target: Path, job: Job) -> None:
        """Name it; use ``begin`` and ``reopen``."""
        self.target, self.job = target, job
        self.path = partial_of(target)
        self.checkpoints = Checkpoints(self.path / CHECKPOINTS)
        self._lock: TextIO | None = None

    @classmethod
    def begin(cls, target: Path, job: Job) -> Self:
        """Make the folder of a new run.

        Raises:
            OutputError: there is one, or it cannot be made.
        """
        check_target(target)
        work = cls(target, job)
        (work.path / CHECKPOINTS).mkdir(parents=True)
        work._take_lock()
        (work.path / "config.toml").write_text(tomli_w.dumps(job.settings))
        temporary = work.path / "run.tmp"
        temporary.write_text(job.to_json())
        temporary.rename(work.path / CHECKPOINTS / JOB)
        return work

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Find what an interrupted or killed run has left, by ``DIR`` or ``DIR.partial``.

        Raises:
            ResumeError: there is nothing to go on with.
        """
        target = Path(os.path.abspath(folder))
        if target.name in ("", SUFFIX):
            raise ResumeError(f"{str(folder)!r} is not the folder of a run")
        if target.name.endswith(SUFFIX):
            target = target.with_name(target.name.removesuffix(SUFFIX))
        path = partial_of(target)
        source = target if target.exists() else path
        if source == target:
            _check_interrupted(target)
        job = _read_job(target, source)
        _check_config(source / "config.toml", job.settings)
        if source == target:
            _move(target, path)
        work = cls(target, job)
        work._take_lock()
        return work

    def keep(self, write: Callable[[Path], None]) -> None:
        """End an interrupted run: let its results be written beside the checkpoints.

        Args:
            write: puts the results into a folder; they replace those of an earlier interruption.
        """
        staging = self.path / "results"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            write(staging)
            for entry in list(staging.iterdir()):
                _replace(entry, self.path / entry.name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self._step_back()

    def remove(self) -> None:
        """The run has ended; only its results stay."""
        shutil.rmtree(self.path, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and not self.checkpoints.paths:
            self.remove()
        elif error is not None and (self.path / "manifest.json").exists():
            self._step_back()  # it was an interrupted run's, and still is
        if self._lock is not None:
            self._lock.close()

    def _step_back(self) -> None:
        (self.path / "lock").unlink(missing_ok=True)
        self.path.rename(self.target)

    def _take_lock(self) -> None:
        self._lock = (self.path / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise ResumeError(
                f"{str(self.path)!r} is in use: another process works on this run"
            ) from None


def _replace(entry: Path, old: Path) -> None:
    if old.is_dir():
        shutil.rmtree(old)
    entry.replace(old)


def partial_of(target: Path) -> Path:
    """Where a run works that will leave ``target``."""
    return target.with_name(target.name + SUFFIX)


def check_target(target: Path) -> None:
    """Raise OutputError where a run could not leave this folder, before anything is computed."""
    check_folder(target)
    path = partial_of(target)
    if path.exists() or path.is_symlink():
        raise OutputError(
            f"{str(path)!r} holds a run that has not ended: continue it with "
            f"'fedast resume {target}', remove it, or name another folder with --out"
        )


def _check_interrupted(target: Path) -> None:
    """Raise ResumeError where a folder is not that of an interrupted run."""
    try:
        status = json.loads((target / "manifest.json").read_text())["status"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ResumeError(f"{str(target)!r} is not the folder of a run") from None
    if status == "finished":
        shutil.rmtree(partial_of(target), ignore_errors=True)  # killed when all but this was done
        raise ResumeError(f"{str(target)!r} is already finished; there is nothing to resume")
    if not (target / CHECKPOINTS / JOB).is_file():
        raise ResumeError(f"{str(target)!r} holds no checkpoints; start the run again")


def _move(target: Path, path: Path) -> None:
    if path.exists():
        raise ResumeError(
            f"both {str(target)!r} and {str(path)!r} hold an unfinished run; move one away"
        )
    target.rename(path)


def _read_job(target: Path, source: Path) -> Job:
    path = source / CHECKPOINTS / JOB
    try:
        return Job.from_json(path.read_text())
    except FileNotFoundError:
        raise ResumeError(f"there is no run to resume in {str(target)!r}") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ResumeError(f"{str(path)!r} cannot be read; start the run again") from None


def _check_config(path: Path, settings: Mapping[str, Any]) -> None:
    """Raise ResumeError where the user has changed the copy of the configuration."""
    try:
        is_equal = load_table(path) == settings
    except ConfigError:
        is_equal = False
    if not is_equal:
        raise ResumeError(
            f"{str(path)!r} is not as the run wrote it, and a run keeps its settings: put it back, "
            f"or start a new run with it"
        )
