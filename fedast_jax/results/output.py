"""What a run can do without: its tables, its pictures, even a terminal that listens."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

MOST_WORDS = 200  # characters of a reason


def warn(message: str) -> None:
    """One line on stderr, if anybody listens."""
    _say(f"warning: {message}")


def note(message: str) -> None:
    """As ``warn``, of what nobody has to mend."""
    _say(f"note: {message}")


def _say(line: str) -> None:
    with suppress(OSError, ValueError):
        print(line, file=sys.stderr)


@contextmanager
def attempt(what: str) -> Iterator[None]:
    """Try what nothing depends on; a failure is a warning that names it."""
    try:
        yield
    except Exception as error:  # whatever libraries for pictures and tables may raise
        warn(f"cannot {what} ({reason_of(error)}): going on without")


def reason_of(error: BaseException) -> str:
    """Why, in one line."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words}"[:MOST_WORDS] if words else type(error).__name__


@contextmanager
def lasting_output() -> Iterator[None]:
    """Let stdout and stderr be streams whose failure ends nothing: a closed pipe, a full disk."""
    streams = sys.stdout, sys.stderr  # None where the program was started without
    sys.stdout, sys.stderr = (cast(TextIO, stream and Lasting(stream)) for stream in streams)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, Lasting):
                stream.flush()
        sys.stdout, sys.stderr = streams


def has_lost_output() -> bool:
    """Whether something that was to be read on stdout was not."""
    return isinstance(sys.stdout, Lasting) and sys.stdout.has_failed


class Lasting:
    """A text stream that drops everything from its first failure on, which is told on stderr."""

    def __init__(self, stream: TextIO) -> None:
        """Stand before a stream."""
        self._stream = stream
        self.has_failed = False

    def write(self, text: str) -> int:
        """As of a stream; characters that its encoding lacks become question marks."""
        encoding = self._stream.encoding or "utf-8"
        known = text.encode(encoding, "replace").decode(encoding)
        self._try(lambda: self._stream.write(known))
        return len(text)

    def flush(self) -> None:
        """As of a stream."""
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _try(self, do: Callable[[], object]) -> None:
        if self.has_failed:
            return
        try:
            do()
        except OSError as error:
            self.has_failed = True
            self._drain()
            if self is sys.stdout:
                warn(f"cannot print the rest ({reason_of(error)}): going on without")

    def _drain(self) -> None:
        """Send to nowhere what is still waiting, so that it is not tried again at the exit."""
        with suppress(OSError, ValueError):  # not every stream is a file
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
            self._stream.flush()
