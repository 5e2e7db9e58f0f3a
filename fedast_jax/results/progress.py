"""What a person sees of a run while it goes on: a bar on a terminal, else a line now and then."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar

from .records import Progress

LINE_SECONDS = 10.0  # where there is no terminal a line comes after so long,
LINE_PERCENT = 10  # or whenever so much more is done


class Reporter:
    """Shows a run's progress on standard error, so that results alone can be piped on."""

    def __init__(self, console: Console | None = None) -> None:
        """Start the clock; nothing is shown yet."""
        self._console = console or Console(stderr=True)
        self._pace = Pace(time.perf_counter())
        self._last_line, self._last_share = time.perf_counter(), 0.0
        self._bar = Bar(
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("compiling", total=1.0)

    def __enter__(self) -> Reporter:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Show the state after a segment."""
        now, share = time.perf_counter(), progress.fraction
        line = _line(progress, self._pace.words(progress, now))
        if self._console.is_terminal:
            self._bar.update(self._task, completed=share, description=line)
        elif self._is_due(now, share):
            self._last_line, self._last_share = now, share
            text = f"{share:4.0%}  {line}"
            self._console.print(text, highlight=False, soft_wrap=True, markup=False)

    def _is_due(self, now: float, share: float) -> bool:
        steps = _steps(share) - _steps(self._last_share)
        return steps > 0 or now - self._last_line >= LINE_SECONDS


class Pace:
    """How fast a run goes, and from it how long it will; time spent compiling does not count."""

    def __init__(self, now: float) -> None:
        """Start the clock."""
        self._compiled, self._first = 0.0, (now, 0, 0.0)
        self._has_trained = False

    def words(self, progress: Progress, now: float) -> list[str]:
        """Updates a second and the time left, as soon as there is something to go by.

        Whatever was compiled since the last time starts the measurement anew: an estimate that
        counts it would promise hours.
        """
        compiled, updates, share = progress.compile_seconds, progress.updates, progress.fraction
        if compiled > self._compiled or not self._has_trained:
            self._compiled, self._has_trained = compiled, True
            self._first = now, updates, share
            return []
        seconds, trained = now - self._first[0], updates - self._first[1]
        done = share - self._first[2]
        words = [f"{trained / seconds:.1f} updates/s"] if seconds > 0 and trained else []
        left = [f"{duration(seconds * (1 - share) / done)} left"] if done > 0 else []
        return words + left


def duration(seconds: float) -> str:
    """``H:MM:SS`` or ``M:SS``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _steps(share: float) -> int:
    return int(round(100 * share, 6) // LINE_PERCENT)  # 0.3 is a little less than 3 tenths


def _line(progress: Progress, pace: list[str]) -> str:
    parts = [f"time {progress.time:.1f}"]
    parts += [f"{name} {value}" for name, value in progress.latest.items()]
    return "  ".join(parts + pace)
