"""What was asked for: a frozen, typed, checked configuration; TOML in, TOML out."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ..algorithms import ALGORITHMS, Algorithm, get_algorithm
from ..clients.delays import TRACE, check_delays
from ..engine.local_train import LocalWork
from ..study.methods import check_methods
from ..tasks import Kind, get_kind
from .choices import Allocation, Fidelity, Precision, ServerOptimizer
from .grid import check_grid, flat_keys, parse_value

Count = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]


class ConfigError(ValueError):
    """A setting that cannot be run; the message is one sentence with the value and the fix."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DelayConfig(_Table):
    """How long a request takes: step time of the task, speed of the client, law (Appendix C.6)."""

    law: str = "shifted_exponential"
    speeds: Annotated[tuple[Rate, ...], Field(strict=False)] = (1.3, 1.0, 0.7)
    shares: Annotated[tuple[Share, ...], Field(strict=False)] = (0.25, 0.5, 0.25)
    trace: str | None = None  # law "trace": file of recorded durations, an absolute path
    trace_scale: Rate = 1.0  # simulated time of one unit of theirs
    classes: Annotated[tuple[str, ...], Field(strict=False)] = ()  # device classes; (): all

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
    def _check(self) -> Self:
        check_delays(self)
        return self


class TaskConfig(_Table):
    """One task (or ``copies`` equal ones). What a file leaves out comes from the kind."""

    kind: str
    dataset: str | None = None  # kind "tfds": the name of the TFDS data set
    copies: Count = 1
    num_active: Count  # R_m: requests of the task in flight
    buffer_size: Count  # b_m: updates in one aggregation
    target_accuracy: Share | Literal["none"] = "none"
    max_rounds: Count | None = None  # T_m
    test_every: Count  # rounds between two tests
    client_lr: Rate  # eta_c
    server_lr: Rate  # eta_s
    server_optimizer: ServerOptimizer = "sgd"
    weight_decay: NonNegative
    sync_weight: Rate = 1.0  # synchronous algorithms: share of the active clients, relative
    batch_size: Count | Literal["all"]
    local_epochs: Count | None = None
    local_steps: Count | None = None
    samples_per_client: Count | None = None  # None: the kind's data says who the clients are
    dirichlet_alpha: Rate | None = None
    test_samples: Count | None = None  # examples, evenly spaced, that tests use; None: all
    step_time: Rate  # beta_m: the constant part of one local step's duration at speed 1

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.buffer_size > self.num_active:
            raise ValueError(
                f"buffer_size must be at most num_active={self.num_active}, got {self.buffer_size}"
            )
        if (self.local_epochs is None) == (self.local_steps is None):
            raise ValueError("give either local_epochs or local_steps, not both and not neither")
        if (self.kind == "tfds") != (self.dataset is not None):
            raise ValueError('dataset is needed for kind "tfds" and for no other kind')
        if get_kind(self.kind).defaults.samples_per_client is None:
            self._check_given_clients()
        elif self.samples_per_client is None or self.dirichlet_alpha is None:
            raise ValueError(
                f"kind {self.kind!r} needs numbers for samples_per_client and dirichlet_alpha"
            )
        elif self.local_epochs and self._batch > self.samples_per_client:
            raise ValueError(
                f"batch_size must be at most samples_per_client={self.samples_per_client} "
                f"(a partial batch is dropped), got {self.batch_size}"
            )
        return self

    def _check_given_clients(self) -> None:
        """Settings that make no sense where clients hold what they hold."""
        for name in ("samples_per_client", "dirichlet_alpha", "local_epochs"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} has no meaning for kind {self.kind!r}, whose clients hold different "
                    f"numbers of samples: leave it out (and give local_steps)"
                )
        if self.batch_size == "all":
            raise ValueError(f"batch_size must be a number for kind {self.kind!r}, got 'all'")

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


