"""How far a driver is, in numbers that a person can be shown."""

from __future__ import annotations

from collections.abc import Mapping

from ..algorithms.log import Mark
from ..results.records import Progress
from .driver import Driver
from .replicate import Replicate


def progress_of(driver: Driver) -> Progress:
    """After a segment."""
    marks = driver.planner.marks
    times = [record.time for record in driver.done] + [mark.state.time for mark in marks.values()]
    return Progress(
        fraction=_fraction(driver, marks),
        time=max(times),
        updates=driver.counts.updates,
        fill=driver.counts.fill,
        num_ended=len(driver.done),
        num_waiting=len(driver.waiting),
        compile_seconds=driver.executor.seconds.compile,
        latest=_latest(driver),
    )


def _fraction(driver: Driver, marks: Mapping[int, Mark]) -> float:
    total = len(driver.done) + len(driver.resident) + len(driver.waiting)
    shares = (_share_done(replicate, marks[replicate.number]) for replicate in driver.resident)
    return (len(driver.done) + sum(shares)) / total


def _share_done(replicate: Replicate, mark: Mark) -> float:
    """How much of a replicate is over for certain: the nearest of its limits counts."""
    config, parts = replicate.config, []
    if config.max_updates:
        parts.append(mark.state.num_arrivals / config.max_updates)
    if config.time_limit:
        parts.append(mark.state.time / config.time_limit)
    limits = [lane.settings.max_rounds for lane in replicate.lanes]
    if all(limits):
        parts.append(
            min(
                rounds / limit
                for rounds, limit in zip(mark.num_rounds, limits, strict=True)
                if limit
            )
        )
    return min(1.0, max(parts, default=0.0))


def _latest(driver: Driver) -> dict[str, str]:
    """Of the replicates that are running; once none is, of those that have ended."""
    found: dict[str, list[float]] = {}
    for replicate in driver.resident:
        for task, metric in replicate.latest.items():
            found.setdefault(replicate.lanes[task].name, []).append(metric)
    for record in driver.done if not driver.resident else ():
        tests = zip(record.evaluations["task"], record.evaluations["metric"], strict=True)
        for task, metric in dict(tests).items():
            found.setdefault(record.lanes[task].task, []).append(float(metric))
    goals = {
        task.name: task.settings.goal for arm in driver.arms for task in arm.config.named_tasks
    }
    return {name: goals[name].show(sum(values) / len(values)) for name, values in found.items()}
