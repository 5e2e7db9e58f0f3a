"""Whatever file operation fails, and however: finished, resumable or not there, told in a sentence.

Runs train numbers in place of models, so that one takes a fifth of a second; every operation of
``run``, ``compare``, ``sweep`` and ``resume`` fails in turn (here some of them; all where slow).
"""

from __future__ import annotations

import ast
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, cycle
from pathlib import Path
from typing import Any

import jax
import psutil
import pytest
from failing import COMMANDS, CONFIG, ERRORS, SIGNALS, Fault, Numbers, Place, clear, quick_runs

from fedast_jax.config import disk
from fedast_jax.run import prepare

WAYS = [
    *((kind, lasts) for kind in ERRORS for lasts in (False, True)),
    *(("short", lasts) for lasts in (False, True)),
    *((kind, False) for kind in ("before", "after", *SIGNALS)),
]


@pytest.fixture(params=COMMANDS)
def place(request, tmp_path, monkeypatch) -> Iterator[Place]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(disk, "scratch", lambda: tmp_path / "scratch")
    with quick_runs():
        yield Place(tmp_path, request.param)


def test_some_operations_fail(place):
    """Another way for each, spread over the run."""
    verbs = place.verbs_of()
    numbers = range(1, len(verbs) + 1, len(verbs) // 11)
    for number, (kind, lasts) in zip(numbers, cycle(WAYS)):
        try_one(place, number, kind, lasts)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "lasts"), WAYS)
def test_every_operation_fails(place, kind, lasts):
    """For n = 1, 2, ... until none fails any more."""
    outcomes = Counter()
    for number in count(1):
        fault = Fault(number, kind, lasts)
        outcomes[try_one(place, number, kind, lasts, fault)] += 1
        if len(fault.verbs) < number:
            print(f"{place.command} {kind} lasts={lasts}: {dict(outcomes)}")
            assert number > 100
            return


def try_one(place: Place, number: int, kind: str, lasts: bool, fault: Fault | None = None) -> str:
    fault = fault or Fault(number, kind, lasts)
    try:
        return place.try_with(fault)
    except BaseException as error:
        what = fault.verbs[number - 1] if number <= len(fault.verbs) else "none"
        error.add_note(f"operation {number} ({what}) of {place.command}: {kind}, lasts={lasts}")
        raise


class Full(Numbers):
    """A device whose n-th call finds no room."""

    left = 0

    def _call(self) -> None:
        Full.left -= 1
        if Full.left == 0:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    def admit(self, pool: Any, lane: Any, row: int) -> None:
        self._call()
        super().admit(pool, lane, row)

    def train(self, pool: Any, plan: Any, step_updates: int) -> None:
        self._call()
        super().train(pool, plan, step_updates)

    def test(self, pool: Any, tests: Any) -> Any:
        self._call()
        return super().test(pool, tests)

    def read(self, pool: Any, rows: Any) -> Any:
        self._call()
        return super().read(pool, rows)


def test_every_call_of_a_device_finds_no_room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with quick_runs(Full):
        place = Place(tmp_path, "run")
        outcomes = []
        for number in count(1):
            Full.left = number
            outcomes.append(place.try_with(Fault(), "error: out of memory"))
            if Full.left > 0:
                break
    assert outcomes[0] == "absent"
    assert outcomes[-1] == "finished"
    assert "resumable" in outcomes


def test_memory_that_ends_is_told_in_one_sentence(tmp_path, monkeypatch):
    """A real limit of the system, where what a run would take was judged too small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, "check_footprint", lambda *arguments: None)
    with quick_runs():
        place = Place(tmp_path, "run")
        clear(place.out.parent)
        (tmp_path / "a.toml").write_text(CONFIG.replace("num_active = 4", "num_active = 400_000"))
        with memory_limit(1 << 25):
            ended = place.run(place.fresh)
    assert ended.code == 2
    assert ended.said.startswith("error: out of memory (")
    assert ended.said.count("\n") == 1
    assert list(place.out.parent.iterdir()) == []


@contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """No more bytes than there are now, and these."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_nothing_asks_the_wall_clock_how_long_something_took():
    """It jumps; names of folders alone are made from it."""
    for path in Path(disk.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("time", "time"), ("datetime", "now")}, (
                    path
                )
