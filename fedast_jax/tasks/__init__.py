"""The registry of task kinds: one file per task, one line here."""

from __future__ import annotations

from ..config.closest import did_you_mean
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
from .next_symbol import next_symbol as next_symbol

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


def get_kind(name: str) -> Kind:
    """The kind of this name.

    Raises:
        ValueError: if there is none; the message names the nearest one.
    """
    if name in TASKS:
        return TASKS[name]
    raise ValueError(f"unknown task kind {name!r}; {did_you_mean(name, TASKS)}")


def register(kind: Kind) -> Kind:
    """Add a user's own kind, so that a configuration can name it.

    Raises:
        ValueError: if the name is taken by another kind.
    """
    if TASKS.get(kind.name, kind) is not kind:
        raise ValueError(f"task kind {kind.name!r} exists already; choose another name")
    TASKS[kind.name] = kind
    return kind
