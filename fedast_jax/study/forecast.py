"""How much a run will be, before it is run: planned in full, trained for one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..config.settings import Config
from ..engine.devices import find_devices
from ..results.records import PlanReport
from ..run.bench import SLOTS, compile_training, update_flops, work_of
from ..run.plan import plan
from ..tasks import get_kind

LARGE = 1e11  # FLOP of a request: sixteen of them would take minutes on a CPU


@dataclass(frozen=True)
class Forecast:
    """What configurations that run together will take at most: no target is met early."""

    configurations: int
    runs: int  # replicates
    updates: int
    bytes: int  # on the device
    seconds: float  # of training alone, at the rate of a short measurement


def forecast(configs: Sequence[Config]) -> Forecast:
    """Plan the configurations and measure how fast their kinds train.

    Raises:
        ConfigError, DataError: as ``plan``.
    """
    report = plan(*configs)
    runs = sum(config.num_seeds for config in configs)
    seconds = _training_seconds(report)
    return Forecast(len(configs), runs, report.events, report.memory_bytes, seconds)


def _training_seconds(report: PlanReport) -> float:
    rates: dict[str, float] = {}
    seconds = 0.0
    for row in report.rows:
        kind = row["kind"]
        rates[kind] = rates.get(kind) or examples_per_second(kind)
        seconds += row["arrivals"] * row["examples_per_update"] / rates[kind]
    return seconds


def examples_per_second(kind_name: str) -> float:
    """Of one batch with the kind's own settings, the second time round; of a large model, of one
    request a device."""
    kind, (num_devices, _) = get_kind(kind_name), find_devices()
    width = num_devices * (SLOTS if update_flops(kind) < LARGE else 1)
    run, _ = compile_training(kind, 1, width=width, num_devices=num_devices)
    run()
    work = work_of(kind)
    return width * work.num_steps * work.batch_size / run()
