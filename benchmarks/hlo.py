"""What an optimised program of XLA's GPU compiler does, counted in its text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

NO_KERNEL = {
    "parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "opt-barrier",
    "partition-id", "replica-id",
}  # fmt: skip
CALLS = {"call", "conditional", "async-start"}
SMALLEST_GRAPH = 5  # kernels in a row that XLA makes one graph of
FLOATS = ("f32", "f64", "bf16", "f16")


class Instruction(NamedTuple):
    """One line of a computation."""

    name: str
    type: str
    opcode: str
    text: str  # from the opcode on

    def attribute(self, key: str) -> str | None:
        """A computation that it names."""
        found = re.search(rf"\b{key}=%?([\w.\-]+)", self.text)
        return found[1] if found else None

    @property
    def turns(self) -> int | None:
        """Of a loop: how often it goes round, if the compiler knows."""
        found = re.search(r'known_trip_count":\{"n":"(\d+)"', self.text)
        return int(found[1]) if found else None

    @property
    def place(self) -> str:
        """The functions of the Python program that it comes from."""
        found = re.search(r'op_name="([^"]*)"', self.text)
        return found[1] if found else ""


Turns = Callable[[Instruction], float]


@dataclass(frozen=True)
class Counts:
    """What one run of a piece of program costs."""

    kernels: float = 0
    waits: float = 0  # of the host, for the device to say whether a loop goes on
    actions: float = 0  # of the host: launches of kernels and of whole graphs

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.kernels + other.kernels, self.waits + other.waits, self.actions + other.actions
        )

    def times(self, number: float) -> Counts:
        """As often."""
        return Counts(*(number * one for one in (self.kernels, self.waits, self.actions)))


class Module:
    """The computations of a program."""

    def __init__(self, text: str, loops_in_graphs: bool = False) -> None:
        """Parse.

        Args:
            text: of the optimised program.
            loops_in_graphs: whether XLA is told to put loops into graphs, too.
        """
        self.loops_in_graphs = loops_in_graphs
        self.computations: dict[str, list[Instruction]] = {}
        self.entry = ""
        lines: list[Instruction] = []
        for line in text.splitlines():
            head = re.match(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$", line)
            if head:
                lines = self.computations.setdefault(head[2], [])
                self.entry = head[2] if head[1] else self.entry
            elif body := re.match(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*)$", line):
                lines.append(_instruction(body[1], body[2]))

    def count(self, turns: Turns, name: str | None = None) -> Counts:
        """Kernels, waits and actions of a computation.

        Args:
            turns: how often a loop of unknown length goes round.
            name: of the computation; None: the whole program.
        """
        total, in_a_row = Counts(), Counts()
        for line in self.computations[self.entry if name is None else name]:
            found = self._count_one(line, turns)
            if line.opcode == "while" and not self.loops_in_graphs:
                total, in_a_row = total + _launched(in_a_row) + found, Counts()
            else:
                in_a_row = in_a_row + found
        return total + _launched(in_a_row)

    def atomics(self) -> list[str]:
        """Scatters of floating numbers that add and whose places may repeat."""
        return [
            line.place or line.name
            for lines in self.computations.values()
            for line in lines
            if line.opcode == "scatter"
            and line.type.startswith(FLOATS)
            and "unique_indices=true" not in line.text
            and self._adds(line.attribute("to_apply"))
        ]

    def _adds(self, name: str | None) -> bool:
        return any(line.opcode != "parameter" for line in self.computations.get(name or "", ()))

    def _count_one(self, line: Instruction, turns: Turns) -> Counts:
        if line.opcode in NO_KERNEL:
            return Counts()
        if line.opcode == "while":
            return self._count_loop(line, turns)
        if line.opcode in CALLS:
            return sum((self.count(turns, one) for one in self.called(line)), Counts())
        return Counts(1)

    def _count_loop(self, line: Instruction, turns: Turns) -> Counts:
        number, body = line.turns, self.count(turns, line.attribute("body") or "")
        if number is None:
            number, test = turns(line), self.count(turns, line.attribute("condition") or "")
            total = body.times(number) + test.times(number + 1) + Counts(waits=number + 1)
        else:
            total = body.times(number)
        return Counts(total.kernels) if self.loops_in_graphs else total

    def called(self, line: Instruction) -> Iterator[str]:
        for key in ("to_apply", "calls", "true_computation", "false_computation"):
            if (name := line.attribute(key)) in self.computations:
                yield str(name)


def _launched(counts: Counts) -> Counts:
    """Of kernels in a row: one graph, or too few for one."""
    if counts.kernels >= SMALLEST_GRAPH:
        return Counts(counts.kernels, counts.waits, 1)
    return Counts(counts.kernels, counts.waits, counts.kernels)


def _instruction(name: str, rest: str) -> Instruction:
    kind, text = _split_type(rest)
    opcode = re.match(r"([\w\-]+)\(", text)
    return Instruction(name, kind, opcode[1] if opcode else "?", text)


def _split_type(rest: str) -> tuple[str, str]:
    if not rest.startswith("("):
        kind, _, text = rest.partition(" ")
        return kind, text
    depth = 0
    for place, letter in enumerate(rest):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return rest[: place + 1], rest[place + 1 :].strip()
    return rest, ""
