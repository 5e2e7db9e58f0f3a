"""Progress: where it goes, how often, and what it promises."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from fedast_jax.results import progress
from fedast_jax.results.progress import Pace, Reporter
from fedast_jax.results.records import Progress


def state(share: float, updates: int = 0, compiled: float = 0.0) -> Progress:
    """A run of which so much is over."""
    return Progress(share, 100 * share, updates, 1.0, 0, 0, compiled, {})


def test_no_estimate_while_compiling_and_none_that_counts_it():
    """A minute of compiling, then 10% in 5 s, and half of the rest would take 25 s more."""
    pace = Pace(0.0)
    assert pace.words(state(0.0, 0, compiled=60.0), 60.0) == []
    assert pace.words(state(0.1, 100, compiled=60.0), 65.0) == ["20.0 updates/s", "0:45 left"]
    assert pace.words(state(0.2, 200, compiled=90.0), 100.0) == []  # compiled again
    assert pace.words(state(0.6, 600, compiled=90.0), 110.0) == ["40.0 updates/s", "0:10 left"]


def test_a_resumed_run_estimates_from_what_it_has_done_itself():
    pace = Pace(0.0)
    assert pace.words(state(0.8, 800), 1.0) == []
    assert pace.words(state(0.9, 900), 11.0)[1] == "0:10 left"


def lines(shares: list[float], clock: list[float], monkeypatch) -> list[str]:
    """What is printed where there is no terminal."""
    times = iter([0.0, 0.0, *clock])
    monkeypatch.setattr(progress.time, "perf_counter", lambda: next(times))
    console = Console(file=StringIO(), width=200)
    with Reporter(console) as reporter:
        for share in shares:
            reporter.update(state(share))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_line_every_ten_percent(monkeypatch):
    shares = [number / 100 for number in range(1, 101)]
    found = lines(shares, [0.01 * number for number in range(100)], monkeypatch)
    assert [one.split()[0] for one in found] == [f"{10 * number}%" for number in range(1, 11)]


def test_a_line_every_ten_seconds(monkeypatch):
    clock = [float(second) for second in range(1, 31)]
    assert len(lines([0.001] * 30, clock, monkeypatch)) == 3


def test_progress_goes_to_standard_error(capsys):
    with Reporter() as reporter:
        reporter.update(state(0.5))
    said = capsys.readouterr()
    assert said.out == ""
    assert "50%" in said.err
