"""How many clients of a kind a device best trains side by side: measured, in turns.

A fixed number wins on one machine and loses on another, by up to 1.4 times, with what its caches
hold. Others than the shipped one are taken only where they are faster for certain.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import jax
import numpy as np

from ..engine.devices import find_devices
from ..tasks import Kind, get_kind
from .bench import SLOTS, compile_training, engine_spec, update_flops
from .tuned import Kept, digest_of, here

PAPER_KINDS = ("mnist", "fashion_mnist", "cifar10", "shakespeare")
GAIN = 1.05  # that another number must have, beyond what turns differ by
FEWEST_TURNS = 3  # of each number: with fewer nothing is known for certain
MOST_TURNS = 15
TURN = 0.5  # seconds, at least
ACCELERATOR_SLOTS = 256  # requests of one batch on one device that is no CPU
LARGE_BATCH = 2e11  # FLOP on a CPU's device: some seconds

Turn = Callable[[], float]
"""Trains for a while and returns the updates/s."""


def tune(kind_name: str, seconds: float) -> Kept:
    """Measure a kind on random data.

    Args:
        kind_name: which.
        seconds: for compiling and measuring, about; at least the shipped number has one turn.
    Raises:
        ValueError: there is no such kind.
    """
    kind, (num_devices, _) = get_kind(kind_name), find_devices()
    slots = SLOTS if jax.default_backend() == "cpu" else ACCELERATOR_SLOTS
    shipped = engine_spec(kind, slots, 1, jax.default_backend()).micro_batch
    rates = take_turns(outward(shipped, slots), _training(kind, num_devices, slots), seconds)
    return Kept(
        where=here(num_devices),
        kind=kind_name,
        digest=digest_of(kind_name),
        shipped=shipped,
        best=best(rates, shipped),
        rates={number: median(turns) for number, turns in sorted(rates.items())},
    )


def outward(shipped: int, most: int) -> list[int]:
    """The shipped number, then the powers of two up to ``most``, its neighbours first."""
    powers = [1 << place for place in range(most.bit_length())]
    return sorted({shipped, *powers}, key=lambda number: abs(math.log2(number / shipped)))


def best(rates: Mapping[int, Sequence[float]], shipped: int) -> int:
    """The number that is fastest for certain, or else the shipped one.

    A number's gain in a round of turns is its rate over the shipped number's. It is certain where
    three quarters of the rounds have one above ``GAIN``.

    Args:
        rates: updates/s by number, round by round; those of the shipped number too.
        shipped: what holds where nothing is certain.
    """
    gains = {number: np.divide(turns, rates[shipped]) for number, turns in rates.items()}
    certain = {
        number: float(np.median(gain))
        for number, gain in gains.items()
        if len(gain) >= FEWEST_TURNS and np.quantile(gain, 0.25) > GAIN
    }
    return max(certain, key=certain.__getitem__, default=shipped)


def take_turns(
    numbers: Sequence[int],
    start: Callable[[int], Turn],
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[int, list[float]]:
    """Rates of numbers that take turns, so that what disturbs the machine meets all of them.

    Args:
        numbers: the first is measured in any case, the others as far as there is time for
            ``FEWEST_TURNS`` of each.
        start: compiles for a number.
        seconds: no round is begun that would end later.
        clock: in seconds.
    """
    rounds = _Rounds(clock, clock() + seconds)
    for number in numbers:
        if not rounds.can_take_another:
            break
        rounds.add(number, start)
    while rounds.can_go_on:
        rounds.go_round()
    return rounds.rates


@dataclass
class _Rounds:
    """Numbers with their turns so far, and what they cost."""

    clock: Callable[[], float]
    end: float
    turns: dict[int, Turn] = field(default_factory=dict)
    rates: dict[int, list[float]] = field(default_factory=dict)
    round_seconds: float = 0.0  # of one turn of each
    last_added: float = 0.0  # seconds of compiling the last one and of its first turn
    last_turn: float = 0.0

    @property
    def can_take_another(self) -> bool:
        """Whether one that takes twice as long as the last leaves time for the other rounds."""
        round_seconds = self.round_seconds + 2 * self.last_turn
        first = self.last_added + self.last_turn
        needed = first + (FEWEST_TURNS - 1) * round_seconds
        return not self.turns or self.clock() + needed <= self.end

    @property
    def can_go_on(self) -> bool:
        """Whether there is time for another round, and a need."""
        num_turns = min(map(len, self.rates.values()))
        is_needed = len(self.turns) > 1 and num_turns < MOST_TURNS
        return is_needed and self.clock() + self.round_seconds <= self.end

    def add(self, number: int, start: Callable[[int], Turn]) -> None:
        """Compile for a number, and let it have its first turn."""
        began = self.clock()
        self.turns[number], self.rates[number] = start(number), []
        compiled = self.clock()
        self._take(number)
        self.last_turn, self.last_added = self.clock() - compiled, self.clock() - began
        self.round_seconds += self.last_turn

    def go_round(self) -> None:
        """A turn of each; every other round the other way round, so that a drift is even."""
        began = self.clock()
        is_even = len(next(iter(self.rates.values()))) % 2 == 0
        for number in self.turns if is_even else reversed(self.turns):
            self._take(number)
        self.round_seconds = self.clock() - began

    def _take(self, number: int) -> None:
        self.rates[number].append(self.turns[number]())


def _training(kind: Kind, num_devices: int, slots: int) -> Callable[[int], Turn]:
    """What compiles the engine's own program; its batches are as narrow as can be where a full one
    would take long."""
    is_slow = jax.default_backend() == "cpu" and slots * update_flops(kind) > LARGE_BATCH

    def start(number: int) -> Turn:
        width = (number if is_slow else slots) * num_devices
        run, _ = compile_training(kind, 1, number, width, num_devices=num_devices)
        return lambda: _rate(width, run)

    return start


def _rate(width: int, run: Callable[[], float]) -> float:
    """Updates/s of as many batches as a turn takes."""
    seconds = list(_until(TURN, run))
    return width * len(seconds) / sum(seconds)


def _until(limit: float, run: Callable[[], float]) -> Iterator[float]:
    total = 0.0
    while total < limit:
        total += (seconds := run())
        yield seconds
