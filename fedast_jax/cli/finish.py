"""Jobs begun, gone on with and brought to their end: run, saved, shown, and how they ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from ..config import disk
from ..results.console import show_costs, show_result
from ..results.output import attempt, has_lost_output, lasting_output
from ..results.progress import Reporter
from ..results.result import Result
from ..results.run_folder import default_folder, save
from ..run.cluster.processes import Place
from ..run.cluster.ray_tasks import RayTasks
from ..run.simulate import simulate_together
from ..run.stopping import Stop, stop_on_signals
from ..study.report import show_tables
from ..study.study import Study, run_study
from ..study.study_folder import save_study
from .job import Job
from .work_folder import CHECKPOINTS, WorkFolder

ALL_DIVERGED = 3  # exit code


def begin(job: Job, out: Path | None, place: Place | None) -> None:
    """Do a job, alone or as one of several processes; process 0 alone has a folder."""
    job = job.settled(_finder(job, place))
    if place is not None and place.process_id > 0:
        _follow(job, place)
        return
    target = out or default_folder(job.configs[0].name)
    with lasting_output(), stop_on_signals() as stop, WorkFolder.begin(target, job) as work:
        FINISH[job.command](work, stop, place)


def _finder(job: Job, place: Place | None) -> Callable[[], int] | None:
    """What says how many devices there are; None: this process alone."""
    if job.command == "ray":
        return RayTasks(**job.options["tasks"]).find_devices
    return place.find_devices if place else None


def resume(folder: Path) -> None:
    """Go on with the job of a folder."""
    with lasting_output(), stop_on_signals() as stop, WorkFolder.reopen(folder) as work:
        FINISH[work.job.command](work, stop)


def _follow(job: Job, place: Place) -> None:
    """Be another process than the first: run a share, and hand it in."""
    with lasting_output(), stop_on_signals() as stop:
        place.simulate_together(job.configs, is_stopped=stop, **_keeps(job))
        if stop():
            raise typer.Exit(stop.exit_code)
        print(f"process {place.process_id} is done; process 0 writes the results")


def _finish_run(work: WorkFolder, stop: Stop, place: Place | None = None) -> None:
    """Run to the end, from the newest checkpoint if there is one; save and show the result."""
    console = Console()
    with Reporter() as reporter:
        (result,) = (place.simulate_together if place else simulate_together)(
            work.job.configs,
            on_progress=reporter.update,
            is_stopped=stop,
            checkpoints=work.checkpoints,
            **_keeps(work.job),
        )
    try:
        folder = save(result, work.target, work.job.options["save"], work)
    finally:  # the table is not lost with the folder
        with attempt("show the table"):
            show_result(result, console)
    _end([result], folder, stop, console)


def _finish_study(work: WorkFolder, stop: Stop, place: Place | None = None) -> None:
    """As ``_finish_run``, for a comparison or a sweep."""
    console = Console()
    with Reporter() as reporter:
        way = place.simulate_together if place else simulate_together
        study = _run_study(work, stop, simulate=way, on_progress=reporter.update)
    _end(study.results, _save_study(study, work, console), stop, console)


def _finish_figure(work: WorkFolder, stop: Stop, place: Place | None = None) -> None:
    """As ``_finish_study``, with the paper's figures and claims in place of the table."""
    from .verdicts import draw_figure

    console = Console()
    with Reporter() as reporter:
        study = _run_study(work, stop, on_progress=reporter.update)
    folder = save_study(study, work.target, work.job.options["save"], work)
    show_costs(study.manifest(), console)
    if study.status == "finished":
        with attempt(f"draw the paper's figures in {str(folder)!r}"):
            draw_figure(work.job.options, folder, console)
    _end(study.results, folder, stop, console)


def _finish_ray(work: WorkFolder, stop: Stop, place: None = None) -> None:
    """As ``_finish_study``, on a Ray cluster."""
    console, tasks = Console(), RayTasks(**work.job.options["tasks"])
    say = partial(print, file=sys.stderr)
    way = partial(tasks.simulate_together, say=say, imports=work.job.imports)
    study = _run_study(work, stop, simulate=way)
    _end(study.results, _save_study(study, work, console), stop, console)


def _run_study(work: WorkFolder, stop: Stop, **options: Any) -> Study:
    return run_study(
        work.job.settings,
        is_stopped=stop,
        checkpoints=work.checkpoints,
        **_keeps(work.job),
        **options,
    )


def _save_study(study: Study, work: WorkFolder, console: Console) -> Path:
    try:
        return save_study(study, work.target, work.job.options["save"], work)
    finally:
        with attempt("show the table"):
            show_tables(study, console)
            show_costs(study.manifest(), console)


def _keeps(job: Job) -> dict[str, bool]:
    """What the results of a job have to hold for what is written."""
    wanted = job.options.get("save", ())
    return {"keep_models": "models" in wanted, "keep_requests": "requests" in wanted}


FINISH: dict[str, Callable[..., None]] = {
    "run": _finish_run,
    "study": _finish_study,
    "ray": _finish_ray,
    "figure": _finish_figure,
}
"""By a job's command: how a run in progress is brought to its end."""


def _end(results: Sequence[Result], folder: Path, stop: Stop, console: Console) -> None:
    """Say where everything is, and how it ended."""
    console.print(f"results in {folder}", highlight=False, soft_wrap=True, markup=False)
    if has_lost_output():
        print(f"results in {folder}", file=sys.stderr)
    if results[0].status == "interrupted":
        way_on = f"; 'fedast resume {folder}' goes on" if disk.exists(folder / CHECKPOINTS) else ""
        console.print(
            f"interrupted: the results are those measured so far{way_on}",
            soft_wrap=True,
            markup=False,
        )
        raise typer.Exit(stop.exit_code)
    if all(len(result.diverged) == result.config.num_seeds for result in results):
        print(f"error: {_all_diverged(results)}", file=sys.stderr)
        raise typer.Exit(ALL_DIVERGED)


def _all_diverged(results: Sequence[Result]) -> str:
    """One sentence, with the tasks whose loss was not finite."""
    tasks = sorted({lane.task for result in results for lane in result.diverged})
    return (
        f"every seed diverged, so there is nothing to report: the loss of {', '.join(tasks)} was "
        f"not finite; lower client_lr or server_lr"
    )