class Config(_Table):
    """A simulation: one pool of clients, several tasks, one or more seeds."""

    name: str = "run"
    algorithm: str = "fedast"
    allocation: Allocation = "static"  # options S and D
    fidelity: Fidelity = "paper"  # whom to follow where the paper and its authors' code differ
    compare: Annotated[tuple[str, ...], Field(strict=False)] = ()  # algorithms, on the same seeds
    sweep: dict[str, list[Any]] = {}  # values of other settings, by dotted key
    paired_seeds: bool = True  # sweep: the same seeds for every setting
    keep_first: Count | Literal["all"] = 30  # k: arrivals of a task that a synchronous round keeps
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    num_seeds: Count = 1
    num_clients: Count = 1000
    max_active_clients: Count | None = None
    time_limit: Rate | None = None  # simulated time
    max_updates: Count | None = None  # arrivals of a replicate, all tasks together
    precision: Precision = "float32"
    batch_width: Count | None = None  # W; None: from the device
    memory_gib: Rate | None = None  # budget for all a run takes; None: from the device
    num_devices: Count = 1  # that share the slots of every batch
    checkpoint_seconds: NonNegative = 60.0  # of wall time; 0: after every segment
    delays: DelayConfig = DelayConfig()
    tasks: dict[str, TaskConfig]

    @model_validator(mode="before")
    @classmethod
    def _fill_in_kinds(cls, table: Any) -> Any:
        if not isinstance(table, Mapping) or not isinstance(table.get("tasks"), Mapping):
            return table
        algorithm = ALGORITHMS.get(table.get("algorithm", "fedast"), ALGORITHMS["fedast"])
        tasks = {
            name: _with_defaults(name, task, algorithm) for name, task in table["tasks"].items()
        }
        return {**table, "tasks": tasks}

    @field_validator("compare", mode="after")
    @classmethod
    def _check_methods(cls, labels: tuple[str, ...], known: ValidationInfo) -> tuple[str, ...]:
        check_methods(labels, known.data.get("allocation", "static"))
        return labels

    @field_validator("sweep", mode="before")
    @classmethod
    def _dotted(cls, table: Any) -> Any:
        """TOML reads ``a.b = [1, 2]`` as a table in a table."""
        return dict(flat_keys(table)) if isinstance(table, Mapping) else table

    @field_validator("sweep", mode="after")
    @classmethod
    def _check_values(cls, grid: dict[str, list[Any]]) -> dict[str, list[Any]]:
        check_grid(grid)
        return grid

    @model_validator(mode="after")
    def _check(self) -> Self:
        algorithm = get_algorithm(self.algorithm)
        if not self.tasks:
            raise ValueError("at least one [tasks.NAME] table is needed")
        algorithm.check(self)
        if self.max_active_clients and self.max_active_clients > self.num_clients:
            raise ValueError(
                f"max_active_clients must be at most num_clients={self.num_clients}, "
                f"got {self.max_active_clients}"
            )
        if self.batch_width and self.batch_width % self.num_devices:
            raise ValueError(
                f"batch_width must be a multiple of num_devices={self.num_devices}, "
                f"got {self.batch_width}"
            )
        endless = [name for name, task in self.tasks.items() if task.max_rounds is None]
        if endless and self.time_limit is None and self.max_updates is None:
            raise ValueError(
                f"nothing ends the run for certain: set time_limit, max_updates, "
                f"or tasks.{endless[0]}.max_rounds"
            )
        return self

    @property
    def named_tasks(self) -> tuple[NamedTask, ...]:
        """Every task once, copies numbered from 1 (``cifar10_1``, ``cifar10_2``, ...)."""
        return tuple(
            NamedTask(name if task.copies == 1 else f"{name}_{copy + 1}", task)
            for name, task in self.tasks.items()
            for copy in range(task.copies)
        )

    def work_of(self, task: TaskConfig) -> LocalWork:
        """The shapes of one request of a task with this algorithm."""
        return task.work.pooled() if get_algorithm(self.algorithm).pools_data else task.work

    @property
    def seeds(self) -> range:
        """The seed of every replicate."""
        return range(self.seed, self.seed + self.num_seeds)

    def to_dict(self) -> dict[str, Any]:
        """Every setting, defaults included; what is None or an empty study is left out."""
        empty = {name for name in ("compare", "sweep") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude_none=True, exclude=empty)

    def to_toml(self) -> str:
        """The complete configuration as TOML; loading it gives an equal configuration."""
        return tomli_w.dumps(self.to_dict())


def _with_defaults(name: str, task: Any, algorithm: Algorithm) -> Any:
    if isinstance(task, TaskConfig):
        return task
    if not isinstance(task, Mapping):
        raise ValueError(f"tasks.{name} must be a table of settings, got {task!r}")
    kind_name = task.get("kind", name)
    if not isinstance(kind_name, str):
        raise ValueError(f"tasks.{name}.kind must be a string, got {kind_name!r}")
    defaults = _kind_defaults(get_kind(kind_name), task, algorithm)
    return {"kind": kind_name, **defaults, **task}


