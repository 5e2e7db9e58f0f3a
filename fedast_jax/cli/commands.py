"""The command line: a thin shell that reads, shows and writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..config.errors import ConfigError, UserError
from ..results.extras import EXTRAS
from .fuzz import fuzz
from .lazy_group import lazy_group
from .look import report, show, trace
from .options import (
    ConfigPath,
    Coordinator,
    Devices,
    Extras,
    Imports,
    Json,
    NumProcesses,
    Out,
    Overrides,
    ProcessId,
    Ray,
    RayCpus,
    RayGpus,
    RayPatience,
    Seeds,
)
from .tune import tune
from .verify import verify

# What a command needs beyond this it imports itself: --help and version come at once.
if TYPE_CHECKING:
    from ..run.cluster.processes import Place
    from .job import Job

app = typer.Typer(
    help="FedAST in JAX: several models trained at once over one asynchronous client pool.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(
    lazy_group("fedast_jax.cli.data:app"),
    name="data",
    help="Data sets: which there are, what is in them, how to get them.",
)


def main() -> None:
    """Run the command line; what the user can mend ends with one sentence and exit code 2."""
    try:
        app()
    except (UserError, MemoryError) as error:
        print(f"error: {str(error) or 'out of memory'}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        name = f" {error.filename!r}" if error.filename else ""
        print(f"error: {error.strerror or error}{name}", file=sys.stderr)
        sys.exit(2)


@app.command()
def run(
    config: ConfigPath = "quickstart",
    overrides: Overrides = None,
    seeds: Seeds = None,
    devices: Devices = None,
    out: Out = None,
    extras: Extras = "",
    imports: Imports = None,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
) -> None:
    """Simulate a configuration and leave a table, a picture and a run folder."""
    from ..run.resolve import make_config
    from .job import Job

    table = _read(config, overrides, seeds, devices)
    settings, wanted = make_config(table), _extras(extras)
    place = _place(coordinator, num_processes, process_id)
    if settings.study.is_wanted:
        job = _study_job(table, wanted)
    else:
        job = Job("run", [settings], {"save": wanted})
    _begin(job._replace(imports=tuple(imports or ())), out, place)


@app.command()
def resume(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the run.")],
    imports: Imports = None,
) -> None:
    """Go on with a run that was interrupted or killed, to the very results it would have had."""
    from .finish import resume as go_on

    go_on(folder)


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
    extras: Extras = "",
    imports: Imports = None,
    coordinator: Coordinator = None,
    num_processes: NumProcesses = None,
    process_id: ProcessId = None,
) -> None:
    """Run algorithms against each other on the same seeds; the first is measured against each."""
    from ..config.toml import set_value
    from ..run.resolve import make_config

    table = _read(config, overrides, seeds, devices)
    if algorithms is not None:
        set_value(table, "study.compare", [name.strip() for name in algorithms.split(",")])
    if not make_config(table).study.compare:
        raise ConfigError("nothing to compare: name algorithms, --algorithms fedast,sync_st")
    place = _place(coordinator, num_processes, process_id)
    job = _study_job(table, _extras(extras))
    _begin(job._replace(imports=tuple(imports or ())), out, place)


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
    extras: Extras = "",
    imports: Imports = None,
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
    ray: Ray = None,
    ray_cpus: RayCpus = 1.0,
    ray_gpus: RayGpus = 0.0,
    ray_patience: RayPatience = None,
) -> None:
    """Run every combination of some settings, and name the best."""
    from ..config.toml import set_value
    from ..run.resolve import make_config
    from ..study.study import parse_grid

    table = _read(config, overrides, seeds, devices)
    if grid:
        set_value(table, "study.sweep", parse_grid(grid))
    if paired is not None:
        set_value(table, "study.paired_seeds", paired)
    if not make_config(table).study.sweep:
        raise ConfigError("nothing to sweep: give a grid, --grid tasks.mnist.buffer_size=1,3,5")
    if dry_run:
        from .forecast import show_forecast

        show_forecast(table)
        return
    place, wanted = _place(coordinator, num_processes, process_id), _extras(extras)
    job = _study_job(table, wanted)._replace(imports=tuple(imports or ()))
    if ray is None:
        _begin(job, out, place)
    elif place is None:
        from ..run.cluster.ray_tasks import RayTasks

        tasks = RayTasks.parse(ray, ray_cpus, ray_gpus, ray_patience)
        options = {"save": wanted, "tasks": tasks._asdict()}
        _begin(job._replace(command="ray", options=options), out, None)
    else:
        from ..run.cluster.errors import ClusterError

        raise ClusterError("--ray and --coordinator are two ways to run; leave one out")


for command in (show, report, trace, tune, verify, fuzz):
    app.command()(command)


@app.command()
def figure(
    what: Annotated[
        str, typer.Argument(metavar="ID|list|page", help="fig2 to fig26, thm1; list; page.")
    ],
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR...]", help="Of page: folders of figures.")
    ] = None,
    scale: Annotated[str, typer.Option(help="smoke (a minute), laptop, paper.")] = "smoke",
    seeds: Seeds = None,
    out: Annotated[Path | None, typer.Option(help="Folder; of page, the file.")] = None,
) -> None:
    """Make a figure of the paper and say whether what the paper says of it holds."""
    from . import figure as figures

    if what == "page":
        figures.page(folders or [], out)
    elif folders:
        raise ConfigError(f"only 'page' takes folders, got {str(folders[0])!r}; use --out")
    elif what == "list":
        figures.list_figures(scale, Console())
    else:
        figures.figure(what, scale, seeds, out)


@app.command()
def plan(
    config: ConfigPath, overrides: Overrides = None, imports: Imports = None, as_json: Json = False
) -> None:
    """Lay a run out without training: batches, how full they are, rows, memory."""
    from ..results.console import show_plan
    from ..run.plan import plan as make_plan
    from ..study.variants import make_variants

    report = make_plan(*(variant.config for variant in make_variants(_read(config, overrides))))
    if as_json:
        print(json.dumps(asdict(report), indent=2))
    else:
        show_plan(report, Console())


@app.command()
def bench(
    kinds: Annotated[list[str], typer.Argument(metavar="KIND...", help="Kinds of task.")],
    updates: Annotated[int, typer.Option(min=1, max=10**6, help="Client updates to time.")] = 64,
    imports: Imports = None,
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
    for kind, speed in results.items():
        print(
            f"{kind}: {speed['updates_per_second']:.1f} updates/s, compiled in "
            f"{speed['compile_seconds']:.1f} s, {speed['gflops']:.1f} GFLOP/s of a GEMM peak of "
            f"{speed['peak_gflops']:.0f} ({speed['fraction']:.0%})"
        )


@app.command()
def new(
    what: Annotated[str, typer.Argument(metavar="WHAT", help="task, method or delay.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, and that of the file.")],
) -> None:
    """Write a file that registers something of your own, and a test of it."""
    from .new import write_new_files

    for path in write_new_files(what, name, Path()):
        print(path)


@app.command()
def version() -> None:
    """Print the versions of the program and of what its results depend on."""
    from ..config.versions import package_versions

    for name, number in package_versions().items():
        print(f"{name} {number}")


def _study_job(table: dict[str, Any], wanted: Sequence[str] = ()) -> Job:
    """A comparison or a sweep."""
    from ..study.variants import make_variants
    from .job import Job

    configs = [variant.config for variant in make_variants(table)]
    return Job("study", configs, {"save": list(wanted)}, table)


def _begin(job: Job, out: Path | None, place: Place | None) -> None:
    from .finish import begin

    begin(job, out, place)


def _place(
    coordinator: str | None, num_processes: int | None, process_id: int | None
) -> Place | None:
    """Which of several processes this is; None where there is only one."""
    if coordinator is None and num_processes is None and process_id is None:
        return None
    from ..run.cluster.processes import Place

    return Place.parse(coordinator, num_processes, process_id)


def _read(
    config: str,
    overrides: list[str] | None,
    seeds: str | None = None,
    devices: str | None = None,
) -> dict[str, Any]:
    """The settings of a file with those of the options, which win."""
    from ..config.shipped import read_table

    options = {"num_seeds": seeds, "machine.num_devices": devices}
    given = [f"{key}={value}" for key, value in options.items() if value is not None]
    changes = [*(overrides or []), *given]
    return read_table(config, changes)


def _extras(text: str) -> list[str]:
    wanted = [extra.strip() for extra in text.split(",") if extra.strip()]
    for extra in wanted:
        if extra not in EXTRAS:
            raise ConfigError(f"--save knows {', '.join(EXTRAS)}; got {extra!r}")
    return wanted
