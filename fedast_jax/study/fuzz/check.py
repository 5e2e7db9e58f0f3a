"""One case both ways: the engine twice, once in parts, and the oracle; one digest, and an end."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from ...oracle import OneReplicate, simulate_one_by_one
from ...results.plain import flatten
from ...run.driver import Driver
from ...run.executor import Executor
from .cases import Case
from .compare import TOLERANCE, expect_same
from .difference import Difference, expect
from .drive import Ran
from .knobs import small_numbers
from .parts import Parted, Stopping, measured, rewinding
from .programs import shared_device
from .symbols import SymbolicDevice

CPU_SECONDS = 120  # of this process, after which a case counts as one that never ends


class Outcome(NamedTuple):
    """What a case came to, for the log."""

    digest: str  # of all that was measured
    requests: Counter[str]  # by status
    ends: Counter[str]  # replicates by reason
    num_tests: int
    num_segments: int


def check_case(case: Case) -> Outcome:
    """Run a case and compare everything.

    Raises:
        Difference: where the engine differs from the oracle, or from itself.
        ConfigError: it cannot be run.
        Exception: whatever else the engine raises where it should not.
    """
    with small_numbers(case.knobs.granules, case.knobs.chunk), bounded(CPU_SECONDS):
        ran = case.scenario.run(device_of(case), step_updates=case.step_updates)
        learner = case.learner if case.knobs.is_symbolic else None
        oracles = simulate_one_by_one(case.config, learner)
        expect_same(ran, oracles, 0.0 if case.knobs.is_symbolic else TOLERANCE)
        expect_an_end(ran, oracles)
        return outcome_of(ran, expect_one_digest(ran, run_again(case)))


def device_of(case: Case) -> Executor:
    """What carries the case's plans out."""
    return SymbolicDevice(case.learner) if case.knobs.is_symbolic else shared_device()


def run_again(case: Case) -> Driver:
    """Killed and resumed, interrupted, laid out farther and taken back, as the knobs say."""
    countdown, learner = [case.knobs.interrupt_at], case.learner

    def device() -> Executor:
        return Stopping(learner, countdown) if case.knobs.is_symbolic else shared_device()

    driver = rewinding(case.knobs.rewinds)
    return Parted(case.scenario, device, case.knobs.stops, case.step_updates, driver).run()


def expect_one_digest(ran: Ran, again: Driver) -> str:
    """Raise Difference where a second run has measured anything else; the digest of both."""
    first, second = results_of(ran.driver), results_of(again)
    for ours, theirs in zip(first, second, strict=True):
        for name in ours:
            same = digest(ours[name]) == digest(theirs[name])
            expect(same, f"the second run has other {name} in replicate {ours['index']}")
    return digest(first)


def results_of(driver: Driver) -> list[dict[str, Any]]:
    """All that was measured, in order of the replicates; not in which rows and segments."""
    done = sorted(measured(driver)["done"], key=lambda record: record["index"])
    return [{name: one for name, one in record.items() if name != "number"} for record in done]


def digest(value: Any) -> str:
    """Of nested plain values, exact to the bit."""
    tree, entries = flatten(value)
    found = sha256(json.dumps(tree).encode())
    for name in sorted(entries):
        found.update(name.encode() + entries[name].tobytes())
    return found.hexdigest()


def expect_an_end(ran: Ran, oracles: Sequence[OneReplicate]) -> None:
    """Raise Difference where more was laid out than events can ask for."""
    num, most = ran.driver.counts.segments, sum(map(most_segments, oracles))
    expect(num <= most, f"{num} segments, where {most} bring every replicate to its end")
    for one in oracles:
        number, most = len(one.requests), most_requests(one)
        expect(number <= most, f"{number} requests of replicate {one.seed}, at most {most}")


def most_segments(one: OneReplicate) -> int:
    """Each goes on by an arrival or a loss, or decides what follows one."""
    lost = sum(request.status == "lost" for request in one.requests)
    return 2 * (one.num_arrivals + lost + 1) + len(one.allocations)


def most_requests(one: OneReplicate) -> int:
    """An arrival dispatches three, a loss or a cancelled one's end two; and what is handed on."""
    status = Counter(request.status for request in one.requests)
    at_once = [sum(allocation.num_active) for allocation in one.allocations]
    ended = one.num_arrivals + status["lost"] + status["cancelled"]
    return max(at_once) * (len(one.tasks) + len(one.allocations)) + 3 * ended


def outcome_of(ran: Ran, found: str) -> Outcome:
    """For the log."""
    ends = Counter(str(one.timeline.end_reason) for one in ran.replicates)
    requests = Counter(ran.requests["status"].tolist())
    return Outcome(found, requests, ends, len(ran.evaluations), ran.driver.counts.segments)


@contextmanager
def bounded(cpu_seconds: float) -> Iterator[None]:
    """Within it, whatever computes for longer has no end; looked after in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _give_up(*_: Any) -> None:
    raise Difference(f"it has not ended after {CPU_SECONDS} s of computing")
