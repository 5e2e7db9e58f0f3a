"""Operations that fail: one file operation after the other, in runs that train on numbers alone."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from fedast_jax.engine.planning.pool import LanePool
from fedast_jax.run import simulate
from fedast_jax.run.executor import Interrupted
from fedast_jax.study.fuzz.symbols import Row, SymbolicDevice

ERRORS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EACCES": errno.EACCES}
ALWAYS_DONE = ("close", "unlock")  # by the system, however a process ends


class Crash(BaseException):
    """The process is gone: nothing catches it, and nothing is done after it."""


@dataclass
class Fault:
    """A way of ``disk.by_way_of``: the n-th operation goes wrong.

    ``kind`` is one of ``ERRORS``; ``short``, a write that ends half-way; ``before`` or ``after``,
    a crash before or after the operation. ``lasts``: every later operation goes wrong as well.
    """

    number: int = 0  # from 1; 0: none
    kind: str = "EIO"
    lasts: bool = False
    verbs: list[str] = field(default_factory=list)  # of all operations so far
    _held: list[Any] = field(default_factory=list)
    _is_gone: bool = False

    def __call__(self, verb: str, do: Callable[..., Any], *arguments: Any) -> Any:
        if self._is_gone or self._is_wrong(verb):
            return self._go_wrong(verb, do, *arguments)
        done = do(*arguments)
        if verb == "lock":
            self._held.append(do.__self__)  # type: ignore[attr-defined]
        return done

    def _is_wrong(self, verb: str) -> bool:
        self.verbs.append(verb)
        here = len(self.verbs)
        return here == self.number or (self.lasts and 0 < self.number < here)

    def _go_wrong(self, verb: str, do: Callable[..., Any], *arguments: Any) -> Any:
        if verb in ALWAYS_DONE:
            do(*arguments)
        if self._is_gone:
            raise Crash
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

    def train(self, *arguments: Any) -> None:
        if self._is_stopped():
            raise Interrupted
        super().train(*arguments)

    def put(self, rows: dict, pool: LanePool, number: int, row: Row) -> None:
        """Rows that a segment has freed are not told of here, and may be written."""
        rows[id(pool), number] = row

    def model(self, pool: LanePool, row: int) -> dict[str, Any]:
        return {"content": np.asarray(super().model(pool, row)["content"])}


@contextmanager
def quick_runs() -> Iterator[None]:
    """Runs that neither compile nor draw, of segments so short that there are several."""
    prepare = simulate.prepare_run

    def prepare_short(*arguments: Any) -> Any:
        prepared = prepare(*arguments)
        return prepared._replace(sizing=prepared.sizing._replace(window=30))

    def draw(self: Figure, file: Any, **options: Any) -> None:
        file.write(b"a picture")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulate, "Device", Numbers)
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
    return path.name == "manifest.json" or path.parent.name == "figures"


def clear(folder: Path) -> None:
    """Empty a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
