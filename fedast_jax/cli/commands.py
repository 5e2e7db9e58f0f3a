"""The command line: a thin shell that reads, shows and writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..cluster.errors import ClusterError
from ..config.settings import ConfigError
from ..config.shipped import read_table
from ..config.versions import package_versions
from ..data import DataError
from ..results.output import attempt, has_lost_output, lasting_output
from ..results.run_folder import EXTRAS, OutputError, default_folder, save, save_study
from ..run.checkpoint import ResumeError
from ..run.resolve import make_config
from .data import app as data_app
from .stopping import Stop, stop_on_signals
from .work_folder import CHECKPOINTS, Job, WorkFolder

if TYPE_CHECKING:
    from ..cluster.processes import Place
    from ..results.result import Result
    from ..study.study import Study

app = typer.Typer(
    help="FedAST in JAX: several models trained at once over one asynchronous client pool.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")

ALL_DIVERGED = 3  # exit code

ConfigPath = Annotated[
    str, typer.Argument(metavar="CONFIG", help="A TOML file, or the name of a shipped one.")
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")
]
Seeds = Annotated[  # a text: the configuration says what a wrong one must be
    str | None, typer.Option(metavar="NUMBER", help="Number of seeds (replicates).")
]
Devices = Annotated[
    str | None, typer.Option(metavar="NUMBER", help="Devices that share every batch.")
]
Out = Annotated[Path | None, typer.Option(help="Folder for the results.")]
Coordinator = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Of a run in several processes: where process 0 is."),
]
NumProcesses = Annotated[int | None, typer.Option(help="How many processes.")]
ProcessId = Annotated[int | None, typer.Option(help="Which of them this is, from 0.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Run the command line; what the user can mend ends with one sentence and exit code 2."""
    try:
        app(args=with_ray_address(sys.argv[1:]))
    except (ClusterError, ConfigError, DataError, OutputError, ResumeError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        name = f" {error.filename!r}" if error.filename else ""
        print(f"error: {error.strerror or error}{name}", file=sys.stderr)
        sys.exit(2)


def with_ray_address(arguments: list[str]) -> list[str]:
    """Write ``--ray`` without an address out: an option of the library always has a value."""
    ends = [*arguments[1:], "-"]
    return [
        f"{one}=" if one == "--ray" and following.startswith("-") else one
        for one, following in zip(arguments, ends, strict=False)
    ]


@app.command()
def run(
    config: ConfigPath = "quickstart",
    overrides: Overrides = None,
    seeds: Seeds = None,
    devices: Devices = None,
    out: Out = None,
    extras: Annotated[
        str, typer.Option("--save", help=f"More tables, of {','.join(EXTRAS)}.")
    ] = "",
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
) -> None:
    """Simulate a configuration and leave a table, a picture and a run folder."""
    table = _read(config, overrides, seeds, devices)
    settings, wanted = make_config(table), _extras(extras)
    place = _place(coordinator, num_processes, process_id)
    if not (settings.compare or settings.sweep):
        _begin(Job("run", [settings], {"save": wanted}), out, place)
    elif wanted:
        raise ConfigError(f"--save {extras} is for the run of one configuration; leave it out")
    else:
        _begin(_study_job(table), out, place)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the run.")],
) -> None:
    """Go on with a run that was interrupted or killed, to the very results it would have had."""
    with lasting_output(), stop_on_signals() as stop, WorkFolder.reopen(folder) as work:
        FINISH[work.job.command](work, stop)


@app.command()
def compare(
    config: ConfigPath,
    algorithms: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Names; fedast:static, fedast:dynamic for options."),
    ] = None,
    overrides: Overrides = None,
    seeds: Seeds = None,
    devices: Devices = None,
    out: Out = None,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
) -> None:
    """Run algorithms against each other on the same seeds; the first is measured against each."""
    table = _read(config, overrides, seeds, devices)
    if algorithms is not None:
        table["compare"] = [name.strip() for name in algorithms.split(",")]
    if not table.get("compare"):
        raise ConfigError("nothing to compare: name algorithms, --algorithms fedast,sync_st")
    _begin(_study_job(table), out, _place(coordinator, num_processes, process_id))


