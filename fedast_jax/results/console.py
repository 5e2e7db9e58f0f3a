"""What a person sees of a run at its end: the tables."""

from __future__ import annotations

from typing import Any, Protocol

from rich.console import Console
from rich.table import Table

from .records import PlanReport
from .result_sheet import result_sheet


class Finished(Protocol):
    """What has a summary and a price: a result, a study."""

    def summary(self) -> dict[str, Any]:
        """Means and spreads."""
        ...

    def manifest(self) -> dict[str, Any]:
        """What it was made with and what it cost."""
        ...


def show_result(result: Finished, console: Console) -> None:
    """Print the final table, and where the seconds went."""
    show_summary(result.summary(), console)
    show_costs(result.manifest(), console)


def show_summary(summary: dict[str, Any], console: Console) -> None:
    """Print the table of one run, and what it leaves out."""
    console.print(result_sheet(summary).to_rich())
    if summary["num_diverged"]:
        console.print(f"diverged and left out of the means: {summary['num_diverged']} seeds")


def show_costs(manifest: dict[str, Any], console: Console) -> None:
    """Print where the seconds went, of all that ran together."""
    seconds, counts = manifest["seconds"], manifest["counts"]
    slots = counts["updates"] + counts["empty_slots"]
    console.print(
        f"{counts['updates']} updates in {counts['batches']} batches of "
        f"{manifest['batch_width']} ({counts['updates'] / slots if slots else 1:.1%} full); "
        f"seconds: plan {seconds['plan']:.2f}, compile {seconds['compile']:.1f}, "
        f"train {seconds['train']:.1f}, test {seconds['test']:.1f}, "
        f"in all {seconds['wall']:.1f}",
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
        last = row["previous_rows"]
        kept = f", {last} of them for each client's last update," if last else ""
        table.add_row(
            f"rows of {row['kind']}",
            f"{row['version_rows']} versions and {row['update_rows']} updates{kept} of "
            f"{row['parameters']:,} parameters: {row['bytes'] / 2**30:.2f} GiB with its data",
        )
    memory = f"{report.memory_bytes / 2**30:.2f} GiB on the device"
    table.add_row("memory", f"{memory}; a CPU's is the process's, beside Python and JAX")
    console.print(table)
