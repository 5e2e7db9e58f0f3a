"""What a run in progress keeps on disk: ``DIR.partial``, which becomes or makes way for ``DIR``.

While a run goes on there is ``DIR.partial`` and no ``DIR``; once it has ended, ``DIR`` and no
``DIR.partial``. Only the ``DIR`` of an interrupted run holds checkpoints.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tomli_w

from ..config import disk
from ..config.errors import ConfigError, OutputError, ResumeError
from ..config.toml import load_table
from ..results.output import reason_of
from ..results.run_folder import check_folder, check_writable
from ..run.checkpoint import Checkpoints
from .job import Job
from .own import Lock, check_plain, missing_parents

SUFFIX = ".partial"
CHECKPOINTS = "checkpoints"
JOB = "run.json"
BEGUN = {"lock", "config.toml", "run.tmp", CHECKPOINTS}  # all there is before ``JOB``
LEAST_BYTES = 1 << 20  # what the smallest results and checkpoint of a run may take
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
        self._lock: Lock | None = None
        self._is_ours = False
        self._made: list[Path] = []  # folders above it that were not there

    @classmethod
    def begin(cls, target: Path, job: Job) -> Self:
        """Make the folder of a new run.

        Raises:
            OutputError: there is one, or it cannot be made.
        """
        check_target(target)
        work = cls(target, job)
        texts = {"config.toml": tomli_w.dumps(job.settings), "run.tmp": job.to_json()}
        num_bytes = LEAST_BYTES + sum(len(text.encode()) for text in texts.values())
        try:
            work._make(texts, num_bytes)
        except OSError as error:
            work._undo()
            raise _no_beginning(work.path, error, num_bytes) from error
        return work

    def _make(self, texts: Mapping[str, str], num_bytes: int) -> None:
        self._made = missing_parents(self.path)
        disk.make_folders(self.path.parent)
        _check_room(self.path.parent, num_bytes)
        disk.make_folder(self.path)
        self._is_ours = True
        self._lock = Lock(self.path)
        disk.make_folder(self.path / CHECKPOINTS)
        for name, text in texts.items():
            disk.write_text(text, self.path / name, is_new=True)
        disk.rename(self.path / "run.tmp", self.path / CHECKPOINTS / JOB)

    @classmethod
    def reopen(cls, folder: Path) -> Self:
        """Find what an interrupted or killed run has left, by ``DIR`` or ``DIR.partial``.

        Raises:
            ResumeError: there is nothing to go on with, or it is not as a run has left it.
        """
        target, source = _find(folder)
        check_plain(source, CHECKPOINTS)
        if source == target:
            _check_interrupted(target)
        job = _read_job(target, source)
        _check_config(source / "config.toml", job.settings)
        check_writable(target.parent)
        work = cls(target, job)
        work._lock, work._is_ours = Lock(source), True
        if source == target:
            work._move()
        return work

    def _move(self) -> None:
        """Make of the folder of an interrupted run that of a run in progress."""
        try:
            if disk.is_there(self.path):
                raise ResumeError(
                    f"both {str(self.target)!r} and {str(self.path)!r} hold an unfinished run; "
                    f"move one away"
                )
            disk.rename(self.target, self.path)
        except (OSError, ResumeError):
            disk.remove(self.target / "lock")
            self._let_go()
            raise

    @property
    def has_checkpoints(self) -> bool:
        """Whether there is anything to go on from."""
        return bool(self.checkpoints.paths)

    def keep(self, write: Callable[[Path], None]) -> None:
        """End an interrupted run: let its results be written beside the checkpoints.

        Args:
            write: puts the results into a folder; they replace those of an earlier interruption.
        """
        with self._written(write) as staging:
            for entry in disk.entries(staging):
                _replace(entry, self.path / entry.name)
        self._step_back()

    def finish(self, write: Callable[[Path], None]) -> None:
        """End a run: let its results be written, and keep nothing else."""
        with self._written(write) as staging:
            if disk.is_there(self.target):
                raise OutputError(f"{str(self.target)!r} appeared during the run")
            disk.rename(staging, self.target)
        _take_away(self.path)

    @contextmanager
    def _written(self, write: Callable[[Path], None]) -> Iterator[Path]:
        """Results on the disk, in a folder that is gone with the block, or with the run's own."""
        staging = self.path / "results"
        disk.remove_tree(staging)
        disk.make_folder(staging)
        try:
            write(staging)
            disk.sync_tree(staging)
            yield staging
        finally:
            disk.remove_tree(staging)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and disk.exists(self.path / "manifest.json"):
            self._step_back()  # it was an interrupted run's, and still is
        elif error is not None and not self.checkpoints.paths:
            self._undo()
        self._let_go()

    def _undo(self) -> None:
        """Leave nothing of what was begun in vain."""
        if self._is_ours:
            _take_away(self.path)
        self._let_go()
        for folder in reversed(self._made):
            with suppress(OSError):  # somebody else has put something there
                disk.remove_folder(folder)

    def _let_go(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _step_back(self) -> None:
        disk.remove(self.path / "lock")
        disk.rename(self.path, self.target)


def _replace(entry: Path, old: Path) -> None:
    if disk.is_folder(old):
        disk.remove_tree(old)
    disk.rename(entry, old)


def partial_of(target: Path) -> Path:
    """Where a run works that will leave ``target``."""
    return target.with_name(target.name + SUFFIX)


def check_target(target: Path) -> None:
    """Raise OutputError where a run could not leave this folder, before anything is computed."""
    if target.name.endswith(SUFFIX):
        raise OutputError(
            f"{str(target)!r}: a name that ends in {SUFFIX!r} is that of a run in progress; name "
            f"another folder with --out"
        )
    check_folder(target)
    if target.name in ("", ".."):
        raise OutputError(f"{str(target)!r} has no name of its own; name another folder with --out")
    path = partial_of(target)
    if disk.is_there(path) and not _clear_away(path):
        raise OutputError(
            f"{str(path)!r} holds a run that has not ended: continue it with "
            f"'fedast resume {target}', remove it, or name another folder with --out"
        )


def _clear_away(path: Path) -> bool:
    """Remove what a run has left that was killed before it had begun; False: it is not that."""
    if disk.is_link(path) or not disk.is_folder(path) or not BEGUN.issuperset(_names(path)):
        return False
    folder = path / CHECKPOINTS
    if disk.is_there(folder) and (
        disk.is_link(folder) or not disk.is_folder(folder) or _names(folder)
    ):
        return False
    return _remove_unused(path)


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in disk.entries(folder)]


