"""What kernels of an optimised program read from a GPU's memory and write to it, from its text.

A kernel reads each operand once and writes each result once; of what it slices, gathers from or
updates in place only that part counts. Caches are not modelled: an array that the kernel before
wrote may still be in them.
"""

from __future__ import annotations

import math
import re

from hlo import CALLS, NO_KERNEL, Instruction, Module, Turns

BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "f64": 8, "s64": 8, "u64": 8}
PARTS = {"dynamic-slice", "gather", "slice"}  # read as much of their operand as they give
SAME = {"bitcast", "reshape", "tuple"}


class Traffic:
    """Bytes of a program."""

    def __init__(self, module: Module, turns: Turns) -> None:
        """Prepare.

        Args:
            module: the program.
            turns: how often a loop of unknown length goes round.
        """
        self.module, self.turns = module, turns

    def total(self, name: str | None = None) -> float:
        """Bytes of a computation; None: the whole program."""
        lines = self.module.computations[self.module.entry if name is None else name]
        types = {line.name: line.type for line in lines}
        return sum(self._of_one(line, types) for line in lines)

    def _of_one(self, line: Instruction, types: dict[str, str]) -> float:
        if line.opcode in NO_KERNEL:
            return 0
        if line.opcode == "while":
            turns = self.turns(line) if line.turns is None else line.turns
            return turns * self.total(line.attribute("body"))
        if line.opcode in CALLS:
            return sum(self.total(name) for name in self.module.called(line))
        if line.opcode == "fusion":
            return self._of_fusion(line.attribute("calls") or "")
        return _of_lines([types[name] for name in operands(line)], line, types)

    def _of_fusion(self, name: str) -> float:
        lines = self.module.computations[name]
        read = sum(self._read(line, lines) for line in lines if line.opcode == "parameter")
        return read + self._written(lines[-1], {line.name: line for line in lines})

    def _read(self, source: Instruction, lines: list[Instruction]) -> float:
        """What is read of a value inside a fusion."""
        total = 0.0
        for line in lines:
            if source.name not in operands(line):
                continue
            if line.opcode in PARTS and operands(line)[0] == source.name:
                total += size(line.type)
            elif line.opcode in SAME:
                total += self._read(line, lines)
            elif line.opcode != "dynamic-update-slice" or operands(line)[0] != source.name:
                total += size(source.type)
        return min(total, size(source.type))

    def _written(self, line: Instruction, lines: dict[str, Instruction]) -> float:
        """What is written for a fusion's result."""
        if line.opcode in SAME:
            return sum(self._written(lines[name], lines) for name in operands(line))
        if line.opcode == "dynamic-update-slice":
            return size(lines[operands(line)[1]].type)
        return size(line.type)


def _of_lines(given: list[str], line: Instruction, types: dict[str, str]) -> float:
    """A kernel that is no fusion."""
    if line.opcode == "dynamic-update-slice":
        return 2 * size(types[operands(line)[1]])
    if line.opcode in PARTS:
        return 2 * size(line.type)
    return sum(map(size, given)) + size(line.type)


def operands(line: Instruction) -> list[str]:
    """Names of an instruction's operands."""
    inside = line.text[line.text.index("(") + 1 : line.text.index(")")]
    return re.findall(r"%([\w.\-]+)", inside)


def size(kind: str) -> int:
    """Bytes of a type, without the room that a library asks for (``s8``)."""
    arrays = re.findall(r"\b([a-z]+\d*)\[([\d,]*)\]", re.sub(r"\bs8\[", "none[", kind))
    return sum(BYTES.get(name, 4) * _number(sides) for name, sides in arrays if name != "none")


def _number(sides: str) -> int:
    return math.prod(int(side) for side in sides.split(",") if side)
