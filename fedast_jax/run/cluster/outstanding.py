"""Blocks that are out: given to Ray, waited for, given away anew where a worker hangs."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from typing import Any

from .errors import ClusterError
from .signs import SignCounter, Silent, Watch

POLL_SECONDS = 0.5
NOTICE_SECONDS = 600.0  # without a sign, until it is said
MAX_HANGS = 5  # of one block


class Outstanding:
    """The blocks that are out.

    Args:
        ray: the module, connected.
        start: gives a block to Ray, by its number, with the actor for its signs; its reference.
        patience: seconds without a sign until a block is given to another worker; None: never.
        say: is told what hangs.
        clock: in seconds.
    """

    def __init__(
        self,
        ray: Any,
        start: Callable[[int, Any], Any],
        patience: float | None,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ray, self._start, self._patience, self._say = ray, start, patience, say
        self._signs, self._watch = SignCounter(ray, clock), Watch(clock)
        self._number_of: dict[Any, int] = {}  # by Ray's reference
        self._hangs: Counter[int] = Counter()
        self._told: set[int | None] = set()  # None: that nothing is begun

    def __bool__(self) -> bool:
        """Whether one is out."""
        return bool(self._number_of)

    def give(self, numbers: Iterable[int]) -> None:
        """Hand them out; Ray keeps them until a worker is free."""
        self._number_of |= {self._start(number, self._signs.actor): number for number in numbers}

    def take(self) -> list[tuple[Any, int]]:
        """Those that have come back within a moment: reference and number.

        Raises:
            ClusterError: a block has hung too often.
        """
        self._look()
        ended = self._ray.wait(list(self._number_of), timeout=POLL_SECONDS)[0]
        return [(reference, self._number_of.pop(reference)) for reference in ended]

    def cancel(self, numbers: Collection[int] | None = None) -> None:
        """Take them back; None: all."""
        for reference, number in list(self._number_of.items()):
            if numbers is None or number in numbers:
                del self._number_of[reference]
                self._ray.cancel(reference, force=True)

    def _look(self) -> None:
        counts = self._signs.look()
        if counts is None:  # only an answer shows that it is not the counter that hangs
            return
        self._watch.hear(counts)
        self._tell_if_idle()
        limit = NOTICE_SECONDS if self._patience is None else self._patience
        for silent in self._watch.silent(self._number_of.values(), limit):
            if self._patience is None:
                self._notice(silent)
            else:
                self._give_anew(silent)

    def _tell_if_idle(self) -> None:
        seconds = self._watch.idle_seconds
        if seconds >= NOTICE_SECONDS and None not in self._told:
            self._told.add(None)
            self._say(
                f"no worker has begun a block for {seconds:.0f} s: see whether the Ray cluster is "
                f"busy with something else ('ray status')"
            )

    def _notice(self, silent: Silent) -> None:
        if silent.block not in self._told:
            self._told.add(silent.block)
            self._say(
                f"{_words(silent)}: its worker may hang; Ctrl-C keeps the blocks that are done and "
                f"'fedast resume' goes on with the others; with --ray-patience SECONDS such a "
                f"block is given to another worker"
            )

    def _give_anew(self, silent: Silent) -> None:
        self._hangs[silent.block] += 1
        if self._hangs[silent.block] > MAX_HANGS:
            raise ClusterError(
                f"{_words(silent)}, and so it was with {MAX_HANGS} workers before; raise "
                f"--ray-patience ({self._patience:g} s), or look into that machine"
            )
        self._say(f"{_words(silent)}: it is given to another worker")
        self.cancel([silent.block])
        self._watch.forget(silent.block)
        self.give([silent.block])


def _words(silent: Silent) -> str:
    return f"block {silent.block + 1} on {silent.node} has given no sign for {silent.seconds:.0f} s"
