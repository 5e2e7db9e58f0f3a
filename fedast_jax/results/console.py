"""What a person sees of a run: a progress bar, and the tables at its end."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from .records import PlanReport, Progress
from .result import Result

LINE_SECONDS = 10.0  # between two lines where there is no terminal
NOTHING = "\N{EN DASH}"


class Reporter:
    """Shows a driver's progress: a bar on a terminal, else a plain line now and then."""

    def __init__(self, console: Console) -> None:
        self._console, self._start = console, time.perf_counter()
        self._last_line = self._start
        self._first: tuple[float, int] | None = None  # time and updates after the first segment
        self._bar = Bar(
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("compiling", total=1.0)

    def __enter__(self) -> Reporter:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def update(self, progress: Progress) -> None:
        """Show the state after a segment."""
        line = self._line(progress)
        if self._console.is_terminal:
            self._bar.update(self._task, completed=progress.fraction, description=line)
        elif time.perf_counter() - self._last_line >= LINE_SECONDS:
            self._last_line = time.perf_counter()
            text = Text(f"{progress.fraction:4.0%}  {line}")  # names are no markup
            self._console.print(text, soft_wrap=True)

    def _line(self, progress: Progress) -> str:
        now = time.perf_counter()
        if self._first is None:
            self._first = now, progress.updates
        seconds = now - self._first[0]
        rate = (progress.updates - self._first[1]) / seconds if seconds > 0 else 0.0
        parts = [f"time {progress.time:.1f}"]
        parts += [f"{rate:.1f} updates/s"] if rate else []
        parts += [f"{name} {value:.1%}" for name, value in progress.accuracies.items()]
        if progress.fraction > 0:
            left = (now - self._start) * (1 - progress.fraction) / progress.fraction
            parts.append(f"{_duration(left)} left")
        return "  ".join(parts)


def show_result(result: Result, console: Console) -> None:
    """Print the final table, and where the seconds went."""
    summary = result.summary()
    seeds = f"mean ± std of {summary['num_seeds']} seeds" if summary["num_seeds"] > 1 else "1 seed"
    title = Text(f"{summary['name']}: {summary['algorithm']}, {seeds}", "table.title")
    table = Table(title=title, title_justify="left")
    for column in ("task", "rounds", "accuracy", "time to target", "staleness"):
        table.add_column(column, justify="left" if column == "task" else "right", no_wrap=True)
    for name, task in summary["tasks"].items():
        table.add_row(
            Text(name),
            mean_std(task["rounds"], "{:.0f}"),
            mean_std(task["accuracy"], "{:.1%}"),
            _time_to_target(task),
            NOTHING if task["mean_staleness"] is None else f"{task['mean_staleness']:.1f}",
        )
    console.print(table)
    if summary["num_diverged"]:
        console.print(f"diverged and left out of the means: {summary['num_diverged']} seeds")
    show_costs(result, console)


def show_costs(result: Result, console: Console) -> None:
    """Print where the seconds went, of all that ran together."""
    counts, seconds = result.counts, result.seconds
    console.print(
        f"{counts.updates} updates in {counts.batches} batches of "
        f"{result.manifest()['batch_width']} ({counts.fill:.1%} full); seconds: "
        f"plan {seconds.plan:.2f}, compile {seconds.compile:.1f}, train {seconds.train:.1f}, "
        f"test {seconds.test:.1f}, in all {result.wall_seconds:.1f}",
        highlight=False,
    )


def show_plan(report: PlanReport, console: Console) -> None:
    """Print what a run would be."""
    table = Table(show_header=False, title="plan", title_justify="left")
    table.add_row("events", f"{report.events:,} in simulated time {report.simulated_time:.1f}")
    table.add_row("planned in", f"{report.seconds:.2f} s, {report.events_per_second:,.0f} events/s")
    table.add_row(
        "batches", f"{report.batches:,} of {report.batch_width} slots, {report.fill:.1%} full"
    )
    table.add_row("mean wave width", f"{report.mean_wave_width:.1f} requests of one lane at once")
    table.add_row("resident replicates", str(report.resident_replicates))
    for row in report.rows:
        table.add_row(
            f"rows of {row['kind']}",
            f"{row['version_rows']} versions and {row['update_rows']} updates of "
            f"{row['parameters']:,} parameters: {row['bytes'] / 2**30:.2f} GiB with its data",
        )
    memory = f"{report.memory_bytes / 2**30:.2f} GiB on the device"
    table.add_row("memory", f"{memory}; a CPU's is the process's, beside Python and JAX")
    console.print(table)


def _time_to_target(task: dict[str, Any]) -> str:
    if task["target_accuracy"] is None:
        return "no target"
    reached, target = task["time_to_target"]["num_reached"], f"{task['target_accuracy']:.0%}"
    if reached < task["num_seeds"]:
        target += f", {reached} of {task['num_seeds']}"
    times = mean_std(task["time_to_target"], "{:.1f}")
    return f"{times} ({target})"


def mean_std(spread: dict[str, float | None], form: str) -> str:
    """``mean ± std`` in the format given, as far as there is a number."""
    if spread["mean"] is None:
        return NOTHING
    text = form.format(spread["mean"])
    return text if spread["std"] is None else f"{text} ± {form.format(spread['std'])}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
