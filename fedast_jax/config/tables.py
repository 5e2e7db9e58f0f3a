"""The tables inside a configuration: the delays, the machine, the study, one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from .bounds import (
    MOST_CLASSES,
    MOST_STEPS,
    BatchSize,
    Devices,
    Events,
    Examples,
    Local,
    NonNegative,
    Number,
    Rate,
    Requests,
    Samples,
    Share,
    Tasks,
    Time,
    Wait,
    Width,
)
from .choices import Precision, ServerOptimizer, Staleness
from .grid import check_grid, flat_keys
from .work import LocalWork

TRACE = "trace"  # the duration law of what was recorded on real devices
HYPERPARAMETERS = Field(max_length=MOST_CLASSES)
LIST = Field(strict=False, max_length=MOST_CLASSES)


class Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Registries:
    """What the checks ask of kinds, algorithms and laws; this one knows none and allows all."""

    def complete(self, table: Mapping[str, Any]) -> Mapping[str, Any]:
        """The table with its tasks' defaults filled in."""
        return table

    def check_delays(self, delays: DelayConfig) -> None:
        """Raise ValueError where there is no such law, or it takes other settings."""

    def check_task(self, task: TaskConfig) -> None:
        """Raise ValueError where there is no such kind, or it takes other settings."""

    def check_methods(self, labels: Sequence[str], allocation: str) -> None:
        """Raise ValueError where labels to compare are unknown or the same."""

    def check_algorithm(self, config: Any) -> None:
        """Raise ValueError where there is no such algorithm, or it does not suit the rest."""


def registries(known: ValidationInfo) -> Registries:
    """Those that a validation was given."""
    return known.context if isinstance(known.context, Registries) else Registries()


class DelayConfig(Table):
    """How long a request takes: step time of the task, speed of the client, law (Appendix C.6)."""

    law: str = "shifted_exponential"
    speeds: Annotated[tuple[Time, ...], LIST] = (1.3, 1.0, 0.7)
    shares: Annotated[tuple[Share, ...], LIST] = (0.25, 0.5, 0.25)
    trace: str | None = None  # law "trace": file of recorded durations, an absolute path
    trace_scale: Time = 1.0  # simulated time of one unit of theirs
    classes: Annotated[tuple[str, ...], LIST] = ()  # device classes; (): all

    @model_validator(mode="before")
    @classmethod
    def _fill_in_trace(cls, table: Any) -> Any:
        """A trace has no speeds, and its shares are its own; its path holds wherever one goes."""
        if not isinstance(table, Mapping) or table.get("law") != TRACE:
            return table
        path = table.get("trace")
        absolute = {"trace": str(Path(path).absolute())} if isinstance(path, str) and path else {}
        return {"speeds": (), "shares": (), **table, **absolute}

    @model_validator(mode="after")
    def _check(self, known: ValidationInfo) -> Self:
        registries(known).check_delays(self)
        return self


class MachineConfig(Table):
    """What computes, and how: its memory, its devices, the precision of products."""

    precision: Precision = "float32"
    batch_width: Width | None = None  # W; None: from the device
    memory_gib: Rate | None = None  # budget for all a run takes; None: from the device
    num_devices: Devices = 1  # that share the slots of every batch
    checkpoint_seconds: Wait = 60.0  # of wall time; 0: after every segment

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.batch_width and self.batch_width % self.num_devices:
            raise ValueError(
                f"batch_width must be a multiple of num_devices={self.num_devices}, "
                f"got {self.batch_width}"
            )
        return self


