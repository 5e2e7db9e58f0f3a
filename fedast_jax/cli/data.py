"""``fedast data list | check | prepare``. Errors are raised for the main program to print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn
from rich.table import Table

from ..data.dataset import show_shape
from ..data.download import Progress as ReportProgress
from ..data.download import prepare
from ..data.reports import TEXT, DatasetReport, TextReport, check_dataset, check_text, list_datasets
from ..data.sources import DATASETS

app = typer.Typer(help="Data sets: which there are, what is in them, how to get them.")

Name = Annotated[str, typer.Argument(help=f"One of {', '.join(DATASETS)}.")]
TfdsName = Annotated[str, typer.Argument(help="A known name, or with --tfds any TFDS set.")]


@app.command("list")
def list_command() -> None:
    """Show the known data sets and where each was found."""
    rows = [
        (
            row.name,
            "yes" if row.is_available else "no",
            "-" if row.num_train is None else f"{row.num_train:,} + {row.num_test:,}",
            show_shape(row.shape),
            str(row.num_classes),
            row.source,
        )
        for row in list_datasets()
    ]
    print_table(("data set", "available", "train + test", "example", "classes", "source"), rows)


@app.command("check")
def check_command(
    name: TfdsName,
    tfds: Annotated[bool, typer.Option("--tfds", help="NAME is a prepared TFDS set.")] = False,
) -> None:
    """Load a data set and show its counts, check sum, statistics and classes."""
    if name == TEXT and not tfds:
        rows = text_rows(check_text())
    else:
        rows = report_rows(check_dataset(name, name if tfds else None))
    print_table(("what", "value"), rows)


@app.command("prepare")
def prepare_command(
    name: Name,
    directory: Annotated[
        Path | None, typer.Option(help="Put the files in DIRECTORY/NAME (for FEDAST_DATA_DIR).")
    ] = None,
) -> None:
    """Download the original files of a data set and verify them."""
    with download_progress() as report_progress:
        files = prepare(name, directory, progress=report_progress)
    if files:
        print(f"{name}: {len(files)} verified files in {files[0].parent}")
    else:
        print(f"{name} comes with scikit-learn and needs no files")


def report_rows(report: DatasetReport) -> list[tuple[str, str]]:
    """A report as lines of a table, with the published counts where they differ."""
    entry = DATASETS.get(report.name)
    counts = f"{report.num_train:,} + {report.num_test:,}"
    if entry and (entry.num_train, entry.num_test) != (report.num_train, report.num_test):
        counts += f" (published: {entry.num_train:,} + {entry.num_test:,})"
    return [
        ("data set", report.name),
        ("source", report.source),
        ("train + test", counts),
        ("image", show_shape(report.image_shape)),
        ("classes", str(report.num_classes)),
        ("mean of train / 255", show_numbers(report.mean)),
        ("std of train / 255", show_numbers(report.std)),
        ("train images per class", " ".join(map(str, report.train_histogram))),
        ("test images per class", " ".join(map(str, report.test_histogram))),
        ("SHA-256 of the arrays", report.sha256),
    ]


def text_rows(report: TextReport) -> list[tuple[str, str]]:
    """A report as lines of a table."""
    return [
        ("data set", report.name),
        ("source", report.source),
        ("clients (roles)", f"{report.num_clients:,}"),
        (
            "windows of a client",
            "least {:,}, median {:,}, most {:,}".format(*report.windows_per_client),
        ),
        ("train + test windows", f"{report.num_train:,} + {report.num_test:,}"),
        ("characters", f"{report.num_characters:,}"),
        ("outside the alphabet", f"{report.num_unknown:,}, read as spaces"),
        ("classes (symbols)", str(report.num_symbols)),
        ("SHA-256 of the text", report.sha256),
    ]


def show_numbers(numbers: Sequence[float]) -> str:
    """One number per channel, to five places."""
    return " ".join(f"{number:.5f}" for number in numbers)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere plain aligned text, one line a row."""
    console = Console(markup=False)
    if console.is_terminal:
        table = Table(*columns)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())


@contextmanager
def download_progress() -> Iterator[ReportProgress]:
    """A progress bar for each file, on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), DownloadColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks = {}

        def report_progress(file_name: str, num_bytes: int, total: int) -> None:
            if file_name not in tasks:
                tasks[file_name] = bars.add_task(file_name, total=total)
            bars.update(tasks[file_name], completed=num_bytes)

        yield report_progress
