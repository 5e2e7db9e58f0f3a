"""What was asked for, as ``run.json`` holds it: read with care, for anybody may have edited it."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from ..config.errors import ConfigError, ResumeError
from ..config.plugins import import_modules
from ..config.settings import Config
from ..results.extras import EXTRAS
from ..run.devices import settle
from ..run.resolve import make_config
from ..study.variants import make_variants, with_machine

COMMANDS = ("run", "study", "ray", "figure")
RAY_OPTIONS = {
    "address": str | None,
    "num_cpus": int | float,
    "num_gpus": int | float,
    "patience": int | float | None,
}
MORE_OPTIONS = {"ray": ("tasks",), "figure": ("figure", "scale")}  # beside ``save``
KEYS = ("command", "options", "table", "imports", "configs")


class Job(NamedTuple):
    """What was asked for."""

    command: str  # of ``COMMANDS``
    configs: Sequence[Config]
    options: Mapping[str, Any] = {}  # of the command, as JSON can hold them
    table: Mapping[str, Any] | None = None  # of a study: what the configurations were made from
    imports: Sequence[str] = ()  # modules that register what the configurations name

    def settled(self, find: Callable[[], int] | None) -> Self:
        """With what a machine decides named, so that it is the same wherever it goes on."""
        configs = settle(self.configs, find)
        if self.table is None:
            return self._replace(configs=configs)
        table = with_machine(self.table, configs[0].machine)
        return self._replace(configs=configs, table=table)

    @property
    def settings(self) -> dict[str, Any]:
        """What ``config.toml`` holds."""
        return self.configs[0].to_dict() if self.table is None else dict(self.table)

    def to_json(self) -> str:
        """As text."""
        content = {
            "command": self.command,
            "options": dict(self.options),
            "table": self.table,
            "imports": list(self.imports),
            "configs": [config.to_dict() for config in self.configs],
        }
        return json.dumps(content, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of ``to_json``.

        Raises:
            ValueError: the text is not that of a job; the message says what is wrong, in words
                that follow a colon.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            raise ValueError("it is not JSON") from None
        _check_shape(content)
        _check_options(content["command"], content["options"])
        _import(content["imports"])
        configs = [_config(number, table) for number, table in enumerate(content["configs"])]
        imports = tuple(content["imports"])
        job = cls(content["command"], configs, content["options"], content["table"], imports)
        _check_configs(job)
        return job


def _check_shape(content: Any) -> None:
    """Raise ValueError where a part is missing, unknown or of another type."""
    if not isinstance(content, dict) or set(content) != set(KEYS):
        raise ValueError(f"it must have {', '.join(KEYS)}, and nothing else")
    command, table, configs = content["command"], content["table"], content["configs"]
    if command not in COMMANDS:
        raise ValueError(f"command must be one of {', '.join(COMMANDS)}, got {_show(command)}")
    if not isinstance(table, type(None) if command == "run" else dict):
        wanted = "null" if command == "run" else "a table"
        raise ValueError(f"table must be {wanted} for {command!r}, got {_show(table)}")
    if not isinstance(configs, list) or not configs:
        raise ValueError(f"configs must be a list of at least one, got {_show(configs)}")


def _check_options(command: str, options: Any) -> None:
    """Raise ValueError where an option is missing, unknown or of another type."""
    if not isinstance(options, dict):
        raise ValueError(f"options must be a table, got {_show(options)}")
    needed = {"save", *MORE_OPTIONS.get(command, ())}
    if set(options) != needed:
        words = ", ".join(sorted(needed))
        raise ValueError(f"the options of {command!r} are {words}, got {_show(list(options))}")
    _check_extras(options["save"])
    if command == "ray":
        _check_tasks(options["tasks"])
    if command == "figure":
        _check_figure(options["figure"], options["scale"])


def _import(modules: Any) -> None:
    """Import the modules that a run was begun with.

    Raises:
        ValueError: they are no list.
        ResumeError: one cannot be imported here.
    """
    if not isinstance(modules, list):
        raise ValueError(f"imports must be a list of modules, got {_show(modules)}")
    try:
        import_modules(modules)
    except ConfigError as error:
        raise ResumeError(
            f"the run needs the modules that it was begun with, and {error}; resume it where they "
            f"can be imported"
        ) from None


def _check_tasks(tasks: Any) -> None:
    """Raise ValueError where they do not say how Ray is to work."""
    if not isinstance(tasks, dict) or set(tasks) != set(RAY_OPTIONS):
        raise ValueError(f"tasks must have {', '.join(RAY_OPTIONS)}, got {_show(tasks)}")
    for name, kind in RAY_OPTIONS.items():
        if not isinstance(tasks[name], kind):
            raise ValueError(f"the option {name} cannot be {_show(tasks[name])}")


def _check_figure(name: Any, scale: Any) -> None:
    """Raise ValueError where there is no such figure; its kinds are known from then on."""
    from ..study.paper.folder import check_scale
    from ..study.paper.quadratic import use_quadratic
    from ..study.paper.registry import get_figure

    if not (isinstance(name, str) and isinstance(scale, str)):
        raise ValueError(f"figure and scale must be texts, got {_show([name, scale])}")
    get_figure(name)
    check_scale(scale)
    use_quadratic()


def _check_extras(save: Any) -> None:
    if not isinstance(save, list) or any(extra not in EXTRAS for extra in save):
        raise ValueError(f"save must be a list of {', '.join(EXTRAS)}, got {_show(save)}")


def _config(number: int, table: Any) -> Config:
    if not isinstance(table, dict):
        raise ValueError(f"configs[{number}] must be a table, got {_show(table)}")
    try:
        return make_config(table)
    except (ConfigError, RecursionError) as error:
        raise ValueError(f"configs[{number}]: {error}") from None


def _check_configs(job: Job) -> None:
    """Raise ValueError where the configurations are not those that the command stands for."""
    if job.table is None:
        if len(job.configs) > 1 or job.configs[0].study.is_wanted:
            raise ValueError("a run has one configuration, without study.compare and study.sweep")
        return
    if [variant.config for variant in make_variants(job.table)] != list(job.configs):
        raise ValueError("configs are not those that its table stands for")


def _show(value: Any) -> str:
    return reprlib.repr(value)
