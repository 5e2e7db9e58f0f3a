"""The tables inside a configuration: the delays, the machine, the study, one task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from .bounds import (
    MOST_CLASSES,
    MOST_STEPS,
    BatchSize,
    Chance,
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
    ShareOn,
    SideBySide,
    Span,
    Tasks,
    Time,
    Value,
    Wait,
    Width,
)
from .choices import Precision, ServerOptimizer, Staleness, WhenOff
from .closest import did_you_mean
from .goal import ACCURACY, Goal, Word
from .grid import check_grid, flat_keys
from .words import show
from .work import LocalWork

TRACE = "trace"  # the duration law of what was recorded on real devices, class by class
DEVICES = "devices"  # that of devices measured one by one
RECORDED = (TRACE, DEVICES)
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

    def delay_parameters(self, law: str) -> Sequence[str]:
        """What a duration law can be given."""
        del law
        return ()

    def check_availability(self, availability: AvailabilityConfig) -> None:
        """Raise ValueError where there is no such law, or it takes other settings."""

    def check_task(self, task: TaskConfig) -> None:
        """Raise ValueError where there is no such kind, or it takes other settings."""

    def check_kinds(self, names: Iterable[str]) -> None:
        """Raise ValueError where there is no such kind."""

    def check_methods(self, labels: Sequence[str], allocation: str) -> None:
        """Raise ValueError where labels to compare are unknown or the same."""

    def check_algorithm(self, config: Any) -> None:
        """Raise ValueError where there is no such algorithm, or it does not suit the rest."""


def registries(known: ValidationInfo) -> Registries:
    """Those that a validation was given."""
    return known.context if isinstance(known.context, Registries) else Registries()


class DelayConfig(Table):
    """How long a request takes: step time of the task, speed of the client, law (Appendix C.6).

    What else stands in the table are the law's parameters.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    law: str = "shifted_exponential"
    speeds: Annotated[tuple[Time, ...], LIST] = (1.3, 1.0, 0.7)
    shares: Annotated[tuple[Share, ...], LIST] = (0.25, 0.5, 0.25)
    trace: str | None = None  # laws "trace", "devices": file of what was recorded, an absolute path
    trace_scale: Time = 1.0  # simulated time of one unit of theirs
    classes: Annotated[tuple[str, ...], LIST] = ()  # device classes; (): all

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the law that are given."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _fill_in_trace(cls, table: Any) -> Any:
        """A trace has no speeds, and its shares are its own; its path holds wherever one goes."""
        if not isinstance(table, Mapping) or table.get("law") not in RECORDED:
            return table
        return {"speeds": (), "shares": (), **absolute(table)}

    @model_validator(mode="after")
    def _check(self, known: ValidationInfo) -> Self:
        parameters = registries(known).delay_parameters(self.law)
        for key in self.parameters:
            if isinstance(known.context, Registries) and key not in parameters:
                names = [*type(self).model_fields, *parameters]
                hint = did_you_mean(key, names, "known here are")
                message = f"unknown key {show(f'delays.{key}')}; {hint}"
                raise PydanticCustomError("unknown_key", "{message}", {"message": message})
        registries(known).check_delays(self)
        return self


class AvailabilityConfig(Table):
    """When clients are on, and what becomes of requests at clients that go off."""

    law: str = "always"
    mean_on: Span | None = None  # law "on_off": of exponential times
    mean_off: Span | None = None
    share_on: ShareOn | None = None  # law "diurnal": of every period
    period: Span | None = None  # laws "diurnal" and "trace"
    trace: str | None = None  # law "trace": file of intervals, an absolute path
    when_off: WhenOff = "wait"
    loss: Chance = 0.0  # the share of requests that are lost on their way

    @model_validator(mode="before")
    @classmethod
    def _place_trace(cls, table: Any) -> Any:
        """A path holds wherever one goes."""
        return absolute(table) if isinstance(table, Mapping) else table

    @model_validator(mode="after")
    def _check(self, known: ValidationInfo) -> Self:
        registries(known).check_availability(self)
        return self


def absolute(table: Mapping[str, Any]) -> dict[str, Any]:
    """With the path of its trace, if there is one, from the root."""
    path = table.get("trace")
    if not isinstance(path, str) or not path:
        return dict(table)
    return {**table, "trace": str(Path(path).absolute())}


class MachineConfig(Table):
    """What computes, and how: its memory, its devices, the precision of products."""

    precision: Precision = "float32"
    batch_width: Width | None = None  # W; None: from the device
    memory_gib: Rate | None = None  # budget for all a run takes; None: from the device
    num_devices: Devices | None = None  # that share every batch; None: on a CPU one a core
    side_by_side: dict[str, SideBySide] = Field(
        default_factory=dict
    )  # clients trained side by side on a device, by kind; of others as many as suit them
    checkpoint_seconds: Wait = 60.0  # of wall time; 0: after every segment

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.batch_width and self.batch_width % (self.num_devices or 1):
            raise ValueError(
                f"batch_width must be a multiple of num_devices={self.num_devices}, "
                f"got {self.batch_width}"
            )
        return self

    @field_validator("side_by_side", mode="after")
    @classmethod
    def _check_side_by_side(cls, numbers: dict[str, int], known: ValidationInfo) -> dict[str, int]:
        registries(known).check_kinds(numbers)
        for kind, number in numbers.items():
            if number & (number - 1):
                power = 1 << (number.bit_length() - 1)
                raise ValueError(
                    f"clients of {kind!r} side by side are a power of two, got {number}: take "
                    f"{power} or {2 * power}"
                )
        return numbers


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
    metric: str | None = None  # what tests measure, as the kind has it; None: accuracy
    metric_goal: Word | None = None  # which side of a target of that metric is the good one
    target_metric: Value | Literal["none"] | None = None  # instead of target_accuracy
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
        self._check_target()
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

    def _check_target(self) -> None:
        """It is one of what tests measure."""
        if self.metric is None and self.target_metric is not None:
            raise ValueError(
                f"target_metric is for kinds with a metric of their own; {self.kind!r} is judged "
                f"by its accuracy: give target_accuracy"
            )
        if self.metric is not None and self.target_accuracy != "none":
            raise ValueError(
                f"kind {self.kind!r} is judged by its {self.metric}, not by its accuracy: give "
                f"target_metric"
            )

    @property
    def _batch(self) -> int:
        if self.batch_size != "all":
            return self.batch_size
        assert self.samples_per_client is not None
        return self.samples_per_client

    @property
    def target(self) -> float | None:
        """What tests must reach, as a number, or None where the task has no target."""
        target = self.target_accuracy if self.metric is None else self.target_metric
        return None if target == "none" else target

    @property
    def goal(self) -> Goal:
        """What tests measure, and which way is better."""
        return Goal(self.metric or ACCURACY, self.metric_goal or "at least")

    @property
    def work(self) -> LocalWork:
        """The shapes of one request's training."""
        return LocalWork(self._batch, self.local_epochs, self.local_steps, self.samples_per_client)


class NamedTask(NamedTuple):
    """One task after ``copies`` have been written out."""

    name: str
    settings: TaskConfig