class StudyConfig(Table):
    """Which algorithms and settings are run side by side."""

    compare: Annotated[tuple[str, ...], LIST] = ()  # algorithms, on the same seeds
    sweep: dict[str, list[Any]] = Field(
        default_factory=dict
    )  # values of other settings, by dotted key
    paired_seeds: bool = True  # sweep: the same seeds for every setting
    settings: dict[str, dict[str, Any]] = Field(
        default_factory=dict
    )  # compare: of one algorithm alone, by its name there and dotted key

    @field_validator("sweep", mode="before")
    @classmethod
    def _dotted(cls, table: Any) -> Any:
        """TOML reads ``a.b = [1, 2]`` as a table in a table."""
        return dict(flat_keys(table)) if isinstance(table, Mapping) else table

    @field_validator("settings", mode="before")
    @classmethod
    def _dotted_in_each(cls, table: Any) -> Any:
        """As ``_dotted``, of each algorithm."""
        if not isinstance(table, Mapping):
            return table
        return {name: cls._dotted(settings) for name, settings in table.items()}

    @field_validator("settings", mode="after")
    @classmethod
    def _check_settings(cls, settings: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for each in settings.values():
            check_grid({key: [value] for key, value in each.items()})
        return settings

    @field_validator("sweep", mode="after")
    @classmethod
    def _check_values(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        check_grid(grid)
        return grid

    @property
    def is_wanted(self) -> bool:
        """Whether there are algorithms to compare or settings to sweep."""
        return bool(self.compare or self.sweep)


class TaskConfig(Table):
    """One task (or ``copies`` equal ones). What a file leaves out comes from the kind."""

    kind: str
    dataset: str | None = None  # kind "tfds": the name of the TFDS data set
    copies: Tasks = 1
    num_active: Requests  # R_m: requests of the task in flight
    buffer_size: Requests  # b_m: updates in one aggregation
    target_accuracy: Share | Literal["none"] = "none"
    max_rounds: Events | None = None  # T_m
    test_every: Events  # rounds between two tests
    client_lr: Rate  # eta_c
    server_lr: Rate  # eta_s
    server_optimizer: ServerOptimizer = "sgd"
    staleness: Staleness = "constant"  # the law of s, by which an update of some age counts
    staleness_a: NonNegative = 0.5  # its a
    staleness_bound: NonNegative = 4.0  # the hinge's B, in rounds
    proximal: NonNegative = 0.0  # mu: clients are held near the model that they began from
    method: Annotated[dict[str, Number], HYPERPARAMETERS] = Field(default_factory=dict)
    weight_decay: NonNegative
    sync_weight: Rate = 1.0  # synchronous algorithms: share of the active clients, relative
    batch_size: BatchSize | Literal["all"]
    local_epochs: Local | None = None
    local_steps: Local | None = None
    samples_per_client: Samples | None = None  # None: the kind's data says who the clients are
    dirichlet_alpha: Rate | None = None
    test_samples: Examples | None = None  # examples, evenly spaced, that tests use; None: all
    step_time: Time  # beta_m: the constant part of one local step's duration at speed 1

    @model_validator(mode="after")
    def _check(self, known: ValidationInfo) -> Self:
        if self.buffer_size > self.num_active:
            raise ValueError(
                f"buffer_size must be at most num_active={self.num_active}, got {self.buffer_size}"
            )
        if (self.local_epochs is None) == (self.local_steps is None):
            raise ValueError("give either local_epochs or local_steps, not both and not neither")
        registries(known).check_task(self)
        if self.local_epochs and self._batch > (self.samples_per_client or 0):
            raise ValueError(
                f"batch_size must be at most samples_per_client={self.samples_per_client} "
                f"(a partial batch is dropped), got {self.batch_size}"
            )
        if self.work.num_steps > MOST_STEPS:
            raise ValueError(
                f"a request has at most {MOST_STEPS:,} local steps, got {self.work.num_steps:,}; "
                f"lower local_epochs"
            )
        return self

    @property
    def _batch(self) -> int:
        if self.batch_size != "all":
            return self.batch_size
        assert self.samples_per_client is not None
        return self.samples_per_client

    @property
    def target(self) -> float | None:
        """The target accuracy as a number, or None where the task has none."""
        return None if self.target_accuracy == "none" else self.target_accuracy

    @property
    def work(self) -> LocalWork:
        """The shapes of one request's training."""
        return LocalWork(self._batch, self.local_epochs, self.local_steps, self.samples_per_client)


class NamedTask(NamedTuple):
    """One task after ``copies`` have been written out."""

    name: str
    settings: TaskConfig