@app.command()
def sweep(
    config: ConfigPath,
    grid: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE,...", help="Values of one setting; every combination."),
    ] = None,
    overrides: Overrides = None,
    seeds: Seeds = None,
    devices: Devices = None,
    out: Out = None,
    paired: Annotated[
        bool | None,
        typer.Option("--paired/--unpaired", help="The same seeds for every setting, or its own."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how much there is to run.")
    ] = False,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="[ADDRESS]", help="On a Ray cluster; without ADDRESS as RAY_ADDRESS."),
    ] = None,
    ray_cpus: Annotated[float, typer.Option(help="CPUs for each block of replicates.")] = 1.0,
    ray_gpus: Annotated[float, typer.Option(help="GPUs for each block of replicates.")] = 0.0,
) -> None:
    """Run every combination of some settings, and name the best."""
    from ..study.study import parse_grid

    table = _read(config, overrides, seeds, devices)
    if grid:
        table["sweep"] = parse_grid(grid)
    if not table.get("sweep"):
        raise ConfigError("nothing to sweep: give a grid, --grid tasks.mnist.buffer_size=1,3,5")
    if paired is not None:
        table["paired_seeds"] = paired
    if dry_run:
        _forecast(table)
        return
    place = _place(coordinator, num_processes, process_id)
    if ray is None:
        _begin(_study_job(table), out, place)
    elif place is None:
        from ..cluster.ray_tasks import RayTasks

        tasks = RayTasks.parse(ray, ray_cpus, ray_gpus)
        _begin(_study_job(table)._replace(command="ray", options=tasks._asdict()), out, None)
    else:
        raise ClusterError("--ray and --coordinator are two ways to run; leave one out")


@app.command()
def plan(config: ConfigPath, overrides: Overrides = None, as_json: Json = False) -> None:
    """Lay a run out without training: batches, how full they are, rows, memory."""
    from ..results.console import show_plan
    from ..run.plan import plan as make_plan
    from ..study.variants import make_variants

    report = make_plan(*(one.config for one in make_variants(_read(config, overrides))))
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        show_plan(report, Console())


@app.command()
def bench(
    kinds: Annotated[list[str], typer.Argument(metavar="KIND...", help="Kinds of task.")],
    updates: Annotated[int, typer.Option(min=1, max=10**6, help="Client updates to time.")] = 64,
    as_json: Json = False,
) -> None:
    """Measure raw training speed, without timeline, aggregation and tests."""
    from ..run.bench import bench as measure
    from ..tasks import get_kind

    try:
        for kind in kinds:
            get_kind(kind)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    results = {kind: asdict(measure(kind, updates)) for kind in kinds}
    if as_json:
        print(json.dumps(results, indent=2))
        return
    for kind, found in results.items():
        print(
            f"{kind}: {found['updates_per_second']:.1f} updates/s, compiled in "
            f"{found['compile_seconds']:.1f} s, {found['gflops']:.1f} GFLOP/s of a GEMM peak of "
            f"{found['peak_gflops']:.0f} ({found['fraction']:.0%})"
        )


@app.command()
def version() -> None:
    """Print the versions of the program and of what its results depend on."""
    for name, number in package_versions().items():
        print(f"{name} {number}")


def _study_job(table: dict[str, Any]) -> Job:
    """A comparison or a sweep."""
    from ..study.variants import make_variants

    return Job("study", [one.config for one in make_variants(table)], table=table)


def _begin(job: Job, out: Path | None, place: Place | None) -> None:
    """Do a job, alone or as one of several processes; process 0 alone has a folder."""
    if place is not None and place.process_id > 0:
        _follow(job, place)
        return
    target = out or default_folder(job.configs[0].name)
    with lasting_output(), stop_on_signals() as stop, WorkFolder.begin(target, job) as work:
        FINISH[job.command](work, stop, place)


