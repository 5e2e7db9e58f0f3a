"""What is computed from a run's tables alone, be they in memory or read from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ..config.goal import Goal
from ..config.words import few


class TaskSettings(Protocol):
    """Of a task, what tables and figures need."""

    @property
    def target(self) -> float | None:
        """What its tests must reach for the task to end."""
        ...

    @property
    def goal(self) -> Goal:
        """What they measure."""
        ...


class Task(Protocol):
    """A task by its name."""

    @property
    def name(self) -> str:
        """As tables have it."""
        ...

    @property
    def settings(self) -> TaskSettings:
        """What it is to reach."""
        ...


class Settings(Protocol):
    """Of a configuration, what tables and figures need."""

    @property
    def name(self) -> str:
        """Of the run."""
        ...

    @property
    def algorithm(self) -> str:
        """Its name."""
        ...

    @property
    def seed(self) -> int:
        """The first."""
        ...

    @property
    def num_seeds(self) -> int:
        """How many replicates."""
        ...

    @property
    def named_tasks(self) -> Sequence[Task]:
        """Every task once."""
        ...


class Measured(Protocol):
    """What one setting of a run has measured: ``results.Result``, or read from its folder."""

    @property
    def config(self) -> Settings:
        """What was run."""
        ...

    @property
    def status(self) -> str:
        """``"finished"`` or ``"interrupted"``."""
        ...

    @property
    def evaluations(self) -> Any:  # a DataFrame; checkers take a cached_property for no property
        """One row per test."""
        ...

    @property
    def lanes(self) -> Any:
        """One row per replicate and task: how it ended."""
        ...

    def allocations(self) -> pd.DataFrame:
        """R_m and b_m whenever they changed."""
        ...

    def summary(self) -> dict[str, Any]:
        """Means and spreads over the seeds."""
        ...


def summarise(run: Measured) -> dict[str, Any]:
    """Per task: means and spreads over the seeds; what diverged is left out and counted."""
    lanes, diverged = run.lanes, diverged_lanes(run)
    return {
        "name": run.config.name,
        "algorithm": run.config.algorithm,
        "status": run.status,
        "num_seeds": run.config.num_seeds,
        "num_finished": int(lanes[lanes.end_reason != "interrupted"].replicate.nunique()),
        "num_diverged": len(diverged),
        "diverged": [
            {
                "replicate": int(row.replicate),
                "seed": int(row.seed),
                "task": str(row.task),
                "time": float(row.diverged_at),
            }
            for _, row in diverged.iterrows()
        ],
        "tasks": {
            task.name: _task_summary(lanes, task.name, task.settings)
            for task in run.config.named_tasks
        },
    }


def last_means(summary: Mapping[str, Any]) -> str:
    """Each task's mean accuracy, or other metric, of at most ``FEW`` tasks; how many diverged."""
    means = few(f"{name} {_last_mean(task)}" for name, task in summary["tasks"].items())
    diverged = summary["num_diverged"]
    return f"{means}; {diverged} of {summary['num_seeds']} diverged" if diverged else means


def _last_mean(task: Mapping[str, Any]) -> str:
    goal, mean = goal_of(task), task_metric(task)["mean"]
    if mean is None:
        return "untested"
    return goal.show(mean) if goal.is_accuracy else f"{goal.metric} {goal.show(mean)}"


def goal_of(task: Mapping[str, Any]) -> Goal:
    """What a task is judged by, from its summary."""
    metric = task.get("metric")
    return Goal() if metric is None else Goal(metric["name"], metric["goal"])


def task_metric(task: Mapping[str, Any]) -> Mapping[str, float | None]:
    """Mean and spread of what a task is judged by, from its summary."""
    return task.get("metric") or task["accuracy"]


def diverged_lanes(run: Measured) -> pd.DataFrame:
    """The rows of ``lanes`` at which a replicate ended because a loss was not finite."""
    return run.lanes[run.lanes.diverged_at.notna()]


def diverged_replicates(run: Measured) -> set[int]:
    """Their numbers."""
    return set(diverged_lanes(run).replicate)


def _task_summary(lanes: pd.DataFrame, name: str, settings: TaskSettings) -> dict[str, Any]:
    target, goal = settings.target, settings.goal
    kept = lanes.loc[(lanes.task == name) & ~lanes.diverged.astype(bool), :]
    times = _known(kept.target_time)
    return {
        "rounds": spread(kept.rounds),
        "accuracy": spread(kept.accuracy),
        "loss": spread(kept.loss),
        "time_to_target": spread(kept.target_time)
        | {
            "median": float(np.median(times)) if len(times) else None,
            "num_reached": len(times),
        },
        "target_accuracy": target if goal.is_accuracy else None,
        "mean_staleness": spread(kept.mean_staleness)["mean"],
        "num_seeds": len(kept),
    } | ({} if goal.is_accuracy else _own_metric(kept, settings))


def _own_metric(kept: pd.DataFrame, settings: TaskSettings) -> dict[str, Any]:
    """What a summary has of a task that is not judged by its accuracy."""
    goal = settings.goal
    named = {"name": goal.metric, "goal": goal.word}
    return {"metric": named | spread(kept.loc[:, goal.column]), "target_metric": settings.target}


def _known(column: pd.Series) -> np.ndarray:
    values = np.asarray(column, np.float64)
    return values[np.isfinite(values)]


def spread(column: pd.Series) -> dict[str, float | None]:
    """Mean and sample standard deviation of what is known; None where there is too little."""
    values = _known(column)
    return {
        "mean": float(values.mean()) if len(values) else None,
        "std": float(values.std(ddof=1)) if len(values) > 1 else None,
    }
