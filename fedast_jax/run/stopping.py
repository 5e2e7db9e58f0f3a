"""Ctrl-C in a run: it ends between two calls of the device, when its state is sound."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopping:
    """Whether somebody wants the run to stop, and whether it was by Ctrl-C."""

    def __init__(self, is_stopped: Callable[[], bool]) -> None:
        self._is_stopped, self.is_ctrl_c = is_stopped, False

    def is_wanted(self) -> bool:
        """Asked between two calls of the device."""
        return self.is_ctrl_c or self._is_stopped()

    def raise_if_ctrl_c(self) -> None:
        """Raise KeyboardInterrupt where it was Ctrl-C, now that the state is safe."""
        if self.is_ctrl_c:
            raise KeyboardInterrupt


@contextmanager
def interruptible(is_stopped: Callable[[], bool]) -> Iterator[Stopping]:
    """Let the first Ctrl-C ask the run to stop, the second interrupt it at once.

    A handler that the caller has set himself stays in force, and so does every thread's but the
    main one's.
    """
    stopping = Stopping(is_stopped)
    is_ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not is_ours:
        yield stopping
        return

    def ask(number: int, frame: object) -> None:
        del number, frame
        stopping.is_ctrl_c = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, ask)
    try:
        yield stopping
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
