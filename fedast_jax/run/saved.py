"""A run's state together with what it is the state of: the whole content of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple, Self

import jax

from ..config import disk
from ..config.cores import divide_cpu
from ..config.errors import ResumeError, UserError
from ..config.settings import Config
from ..config.versions import package_version
from ..config.words import show
from ..results.output import reason_of
from ..tasks import get_kind
from .checkpoint import Checkpoints
from .devices import joined, named
from .driver import Driver
from .sizing import PoolNeeds, Sizing
from .snapshot import snapshot_of


class SavedRun(NamedTuple):
    """What a run goes on from."""

    configs: list[dict[str, Any]]  # every setting of each
    keeps: dict[str, bool]  # what else the result holds
    width: int  # W
    sizing: Sizing
    wall_seconds: float  # so far
    machine: dict[str, str]
    traces: dict[str, str]  # check sums of what was recorded
    data: dict[str, str]  # and of what own tasks train on
    driver: Mapping[str, Any]  # of ``snapshot.snapshot_of``

    @classmethod
    def content(cls, driver: Driver, sizing: Sizing, wall_seconds: float) -> dict[str, Any]:
        """Plain values, for ``Checkpoints.write``."""
        return {
            "configs": [arm.config.to_dict() for arm in driver.arms],
            "keeps": {"keep_models": driver.keep_models, "keep_requests": driver.keep_requests},
            "width": driver.pools[0].spec.width,
            "sizing": (sizing.num_resident, sizing.window, tuple(map(tuple, sizing.needs))),
            "wall_seconds": wall_seconds,
            "machine": _machine(),
            "traces": _traces([arm.config for arm in driver.arms]),
            "data": digests([arm.config for arm in driver.arms]),
            "driver": snapshot_of(driver),
        }

    @classmethod
    def find(
        cls, checkpoints: Checkpoints | None, configs: Sequence[Config], keeps: dict[str, bool]
    ) -> Self | None:
        """The newest usable checkpoint of this run, or None where there is no file.

        Raises:
            ResumeError: what there is cannot be used, or belongs to another run.
        """
        content = checkpoints.newest() if checkpoints else None
        if checkpoints is None or content is None:
            return None
        with putting_back(checkpoints):
            saved = cls._parse(content)
            divide_cpu(saved.num_devices)  # before anything asks JAX what it computes on
            saved._check(checkpoints, [config.to_dict() for config in saved.named(configs)], keeps)
            saved._check_traces(configs)
            check_digests(saved.data, configs)
            return saved

    @classmethod
    def _parse(cls, content: Mapping[str, Any]) -> Self:
        num_resident, window, needs = content["sizing"]
        sizing = Sizing(num_resident, window, tuple(PoolNeeds(*row) for row in needs))
        return cls(**{**content, "sizing": sizing})

    def named(self, configs: Sequence[Config]) -> list[Config]:
        """With what the run began with of what they leave to the machine."""
        numbers = [config["machine"].get("side_by_side", {}) for config in self.configs]
        return [named(config, self.num_devices, joined(numbers)) for config in configs]

    @property
    def num_devices(self) -> int:
        """Those that the run began with."""
        return self.configs[0]["machine"]["num_devices"]

    def _check(
        self, checkpoints: Checkpoints, configs: list[dict[str, Any]], keeps: dict[str, bool]
    ) -> None:
        where = f"the checkpoints in {str(checkpoints.folder)!r}"
        if self.configs != configs:
            raise ResumeError(
                f"{where} belong to other settings: put the configuration back as it was, or start "
                f"a new run"
            )
        if self.keeps != keeps:
            raise ResumeError(f"{where} were written with {show(self.keeps)}, got {show(keeps)}")
        if self.machine != _machine():
            checkpoints.say(
                f"resumed on another device or version of JAX ({_words(self.machine)}; now "
                f"{_words(_machine())}): models equal those of one run to rounding only"
            )

    def _check_traces(self, configs: Sequence[Config]) -> None:
        present = _traces(configs)
        changed = [path for path in self.traces if present[path] != self.traces[path]]
        if changed:
            raise ResumeError(
                f"{changed[0]!r} is not the file that the run began with: put it back, or start a "
                f"new run"
            )


@contextmanager
def putting_back(checkpoints: Checkpoints | None) -> Iterator[None]:
    """What is whole, but is not what a run has written, is told in one sentence.

    Raises:
        ResumeError: a part of a checkpoint is missing or of another kind.
    """
    try:
        yield
    except UserError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        where = checkpoints and str(checkpoints.folder)
        raise ResumeError(
            f"the newest checkpoint in {where!r} is not as a run wrote it ({reason_of(error)}): "
            f"remove it to go on from the one before, or start a new run"
        ) from error


def _traces(configs: Sequence[Config]) -> dict[str, str]:
    paths = {part.trace for config in configs for part in (config.delays, config.availability)}
    return {path: sha256(disk.read_bytes(path)).hexdigest() for path in sorted(filter(None, paths))}


def digests(configs: Sequence[Config]) -> dict[str, str]:
    """Of the own tasks by their kinds: equal for equal data, clients and shapes of models."""
    kinds = {task.kind: get_kind(task.kind) for one in configs for task in one.tasks.values()}
    return {name: kind.digest() for name, kind in sorted(kinds.items()) if kind.digest}


def check_digests(began_with: Mapping[str, str], configs: Sequence[Config]) -> None:
    """Raise ResumeError where an own task is not the one that a run began with."""
    compare_digests(began_with, digests(configs))


def compare_digests(began_with: Mapping[str, str], here: Mapping[str, str]) -> None:
    """Raise ResumeError where digests of own tasks differ, with the kind."""
    for name, present in here.items():
        if began_with.get(name) != present:
            raise ResumeError(
                f"the data, the clients or the model of the task kind {name!r} are not those that "
                f"the run began with: register it as it was, or start a new run"
            )


def _machine() -> dict[str, str]:
    """What models may depend on by rounding."""
    device = jax.local_devices()[0]
    return {"device": device.device_kind, "jaxlib": package_version("jaxlib")}


def _words(machine: Mapping[str, str]) -> str:
    return f"{machine['device']}, jaxlib {machine['jaxlib']}"