def _place(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> Place | None:
    """Which of several processes this is; None where there is only one."""
    if coordinator is None and num_processes is None and process_id is None:
        return None
    from ..cluster.processes import Place

    return Place.parse(coordinator, num_processes, process_id)


def _follow(job: Job, place: Place) -> None:
    """Be another process than the first: run a share, and hand it in."""
    with lasting_output(), stop_on_signals() as stop:
        place.simulate_together(job.configs, is_stopped=stop, **_keeps(job))
        if stop():
            raise typer.Exit(stop.exit_code)
        print(f"process {place.process_id} is done; process 0 writes the results")


def _finish_run(work: WorkFolder, stop: Stop, place: Place | None = None) -> None:
    """Run to the end, from the newest checkpoint if there is one; save and show the result."""
    from ..results.console import Reporter, show_result
    from ..run.simulate import simulate_together

    console = Console()
    with Reporter(console) as reporter:
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
    from ..results.console import Reporter
    from ..run.simulate import simulate_together

    console = Console()
    with Reporter(console) as reporter:
        way = place.simulate_together if place else simulate_together
        study = _run_study(work, stop, simulate=way, on_progress=reporter.update)
    _end(study.results, _save_study(study, work, console), stop, console)


def _finish_ray(work: WorkFolder, stop: Stop, place: None = None) -> None:
    """As ``_finish_study``, on a Ray cluster."""
    from ..cluster.ray_tasks import RayTasks

    console = Console()
    way = RayTasks(**work.job.options).simulate_together
    study = _run_study(work, stop, simulate=way)
    _end(study.results, _save_study(study, work, console), stop, console)


def _run_study(work: WorkFolder, stop: Stop, **options: Any) -> Study:
    from ..study.study import run_study

    return run_study(
        work.job.settings,
        is_stopped=stop,
        checkpoints=work.checkpoints,
        **_keeps(work.job),
        **options,
    )


def _save_study(study: Study, work: WorkFolder, console: Console) -> Path:
    from ..study.report import show_study

    try:
        return save_study(study, work.target, work)
    finally:
        with attempt("show the table"):
            show_study(study, console)


def _keeps(job: Job) -> dict[str, bool]:
    """What the results of a job have to hold for what is written."""
    wanted = job.options.get("save", ())
    return {"keep_models": "models" in wanted, "keep_requests": "requests" in wanted}


FINISH: dict[str, Callable[..., None]] = {
    "run": _finish_run,
    "study": _finish_study,
    "ray": _finish_ray,
}
"""By a job's command: how a run in progress is brought to its end."""


def _forecast(table: dict[str, Any]) -> None:
    from ..study.forecast import forecast
    from ..study.variants import make_variants

    found = forecast([one.config for one in make_variants(table)])
    print(
        f"{found.configurations} configurations, {found.runs} runs, "
        f"at most {found.updates:,} updates, "
        f"{found.bytes:,} bytes ({found.bytes / 2**30:.2f} GiB) on the device, "
        f"about {found.seconds:.0f} s of training (without compiling and tests)"
    )


def _end(results: Sequence[Result], folder: Path, stop: Stop, console: Console) -> None:
    """Say where everything is, and how it ended."""
    console.print(f"results in {folder}", highlight=False, soft_wrap=True, markup=False)
    if has_lost_output():
        print(f"results in {folder}", file=sys.stderr)
    if results[0].status == "interrupted":
        way_on = f"; 'fedast resume {folder}' goes on" if (folder / CHECKPOINTS).exists() else ""
        console.print(
            f"interrupted: the results are those measured so far{way_on}",
            soft_wrap=True,
            markup=False,
        )
        raise typer.Exit(stop.exit_code)
    if all(len(one.diverged) == one.config.num_seeds for one in results):
        print(f"error: {_all_diverged(results)}", file=sys.stderr)
        raise typer.Exit(ALL_DIVERGED)


def _all_diverged(results: Sequence[Result]) -> str:
    """One sentence, with the tasks whose loss was not finite."""
    tasks = sorted({str(one.diverged) for result in results for one in result.diverged})
    return (
        f"every seed diverged, so there is nothing to report: the loss of {', '.join(tasks)} was "
        f"not finite; lower client_lr or server_lr"
    )


def _read(
    config: str,
    overrides: list[str] | None,
    seeds: str | None = None,
    devices: str | None = None,
) -> dict[str, Any]:
    """The settings of a file with those of the options, which win."""
    options = {"num_seeds": seeds, "num_devices": devices}
    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    changes = [*(overrides or []), *given]
    return read_table(config, changes)


def _extras(text: str) -> list[str]:
    wanted = [one.strip() for one in text.split(",") if one.strip()]
    for one in wanted:
        if one not in EXTRAS:
            raise ConfigError(f"--save knows {', '.join(EXTRAS)}; got {one!r}")
    return wanted
