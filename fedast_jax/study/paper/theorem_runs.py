"""The runs behind ``fedast figure thm1``: one quadratic task, T, b, tau and R varied in turn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ...config.grid import Point
from ...results.summary import Measured
from ..tables import StudyTables
from .measures import paired
from .quadratic import LARGEST, NAME, NUM_CLIENTS, quadratic
from .theory import Setting, corollary_rates, most_requests

BASE = {"T": 2048, "b": 4, "R": 4, "tau": 2}
VARIED = {"b": (1, 2, 4), "tau": (1, 2, 4), "R": (4, 8, 16, 32)}
ROUNDS = {"smoke": (512, 2048, 8192), "laptop": (1024, 4096, 16384, 65536)}
STALE = 8  # gamma_max is taken to be this times R/b, rounded up; a claim asks whether it was
KEYS = {
    "T": "max_rounds",
    "b": "buffer_size",
    "R": "num_active",
    "tau": "local_steps",
    "eta_c": "client_lr",
    "eta_s": "server_lr",
}


class Line(NamedTuple):
    """The runs along one of the symbols; all else as in ``BASE``."""

    symbol: str
    settings: list[Setting]

    @property
    def places(self) -> list[int]:
        """Its values."""
        return [getattr(setting, self.symbol) for setting in self.settings]


def most_stale(setting: Setting) -> int:
    """gamma_max as it is taken to be."""
    return math.ceil(STALE * setting.R / setting.b)


def lines(scale: str) -> list[Line]:
    """Along T, b, tau and R. Rates are Corollary 1.1's; along R those of the largest for all."""
    rounds = ROUNDS.get(scale, ROUNDS["laptop"])
    base = BASE | {"T": rounds[1]}
    varied = {"T": rounds, **VARIED}
    return [
        Line(symbol, [_setting(base | {symbol: value}, symbol) for value in values])
        for symbol, values in varied.items()
    ]


def _setting(values: dict[str, int], symbol: str) -> Setting:
    T, b, R, tau = values["T"], values["b"], values["R"], values["tau"]
    largest = VARIED["R"][-1] if symbol == "R" else R
    gamma_max = math.ceil(STALE * largest / b)
    return Setting(T, b, R, tau, *corollary_rates(LARGEST, T, b, largest, tau, gamma_max))


def theorem_table(scale: str) -> dict[str, Any]:
    """What is run."""
    settings = list(dict.fromkeys(one for line in lines(scale) for one in line.settings))
    axis = ", ".join(f"tasks.{NAME}.{key}" for key in KEYS.values())
    values = [[getattr(setting, symbol) for symbol in KEYS] for setting in settings]
    return {
        "num_seeds": 3,
        "num_clients": NUM_CLIENTS,
        "delays": {"law": "constant"},  # so that staleness is bounded, as Assumption 4 wants it
        "tasks": {NAME: {"max_rounds": 1}},
        "study": {"sweep": {axis: values}},
    }


def setting_of(point: Point) -> Setting:
    """The symbols of a point of the sweep."""
    return Setting(**{symbol: point[f"tasks.{NAME}.{key}"] for symbol, key in KEYS.items()})


def measured(study: StudyTables) -> dict[Setting, pd.Series]:
    """By setting, by seed: the mean of ||grad f||^2 over rounds 0 to T - 1."""
    method = study.methods[0]
    return {
        setting_of(point): _mean_norm(study.result(method, point), setting_of(point).T)
        for point in study.points
    }


def _mean_norm(result: Measured, T: int) -> pd.Series:
    tests = result.evaluations[result.evaluations["round"] < T]
    return (quadratic().first + tests.groupby("seed").loss.sum()) / T


def lines_of(study: StudyTables) -> list[Line]:
    """The lines that a study has run, told by its largest T."""
    most = max(setting_of(point).T for point in study.points)
    return lines(next(scale for scale, rounds in ROUNDS.items() if rounds[-1] == most))


def columns(norms: dict[Setting, pd.Series], settings: Sequence[Setting]) -> np.ndarray:
    """``float[seeds, settings]``."""
    return paired(*(norms[setting] for setting in settings))


def staleness(study: StudyTables, requests: pd.DataFrame) -> np.ndarray:
    """``float[seeds, settings]``: the largest seen, as a share of gamma_max."""
    used = requests[requests.used_round.notna()]
    seen = (used.used_round - used.base_round).astype("int64")
    axes = [f"tasks.{NAME}.{key}" for key in KEYS.values()]
    most = seen.groupby([used[axis] for axis in axes] + [used.replicate]).max().unstack()
    taken = [most_stale(Setting(**dict(zip(KEYS, index, strict=True)))) for index in most.index]
    return (most.to_numpy(np.float64) / np.array(taken)[:, None]).T


def minor_until(line: Line) -> float:
    """The R up to which asynchrony is minor, of a line along R."""
    setting = line.settings[0]
    return most_requests(LARGEST, setting.b, setting.step)
