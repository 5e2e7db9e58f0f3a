"""What a simulation keeps of its requests and tasks, and what it asks of models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from ..config.tables import TaskConfig

Model = Any
Update = Any


@dataclass
class Request:
    """One local training job."""

    number: int
    task: int
    client: int
    dispatched_at: float
    started_at: float
    arrived_at: float
    base_round: int
    is_doomed: bool = False  # whether it will be lost
    status: str = "in_flight"
    used_round: int | None = None


@dataclass
class TaskState:
    """What the server knows of one task."""

    index: int
    name: str
    settings: TaskConfig
    num_active: int  # R_m
    buffer_size: int  # b_m
    versions: list[Model]  # all models so far; the last one is the current one
    round_size: int = 0  # b_m when the present round opened
    in_flight: int = 0
    owed: int = 0  # dispatches dropped for too many active clients; A_m is in_flight + owed
    buffer: list[tuple[Request, Update]] = field(default_factory=list)  # B_m
    arrived: list[Update] = field(default_factory=list)  # the last V of them
    losses: list[float] = field(default_factory=list)  # of all arrivals
    is_stopped: bool = False
    last_of: dict[int, Update] = field(default_factory=dict)  # client -> its last update used
    kept: list[Any] = field(default_factory=list)  # what the method keeps beside the model

    @property
    def round(self) -> int:
        """t_m."""
        return len(self.versions) - 1


class Allocation(NamedTuple):
    """Who has how much from one event on."""

    time: float
    arrivals: int
    num_active: tuple[int, ...]
    buffer_size: tuple[int, ...]
    sigma_hat: tuple[float, ...] | None = None


class Known(NamedTuple):
    """What the server knows of the updates of a round, one entry each, in order of arrival."""

    staleness: list[int]
    weights: list[float]  # s(staleness)
    previous: list[Update | None]  # the last update of the same client that a round used
    starts: list[Model]  # the versions that they were trained from
    num_clients: int  # N
    num_active: int  # R_m
    state: list[Any]  # what the server keeps of the task, changed in place


class Learner(Protocol):
    """What models are. The event loop does not look inside them."""

    def initial(self, seed: int, task: int) -> Model:
        """Version 0."""
        ...

    def train(self, seed: int, request: Request, model: Model) -> tuple[Update, float]:
        """Algorithm 1: ``x - x_tau``, and the mean loss over the steps."""
        ...

    def aggregate(self, task: int, model: Model, updates: list[Update], known: Known) -> Model:
        """The server's step."""
        ...

    def score(self, task: int, model: Model) -> tuple[float, float]:
        """Accuracy (or the task's own metric) and loss on the test set."""
        ...

    def spread(self, updates: list[Update]) -> float:
        """``(1/V) sum ||u_i - mean||^2 / ||mean||^2``."""
        ...

    def spread_without_biases(self, updates: list[Update]) -> float:
        """The same over what is not called a bias."""
        ...
