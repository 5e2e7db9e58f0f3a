"""What one setting of a run has measured: tables and numbers, and nothing that is still alive."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pandas as pd

from ..config.settings import Config, TaskConfig
from .extras import check_extras
from .records import Counts, ReplicateRecord, RunRecord, Seconds
from .result_sheet import result_sheet
from .summary import last_means, summarise
from .tables import (
    allocation_table,
    evaluation_table,
    lane_table,
    model_leaves,
    partition_tables,
    request_table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Diverged(NamedTuple):
    """A replicate that ended at a loss that was not finite."""

    replicate: int
    seed: int
    task: str
    time: float


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """One setting of a finished (or interrupted) run.

    Attributes:
        config: what was run.
        evaluations: one row per test, in order of replicate and event.
        lanes: one row per replicate and task: how it ended.
    """

    config: Config
    evaluations: pd.DataFrame
    lanes: pd.DataFrame
    _allocations: pd.DataFrame
    _requests: pd.DataFrame | None
    _models: Mapping[str, np.ndarray] | None
    _manifest: dict[str, Any]

    @classmethod
    def collect(cls, config: Config, setting: int, run: RunRecord) -> Self:
        """Take one setting from a run; counts and seconds are those of the whole run."""
        mine = [record for record in run.replicates if record.setting == setting]
        has_metric = not all(task.goal.is_accuracy for task in config.tasks.values())
        return cls(
            config,
            evaluation_table(mine, has_metric),
            lane_table(mine, has_metric),
            allocation_table(mine),
            request_table(mine) if run.keeps_requests and mine else None,
            model_leaves(mine) if run.keeps_models else None,
            _manifest(config, mine, run),
        )

    @property
    def status(self) -> str:
        """``"finished"`` or ``"interrupted"``: of the whole run."""
        return self._manifest["status"]

    @property
    def counts(self) -> Counts:
        """What the engine did, of all that ran together."""
        counts = self._manifest["counts"]
        slots = counts["updates"] + counts["empty_slots"]
        return Counts(counts["updates"], counts["batches"], slots, counts["segments"])

    @property
    def seconds(self) -> Seconds:
        """Where the wall-clock time went, of all that ran together."""
        parts = {name: value for name, value in self._manifest["seconds"].items() if name != "wall"}
        return Seconds(**parts)

    @property
    def wall_seconds(self) -> float:
        """Of all that ran together, from the first line to the last."""
        return self._manifest["seconds"]["wall"]

    def summary(self) -> dict[str, Any]:
        """Per task: means and spreads over the seeds; what diverged is left out and counted."""
        return summarise(self)

    @property
    def diverged(self) -> list[Diverged]:
        """Those that ended at a loss that was not finite."""
        rows = self.lanes[self.lanes.diverged_at.notna()]
        columns = (rows[name] for name in ("replicate", "seed", "task", "diverged_at"))
        return [
            Diverged(*row) for row in zip(*(column.tolist() for column in columns), strict=True)
        ]

    def requests(self) -> pd.DataFrame:
        """One row per request of each replicate, in order of dispatch.

        Raises:
            ValueError: the run did not keep its requests.
        """
        if self._requests is None:
            raise ValueError(
                "the requests were not kept; simulate with keep_requests=True, and save with "
                'extras=["requests"]'
            )
        return self._requests

    def allocations(self) -> pd.DataFrame:
        """R_m and b_m whenever they changed: a row per replicate, change and task."""
        return self._allocations

    def partition(self) -> Iterator[pd.DataFrame]:
        """Rows (replicate, task, client, sample), in blocks of clients; the data is loaded anew."""
        return partition_tables(self.config, self.lanes.replicate.drop_duplicates().tolist())

    def models(self) -> Mapping[str, np.ndarray]:
        """Every leaf of every initial and final model: ``replicate/task/initial/leaf``.

        Raises:
            ValueError: the run did not keep its models.
        """
        if self._models is None:
            raise ValueError(
                "the models were not kept; simulate with keep_models=True, and save with "
                'extras=["models"]'
            )
        return self._models

    def manifest(self) -> dict[str, Any]:
        """What the run was made with and what it cost."""
        return self._manifest

    def plot(self) -> Figure:
        """Accuracy over simulated time, a panel a task: mean over the seeds with its spread."""
        from .figures import accuracy_figure

        return accuracy_figure(self)

    def save(self, folder: str | Path, extras: Iterable[str] = ()) -> Path:
        """Write the folder that ``fedast run`` leaves; ``fedast_jax.load_result`` reads it.

        Args:
            folder: must not exist.
            extras: of ``"requests"``, ``"models"`` and ``"partition"``, tables beyond the usual.
        Raises:
            OutputError: the folder could not be written; the message says where the results are.
            ValueError: the run has not kept what an extra holds.
        """
        from .run_folder import check_folder, save

        check_folder(Path(folder))
        return save(self, Path(folder), check_extras(self, extras))

    def __repr__(self) -> str:
        """One line."""
        return f"<Result of {self.config.in_words}; {last_means(self.summary())}; {self.status}>"

    def _repr_html_(self) -> str:
        """The table that the command line prints."""
        return result_sheet(self.summary()).to_html()

    def config_of(self, name: str) -> TaskConfig:
        """The settings of a task by its name."""
        return next(task.settings for task in self.config.named_tasks if task.name == name)


def _manifest(config: Config, mine: list[ReplicateRecord], run: RunRecord) -> dict[str, Any]:
    counts, machine = run.counts, run.machine
    return {
        "status": run.status,
        "versions": machine.get("versions"),
        "device": machine.get("device"),
        "precision": config.machine.precision,
        "fidelity": config.fidelity,
        "seconds": asdict(run.seconds) | {"wall": run.wall_seconds},
        "counts": {
            "updates": counts.updates,
            "batches": counts.batches,
            "empty_slots": counts.slots - counts.updates,
            "segments": counts.segments,
            "arrivals": sum(record.num_arrivals for record in mine),
        },
        "batch_width": run.batch_width,
        "num_devices": run.num_devices,
        "side_by_side": config.machine.side_by_side,
        "resident_replicates": run.num_resident,
        "memory": {
            "estimated_bytes": run.estimated_bytes,
            "program_temp_bytes": run.temp_bytes,
            "peak_bytes": machine.get("peak_bytes"),
        },
    }
