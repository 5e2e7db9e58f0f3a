"""Ctrl-C and SIGTERM: the first asks a run to end in order, the second ends the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether a run has been asked to end."""

    def __init__(self) -> None:
        """Not yet."""
        self.signal: int | None = None

    def __call__(self) -> bool:
        """True once a signal has come."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that a signal has ended: 130 or 143."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Listen; afterwards, and for a second signal, all is as it was before."""
    stop = Stop()

    def ask(number: int, frame: object) -> None:
        stop.signal = number
        put_back()

    def put_back() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    previous = {number: signal.getsignal(number) or signal.SIG_DFL for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        put_back()


@contextmanager
def keep_handlers() -> Iterator[None]:
    """For libraries that put their own handlers in place of those that are there."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    if threading.current_thread() is threading.main_thread():  # in no other can they have changed
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
