"""FedAST in JAX: several models trained at once over one asynchronous client pool, exactly.

The folders are layers; a module imports only from layers above its own in this list:

    config      what was asked for: settings, bounds, TOML, how a mistake is explained
    data        sources, readers, partitions; what lives on the device
    tasks       one file a task: model, loss, metric, defaults; nn: the layers
    clients     who is asked, how long it takes, who holds which samples
    oracle      the same simulations one event at a time; what follows is checked by it
    algorithms  event orders: log, Algorithm 2, rounds, allocation; methods: what arrivals become
    engine      local training, the scan, the server, devices; planning: events to fixed batches
    results     records of replicates, tables, pictures, what the terminal shows
    run         one configuration resolved, sized, driven; checkpoints; cluster: several machines
    study       comparisons and sweeps; paper: its figures; audit: folders checked; fuzz: the engine
    views       pages, traces and pictures of finished runs
    cli         the command line

The names below are imported when they are first used: importing the package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .algorithms import register_method as register_method
    from .algorithms.methods.record import Arrived as Arrived
    from .algorithms.methods.record import Hyperparameter as Hyperparameter
    from .algorithms.methods.record import Method as Method
    from .algorithms.methods.server_optimizers import from_optax as from_optax
    from .algorithms.methods.sums import mean_in_order as mean_in_order
    from .algorithms.methods.sums import sum_in_order as sum_in_order
    from .clients.laws import register_delay as register_delay
    from .config.errors import ConfigError as ConfigError
    from .config.errors import ResumeError as ResumeError
    from .config.settings import Config as Config
    from .data.divide import by_label as by_label
    from .data.divide import dirichlet as dirichlet
    from .data.divide import iid as iid
    from .data.divide import shards as shards
    from .data.errors import DataError as DataError
    from .results.records import PlanReport as PlanReport
    from .results.result import Result as Result
    from .run.checkpoint import Checkpoints as Checkpoints
    from .run.plan import plan as plan
    from .run.resolve import load_config as load_config
    from .run.resolve import make_config as make_config
    from .run.simulate import simulate as simulate
    from .run.simulate import simulate_together as simulate_together
    from .study.audit.verify import verify as verify
    from .study.load import load_result as load_result
    from .study.load import load_study as load_study
    from .study.study import Study as Study
    from .study.study import compare as compare
    from .study.study import sweep as sweep
    from .tasks import Metric as Metric
    from .tasks import Task as Task
    from .tasks import register_task as register_task

_HOMES = {
    "Arrived": "algorithms.methods.record",
    "Checkpoints": "run.checkpoint",
    "Config": "config.settings",
    "ConfigError": "config.errors",
    "DataError": "data.errors",
    "Hyperparameter": "algorithms.methods.record",
    "Method": "algorithms.methods.record",
    "Metric": "tasks.judging",
    "PlanReport": "results.records",
    "Result": "results.result",
    "ResumeError": "config.errors",
    "Study": "study.study",
    "Task": "tasks.own",
    "by_label": "data.divide",
    "compare": "study.study",
    "from_optax": "algorithms.methods.server_optimizers",
    "dirichlet": "data.divide",
    "iid": "data.divide",
    "load_config": "run.resolve",
    "load_result": "study.load",
    "load_study": "study.load",
    "make_config": "run.resolve",
    "mean_in_order": "algorithms.methods.sums",
    "plan": "run.plan",
    "register_method": "algorithms",
    "register_task": "tasks",
    "shards": "data.divide",
    "register_delay": "clients.laws",
    "simulate": "run.simulate",
    "simulate_together": "run.simulate",
    "sum_in_order": "algorithms.methods.sums",
    "sweep": "study.study",
    "verify": "study.audit.verify",
}
__all__ = list(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The names above and the module's own, such as ``__doc__``; no helper of this file."""
    return sorted({*_HOMES, *(name for name in globals() if name.startswith("__"))})
