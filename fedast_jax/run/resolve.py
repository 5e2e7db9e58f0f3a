"""A configuration resolved: what it leaves out filled in, what it names looked up, once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ..algorithms import ALGORITHMS, Algorithm, find_algorithm, get_algorithm
from ..algorithms.allocation import Rules
from ..algorithms.authors import rules_of
from ..algorithms.labels import check_labels
from ..algorithms.methods.record import Method
from ..algorithms.methods.server_optimizers import SERVER_OPTIMIZERS
from ..clients.availability import check_availability
from ..clients.delays import check_delays, known_keys
from ..config.settings import Config, check_config
from ..config.shipped import Source
from ..config.tables import AvailabilityConfig, DelayConfig, Registries, TaskConfig
from ..config.words import show
from ..config.work import LocalWork
from ..tasks import Kind, get_kind
from .method_settings import check_method_settings, with_method_names
from .sources import is_plain, read_source, registered


class ResolvedTask(NamedTuple):
    """One task with all that its name and kind stand for."""

    name: str
    settings: TaskConfig
    kind: Kind  # with the model of whom the configuration follows
    work: LocalWork  # of one request, as the algorithm has it
    method: Method  # what is made of its arrivals


class Resolved(NamedTuple):
    """A configuration with all that it names."""

    config: Config
    algorithm: Algorithm
    rules: Rules  # of whom it follows
    tasks: tuple[ResolvedTask, ...]


def resolve(config: Config) -> Resolved:
    """Look up what a configuration names."""
    algorithm, rules = get_algorithm(config.algorithm), rules_of(config)
    tasks = [
        ResolvedTask(
            name,
            settings,
            _followed(get_kind(settings.kind), rules).with_side_by_side(
                config.machine.side_by_side.get(settings.kind)
            ),
            settings.work.pooled() if algorithm.pools_data else settings.work,
            method_of(algorithm, settings),
        )
        for name, settings in config.named_tasks
    ]
    return Resolved(config, algorithm, rules, tuple(tasks))


def method_of(algorithm: Algorithm, task: TaskConfig) -> Method:
    """What an algorithm makes of a task's arrivals."""
    stepping = SERVER_OPTIMIZERS[task.server_optimizer]
    if algorithm.method is None:
        return stepping
    if not algorithm.method.leaves_step_open:
        return algorithm.method
    return replace(algorithm.method, init=stepping.init, step=stepping.step)


def _followed(kind: Kind, rules: Rules) -> Kind:
    """With the model of the paper, or of the authors' code where that differs."""
    return kind.with_authors_model() if rules.authors_models else kind


def load_config(source: Source, overrides: Iterable[str] = (), **settings: Any) -> Config:
    """Read a configuration and apply ``key=value`` overrides (values in TOML, bare words as text).

    A relative path to a trace is looked for from the file's folder; in an override, from the
    working directory. Where an override sets another algorithm, settings that were not given are
    its own defaults.

    Args:
        source: the name of a shipped configuration, the path of a TOML file, a nested table of
            settings, a Config, or tasks by name, some of them ``Task``.
        overrides: for example ``["num_seeds=3", "tasks.mnist.buffer_size=5"]``.
        settings: more, by key: ``time_limit=300``; ``seeds`` stands for ``num_seeds``.
    Raises:
        ConfigError: the file is missing or broken, or a setting cannot be run.
    """
    if is_plain(source, overrides, settings):
        assert isinstance(source, Config)
        return source
    return make_config(read_source(source, overrides, settings))


def make_config(table: Mapping[str, Any]) -> Config:
    """Complete a nested table of settings by its kinds' defaults, and check it.

    Raises:
        ConfigError: with the first setting that is wrong, its value and the fix.
    """
    return check_config(registered(with_method_names(table)), _Known())