def _take_away(path: Path) -> None:
    """Remove the folder of a run; ``JOB`` goes when nothing is left that only it explains.

    A process that is killed here leaves what can be resumed, or what ``_clear_away`` knows.
    """
    folder = path / CHECKPOINTS
    with suppress(OSError):
        for entry in [one for one in disk.entries(path) if one.name not in BEGUN]:
            disk.remove_tree(entry) if disk.is_folder(entry) else disk.remove(entry)
        for entry in [one for one in disk.find(folder, "*") if one.name != JOB]:
            disk.remove(entry)
        disk.remove(folder / JOB)
        disk.remove_tree(path)


def _remove_unused(path: Path) -> bool:
    """Remove the folder of a run unless a process works in it; whether it is gone."""
    try:
        lock = Lock(path)
    except (OSError, ResumeError):
        return False
    with closing(lock):
        _take_away(path)
    return not disk.is_there(path)


def _check_room(folder: Path, num_bytes: int) -> None:
    free = disk.room(folder)
    if free is not None and free < num_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _no_beginning(path: Path, error: OSError, num_bytes: int) -> OutputError:
    """Why a run cannot begin, with what would help."""
    where = f"cannot begin a run in {str(path)!r}: {error.strerror or error}"
    if error.errno not in FULL:
        return OutputError(f"{where}; name another folder with --out")
    return OutputError(
        f"{where}; it needs {num_bytes:,} bytes to begin with: free some space, or name another "
        f"folder with --out"
    )


def _find(folder: Path) -> tuple[Path, Path]:
    """Where a run's results will be, and where it is now; links on the way are followed here.

    Raises:
        ResumeError: no run can be there.
    """
    whole = disk.real(folder)
    name = whole.name.removesuffix(SUFFIX)
    if not name:
        raise ResumeError(f"{str(folder)!r} is not the folder of a run")
    target = whole.with_name(name)
    if not disk.exists(target):
        return target, partial_of(target)
    if not disk.is_there(target / "manifest.json"):
        raise ResumeError(f"{str(folder)!r} is not the folder of a run")
    return target, target


def _check_interrupted(target: Path) -> None:
    """Raise ResumeError where a folder is not that of an interrupted run."""
    try:
        status = json.loads(disk.read_text(target / "manifest.json"))["status"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        status = None
    if status not in ("finished", "interrupted"):
        raise ResumeError(f"{str(target)!r} is not the folder of a run")
    if status == "finished":
        _remove_leftover(partial_of(target))
        raise ResumeError(f"{str(target)!r} is already finished; there is nothing to resume")
    if not disk.is_file(target / CHECKPOINTS / JOB):
        raise ResumeError(f"{str(target)!r} holds no checkpoints; start the run again")


def _remove_leftover(path: Path) -> None:
    """Remove what a run has left that was killed when all but this was done; nothing else."""
    with suppress(ResumeError):
        check_plain(path, CHECKPOINTS)
        if disk.is_file(path / CHECKPOINTS / JOB):
            _remove_unused(path)
        elif disk.is_there(path):
            _clear_away(path)


def _read_job(target: Path, source: Path) -> Job:
    path = source / CHECKPOINTS / JOB
    try:
        return Job.from_json(disk.read_text(path))
    except FileNotFoundError:
        raise ResumeError(f"there is no run to resume in {str(target)!r}") from None
    except (OSError, UnicodeError) as error:
        raise ResumeError(f"cannot read {str(path)!r} ({reason_of(error)})") from None
    except ResumeError:
        raise
    except ValueError as error:
        raise ResumeError(
            f"{str(path)!r} is not as the run wrote it: {error}; put it back, or start the run "
            f"again"
        ) from None


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