def _kind_defaults(kind: Kind, given: Mapping[str, Any], algorithm: Algorithm) -> dict[str, Any]:
    defaults = {key: value for key, value in asdict(kind.defaults).items() if value is not None}
    synchronous = defaults.pop("synchronous")
    defaults |= synchronous if algorithm.is_synchronous else algorithm.defaults
    if "local_steps" in given or "local_epochs" in given:
        defaults.pop("local_steps", None)
        defaults.pop("local_epochs", None)
    return defaults


def load_config(path: str | Path, overrides: Iterable[str] = ()) -> Config:
    """Read a TOML file and apply ``key=value`` overrides (values in TOML, bare words as strings).

    A relative path to a trace is looked for from the file's folder; in an override, from the
    working directory.

    Raises:
        ConfigError: the file is missing or broken, or a setting cannot be run.
    """
    return make_config(load_table(path, overrides))


def load_table(path: str | Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
    """What ``load_config`` reads, before it is checked and completed.

    Raises:
        ConfigError: the file is missing or broken, or an override is no ``key=value``.
    """
    try:
        text = Path(path).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read the configuration {str(path)!r}: {reason}") from None
    table = _parse_toml(text, str(path))
    table.setdefault("name", Path(path).stem)
    _place_trace(table, Path(path).parent)
    for override in overrides:
        apply_override(table, override)
    _place_trace(table, Path())
    return table


def make_config(table: Mapping[str, Any]) -> Config:
    """Check a nested table of settings.

    Raises:
        ConfigError: with the first setting that is wrong, its value and the fix.
    """
    try:
        return Config.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None


def _parse_toml(text: str, path: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path!r} is not valid TOML: {error}") from None


def _place_trace(table: dict[str, Any], folder: Path) -> None:
    delays = table.get("delays")
    if isinstance(delays, dict) and isinstance(delays.get("trace"), str) and delays["trace"]:
        delays["trace"] = str(folder.absolute() / delays["trace"])


def apply_override(table: dict[str, Any], override: str) -> None:
    """Set one ``key=value`` in nested tables, in place.

    Raises:
        ConfigError: it does not read so.
    """
    key, sign, text = override.partition("=")
    names = key.strip().split(".")
    if not sign or not all(names):
        raise ConfigError(f"an override must read key=value, got {override!r}")
    set_value(table, key, parse_value(text))


def set_value(table: dict[str, Any], key: str, value: Any) -> None:
    """Put a value at a dotted key of nested tables, in place.

    Raises:
        ConfigError: the key leads through a value.
    """
    names = key.strip().split(".")
    for name in names[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"cannot set {key!r}: {name!r} is a value, not a table")
    table[names[-1]] = value


def _explain(error: ValidationError) -> str:
    """The first problem as one sentence: an unknown key before all else."""
    details = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    where = _keys(details[0]["loc"])
    place, first = ".".join(where), details[0]
    if first["type"] == "extra_forbidden":
        return _unknown_key(where)
    if first["type"] == "missing":
        return f"{place} is missing"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "value_error":
        return f"{place}: {message}" if place else message
    message = message.replace("Input should", "must")
    words = [one.get("ctx", {})["expected"] for one in details[1:] if _is_word(one, where)]
    return f"{place}: {' or '.join([message, *words])}, got {first['input']!r}"


def _is_word(details: Any, where: list[str]) -> bool:
    """Whether this is the other arm of a setting that is a number or a word."""
    return details["type"] == "literal_error" and _keys(details["loc"]) == where


def _keys(location: Iterable[str | int]) -> list[str]:
    """Pydantic's location without the names of a union's arms."""
    parts = [str(part) for part in location]
    return [part for part in parts if not part.startswith(("constrained-", "literal["))]


def _unknown_key(where: list[str]) -> str:
    table = Config
    if where[0] == "delays" and len(where) > 1:
        table = DelayConfig
    elif where[0] == "tasks" and len(where) > 2:
        table = TaskConfig
    known = list(table.model_fields)
    near = difflib.get_close_matches(where[-1], known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known here are {', '.join(sorted(known))}"
    return f"unknown key {'.'.join(where)!r}; {hint}"


PRECISIONS: tuple[str, ...] = get_args(Precision)
