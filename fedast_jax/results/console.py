"""What a person sees of a run: a progress bar, and the tables at its end."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from ..run.driver import Driver, Replicate
from .tables import PlanReport, Result

LINE_SECONDS = 10.0  # between two lines where there is no terminal
NOTHING = "\N{EN DASH}"


class Reporter:
    """Shows a driver's progress: a bar on a terminal, else a plain line now and then."""

    def __init__(self, console: Console) -> None:
        self._console, self._start = console, time.perf_counter()
        self._last_line = self._start
        self._first: tuple[float, int] | None = None  # time and updates after the first segment
        self._bar = Progress(
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.description}"),
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

    def update(self, driver: Driver) -> None:
        """Show the state after a segment."""
        fraction, line = _fraction(driver), self._line(driver)
        if self._console.is_terminal:
            self._bar.update(self._task, completed=fraction, description=line)
        elif time.perf_counter() - self._last_line >= LINE_SECONDS:
            self._last_line = time.perf_counter()
            self._console.print(f"{fraction:4.0%}  {line}", highlight=False, soft_wrap=True)

    def _line(self, driver: Driver) -> str:
        now, updates = time.perf_counter(), driver.counts.updates
        if self._first is None:
            self._first = now, updates
        seconds = now - self._first[0]
        rate = (updates - self._first[1]) / seconds if seconds > 0 else 0.0
        running = driver.resident or driver.done
        parts = [f"time {max(one.timeline.time for one in running):.1f}"]
        parts += [f"{rate:.1f} updates/s"] if rate else []
        parts += [f"{name} {value:.1%}" for name, value in _accuracies(running).items()]
        fraction = _fraction(driver)
        if fraction > 0:
            left = (now - self._start) * (1 - fraction) / fraction
            parts.append(f"{_duration(left)} left")
        return "  ".join(parts)


def show_result(result: Result, console: Console) -> None:
    """Print the final table, and where the seconds went."""
    summary = result.summary()
    seeds = f"mean ± std of {summary['num_seeds']} seeds" if summary["num_seeds"] > 1 else "1 seed"
    table = Table(title=f"{summary['name']}: {summary['algorithm']}, {seeds}", title_justify="left")
    for column in ("task", "rounds", "accuracy", "time to target", "staleness"):
        table.add_column(column, justify="left" if column == "task" else "right", no_wrap=True)
    for name, task in summary["tasks"].items():
        table.add_row(
            name,
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
    seconds = result.seconds
    console.print(
        f"{result.counts.updates} updates in {result.counts.batches} batches of "
        f"{result.batch_width} ({result.counts.fill:.1%} full); seconds: plan {seconds.plan:.2f}, "
        f"compile {seconds.compile:.1f}, train {seconds.train:.1f}, test {seconds.test:.1f}, "
        f"in all {result.wall_seconds:.1f}",
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


def _fraction(driver: Driver) -> float:
    total = len(driver.done) + len(driver.resident) + len(driver.waiting)
    return (len(driver.done) + sum(_progress(one) for one in driver.resident)) / total


def _progress(replicate: Replicate) -> float:
    """How much of a replicate is over for certain: the nearest of its limits counts."""
    config, timeline = replicate.config, replicate.timeline
    parts = []
    if config.max_updates:
        parts.append(timeline.num_arrivals / config.max_updates)
    if config.time_limit:
        parts.append(timeline.time / config.time_limit)
    limits = [lane.settings.max_rounds for lane in replicate.lanes]
    if all(limits):
        done = [len(timeline.rounds[lane.task]) for lane in replicate.lanes]
        parts.append(min(one / limit for one, limit in zip(done, limits, strict=True) if limit))
    return min(1.0, max(parts, default=0.0))


def _accuracies(replicates: list[Replicate]) -> dict[str, float]:
    """Mean over the replicates of each task's latest accuracy."""
    latest: dict[str, dict[int, float]] = {}
    for replicate in replicates:
        for test in replicate.evaluations:
            latest.setdefault(test.task, {})[replicate.number] = test.accuracy
    return {name: sum(found.values()) / len(found) for name, found in latest.items()}


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
