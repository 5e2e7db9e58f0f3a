"""Ctrl-C and SIGTERM: the first asks a run to end in order, the second ends the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
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
def stop_on_signals(numbers: Sequence[int] = SIGNALS) -> Iterator[Stop]:
    """Listen; afterwards, and for a second signal, all is as it was before."""
    stop = Stop()

    def ask(number: int, frame: object) -> None:
        stop.signal = number
        put_back()

    def put_back() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    previous = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}
    for number in numbers:
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


class Stopping:
    """Whether somebody wants a run to stop, and whether it was by Ctrl-C."""

    def __init__(self, is_stopped: Callable[[], bool], ctrl_c: Callable[[], bool]) -> None:
        """Ask both."""
        self._is_stopped, self._ctrl_c = is_stopped, ctrl_c

    def is_wanted(self) -> bool:
        """Asked between two calls of the device."""
        return self._ctrl_c() or self._is_stopped()

    def raise_if_ctrl_c(self) -> None:
        """Raise KeyboardInterrupt where it was Ctrl-C, now that the state is safe."""
        if self._ctrl_c():
            raise KeyboardInterrupt


@contextmanager
def interruptible(is_stopped: Callable[[], bool]) -> Iterator[Stopping]:
    """Let the first Ctrl-C ask a run to stop when its state is sound, the second at once.

    A handler that the caller has set himself stays in force, and so does every thread's but the
    main one's.
    """
    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    with stop_on_signals([signal.SIGINT] if is_ours else []) as ctrl_c:
        yield Stopping(is_stopped, ctrl_c)