class _Known(Registries):
    """The kinds, algorithms and laws that there are."""

    def complete(self, table: Mapping[str, Any]) -> Mapping[str, Any]:
        """With the defaults of every task's kind."""
        name = table.get("algorithm", "fedast")
        found = find_algorithm(name) if isinstance(name, str) else None
        algorithm = found or ALGORITHMS["fedast"]
        tasks = {
            name: _with_defaults(name, task, algorithm) for name, task in table["tasks"].items()
        }
        return {**_clients_of(tasks), **table, "tasks": tasks}

    def check_delays(self, delays: DelayConfig) -> None:
        """As ``clients.delays`` does."""
        check_delays(delays)

    def delay_parameters(self, law: str) -> Sequence[str]:
        """As ``clients.delays`` knows them."""
        return known_keys(law)

    def check_availability(self, availability: AvailabilityConfig) -> None:
        """As ``clients.availability`` does."""
        check_availability(availability)

    def check_task(self, task: TaskConfig) -> None:
        """Against its kind: who holds the data, and which data it is."""
        kind = get_kind(task.kind)
        if kind.dataset is None and task.dataset is None:
            raise ValueError(f"kind {task.kind!r} needs dataset, the name of a data set")
        if kind.dataset is not None and task.dataset is not None:
            raise ValueError(
                f"dataset is for kinds that leave it open, as 'tfds' does; kind {task.kind!r} has "
                f"{kind.dataset!r}: leave it out"
            )
        _check_metric(task, kind)
        if kind.defaults.samples_per_client is None:
            _check_given_clients(task)
        elif kind.num_clients and kind.defaults.dirichlet_alpha is None:
            _check_equal_clients(task, kind)
        elif task.samples_per_client is None or task.dirichlet_alpha is None:
            raise ValueError(
                f"kind {task.kind!r} needs numbers for samples_per_client and dirichlet_alpha"
            )

    def check_kinds(self, names: Iterable[str]) -> None:
        """As the registry of tasks knows them."""
        for name in names:
            get_kind(name)

    def check_methods(self, labels: Sequence[str], allocation: str) -> None:
        """As ``algorithms.labels`` does."""
        check_labels(labels, allocation)

    def check_algorithm(self, config: Config) -> None:
        """As the algorithm itself does; and that own tasks have the clients that there are."""
        _check_clients(config)
        algorithm = get_algorithm(config.algorithm)
        algorithm.check(config)
        check_method_settings(config, algorithm.method)


def _check_given_clients(task: TaskConfig) -> None:
    """Settings that make no sense where clients hold what they hold."""
    for name in ("samples_per_client", "dirichlet_alpha", "local_epochs"):
        if getattr(task, name) is not None:
            raise ValueError(
                f"{name} has no meaning for kind {task.kind!r}, whose clients hold different "
                f"numbers of samples: leave it out (and give local_steps)"
            )
    if task.batch_size == "all":
        raise ValueError(f"batch_size must be a number for kind {task.kind!r}, got 'all'")


def _check_equal_clients(task: TaskConfig, kind: Kind) -> None:
    """Settings that follow from how an own task's data is divided."""
    size = kind.defaults.samples_per_client
    if task.samples_per_client != size or task.dirichlet_alpha is not None:
        raise ValueError(
            f"samples_per_client={size} follows from the clients of kind {task.kind!r}, and they "
            f"have no dirichlet_alpha: leave both out"
        )


def _check_metric(task: TaskConfig, kind: Kind) -> None:
    """What tests measure is the kind's to say."""
    if task.goal != kind.goal:
        raise ValueError(
            f"metric and metric_goal are those of kind {task.kind!r} "
            f"({kind.goal.metric}, {kind.goal.word!r}): leave them out"
        )


def _num_clients_by_kind(kinds: Iterable[str]) -> dict[str, int]:
    """Of the kinds whose data has one division, how many clients it is for."""
    found = {name: get_kind(name).num_clients for name in kinds}
    return {name: number for name, number in found.items() if number is not None}


def _clients_of(tasks: Mapping[str, Any]) -> dict[str, int]:
    """The default of ``num_clients`` where a task's data says how many there are."""
    kinds = (task.kind if isinstance(task, TaskConfig) else task["kind"] for task in tasks.values())
    numbers = list(_num_clients_by_kind(kinds).values())
    return {"num_clients": numbers[0]} if numbers else {}


def _check_clients(config: Config) -> None:
    """Raise ValueError where tasks are for another number of clients than there are."""
    kinds = [task.kind for task in config.tasks.values()]
    for name, number in _num_clients_by_kind(kinds).items():
        if number != config.num_clients:
            raise ValueError(
                f"all tasks share one pool of clients, but the data of kind {name!r} is divided "
                f"over {number}, and num_clients={config.num_clients}: divide it over as many"
            )


def _with_defaults(name: Any, task: Any, algorithm: Algorithm) -> Any:
    if isinstance(task, TaskConfig):
        return task
    if not isinstance(task, Mapping):
        raise ValueError(f"tasks.{name} must be a table of settings, got {show(task)}")
    kind_name = task.get("kind", name)
    if not isinstance(kind_name, str):
        raise ValueError(f"tasks.{name}.kind must be a text, got {show(kind_name)}")
    changed = None if algorithm.is_synchronous else algorithm.defaults
    numbers = {} if algorithm.method is None else algorithm.method.numbers
    own = {name: number.default for name, number in numbers.items()}
    given = task.get("method", {})
    both = {"method": {**own, **given}} if isinstance(given, Mapping) else {}
    return {"kind": kind_name, **get_kind(kind_name).settings_for(task, changed), **both}
