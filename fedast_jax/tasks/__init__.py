"""The registry of task kinds: one file per task, one line here."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..config.closest import did_you_mean
from ..config.errors import ConfigError
from ..config.plugins import load_entry_points
from ..config.settings import check_names
from ..config.words import show
from ..data.shapes import Data as Data
from ..data.shapes import Shape as Shape
from . import cifar10, cifar100, digits, fashion_mnist, mnist, shakespeare, tfds
from .base import Batch as Batch
from .base import Defaults as Defaults
from .base import Kind as Kind
from .base import Params as Params
from .base import TaskFunctions as TaskFunctions
from .classification import Normalise as Normalise
from .classification import classification as classification
from .judging import Metric as Metric
from .next_symbol import next_symbol as next_symbol
from .own import Task as Task

TASKS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        mnist.KIND,
        fashion_mnist.KIND,
        cifar10.KIND,
        cifar100.KIND,
        shakespeare.KIND,
        digits.MLP_KIND,
        digits.CNN_KIND,
        tfds.KIND,
    )
}


BUILT_IN = frozenset(TASKS)
log = logging.getLogger("fedast_jax")


def get_kind(name: str) -> Kind:
    """The kind of this name.

    Raises:
        ValueError: if there is none; the message names the nearest one.
    """
    if name not in TASKS:
        load_entry_points("tasks", lambda found, value: register_task(found, value))
    if name in TASKS:
        return TASKS[name]
    raise ValueError(
        f"unknown task kind {show(name)}; {did_you_mean(name, TASKS)}; an own one must be "
        f"registered before: fx.register_task, or --import of the module that does it"
    )


def register_task(name: str, task: Task | Kind) -> Task | Kind:
    """Make an own task a kind, so that a configuration can name it: ``kind = "NAME"``.

    Another own task of that name is replaced, with a note.

    Args:
        name: 1 to 64 letters, digits, ``_``, ``-`` and ``.``.
        task: of arrays, or a ``Kind``: a task as a function of the shape of a known data set.
    Returns:
        The task.
    Raises:
        ConfigError: the name is none, or that of a built-in kind; or there is no task.
    """
    try:
        check_names([name])
    except ValueError as error:
        raise ConfigError(f"register_task: {error}") from None
    if not isinstance(task, Task | Kind):
        raise ConfigError(f"register_task takes a Task, got {show(task)}")
    if name in BUILT_IN:
        raise ConfigError(f"{name!r} is a task of this package: call your own by another name")
    kind = task.kind(name) if isinstance(task, Task) else replace(task, name=name)
    if name in TASKS and not _are_equal(TASKS[name], kind):
        log.warning(
            "the task %r takes the place of an earlier one of this name, also in configurations "
            "and results that were made with that one",
            name,
        )
    TASKS[name] = kind
    return task


def _are_equal(one: Kind, other: Kind) -> bool:
    """Whether two kinds are made from the same task."""
    return (one.build, one.load) == (other.build, other.load)
