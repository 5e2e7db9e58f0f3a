"""What whole scenarios are drawn from: families of algorithms, and what may be added to each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .choices import Seeded
from .knobs import CHUNK, NO_STOPS, Knobs
from .scenario import EQUAL

Table = dict[str, Any]
Extra = Callable[[Seeded, Table], Table | None]
"""Settings with some changed, or None where these do not go with the rest."""

SYNCHRONOUS = ["sync_st", "sync_st_no_mitigation", "sync_ucb_st", "sequential"]
METHODS = ["fedasync", "delay_adaptive", "fadas", "ringmaster", "rennala", "ca2fl", "ace"]
WITH_BUFFER_OR_NOT = ["fedast", "fedast", "fedast_nobuffer"]
DYNAMIC: Table = {
    "allocation": "dynamic",
    "algorithm": WITH_BUFFER_OR_NOT,
    "num_tasks": (2, 4),
    "most_active": 4,
    "num_updates": (40, 200),
}
AUTHORS: Table = {**DYNAMIC, "fidelity": "authors", "most_active": 3}
FAMILIES: list[Table] = [
    {"algorithm": WITH_BUFFER_OR_NOT},
    {"algorithm": WITH_BUFFER_OR_NOT},
    DYNAMIC,
    DYNAMIC,
    {"algorithm": ["async_fl", "fedbuff"], "num_tasks": (1, 1)},
    {"algorithm": METHODS, "allocation": ["static", "static", "dynamic"]},
    {"algorithm": METHODS},
    {"algorithm": SYNCHRONOUS},
    {"algorithm": SYNCHRONOUS},
    {"algorithm": "sync_bayes_st", "num_updates": (1, 30)},
    {"algorithm": "centralized"},
    AUTHORS,
    {**AUTHORS, "allocation": "static"},
]
REAL_FAMILIES: list[Table] = [
    {"algorithm": WITH_BUFFER_OR_NOT, "most_active": 7},
    {**DYNAMIC, "num_updates": (40, 80), "most_active": 3},
    {"algorithm": SYNCHRONOUS},
]
REAL: Table = {
    "targets": ("none", 0.1, 0.15, 0.25, 0.4),
    "widths": (4,),
    "capacities": ((300, 300),),  # another one would be compiled anew
    "num_updates": (1, 60),
    "precision": "float64",
}
TARGETS = ("none", 1e-9, 0.3, 0.8, 0.9, 0.97)  # the second is met at once
ONE_REAL_IN = 60

LONG = {"law": "on_off", "mean_on": 9.0, "mean_off": 9.0}
HOURS: list[Table] = [
    {"law": "on_off", "mean_on": 5.0, "mean_off": 8.0},
    {"law": "on_off", "mean_on": 2.0, "mean_off": 20.0},
    {"law": "diurnal", "share_on": 0.3, "period": 12.0},
    {"law": "trace", "trace": "hours", "period": 12.0},
    {"law": "always"},
    {**LONG, "when_off": "lose"},
]
LOSSES = [0.0, 0.0, 0.1, 0.3, 0.5]
SHORT: list[Table] = [  # so that a request ends while its client is on
    {"law": "constant"},
    {"law": "constant", **EQUAL},
    {"law": "half_normal"},
    {"law": "lognormal", "sigma": 0.5},
    {"law": "steps", **EQUAL},
    {"law": "devices", "trace": "devices", "trace_scale": 0.5},
    {"law": "trace", "trace": "classes", "trace_scale": 0.3},
]
ANY_DELAYS: list[Table] = [
    *SHORT,
    {"law": "steps"},
    {"law": "nothing", **EQUAL},  # everything happens at time 0
    {"law": "shifted_exponential", "least": 0.0},
    {"law": "shifted_uniform", "least": 0.0},
    {"law": "lognormal", "sigma": 5.0},
    {"law": "constant", "speeds": [1e-9, 1.0, 1e9], "shares": [0.25, 0.5, 0.25]},
    {"law": "trace", "trace": "classes"},
    {"law": "trace", "trace": "classes", "classes": ["old", "new"], "shares": [0.2, 0.8]},
]


def draw_family(choose: Seeded) -> tuple[Table, Knobs]:
    """What ``draw_scenario`` is to draw, and whether models are trained."""
    if choose.one_in(ONE_REAL_IN):
        return {**REAL, **choose.one_of(REAL_FAMILIES)}, Knobs(is_real=True)
    family = choose.one_of(FAMILIES)
    if "fidelity" not in family:
        return {"targets": TARGETS, **family}, Knobs()
    granules = choose.one_of([(1, 2, 0), (2, 3, 2), (3, 2, 1), (2, 7, 4)])
    return {"targets": TARGETS, "granule": granules[0], **family}, Knobs(granules=granules)


def delays(choose: Seeded, table: Table) -> Table | None:
    """Other durations: none, ties, huge ones, recorded ones."""
    return {**table, "delays": choose.one_of(ANY_DELAYS)} if choose.coin() else None


def hours(choose: Seeded, table: Table) -> Table | None:
    """Clients that come and go, requests that are lost."""
    if not choose.one_in(4):
        return None
    there = {**choose.one_of(HOURS), "loss": choose.one_of(LOSSES)}
    return {**table, "delays": choose.one_of(SHORT), "availability": there}


def numbers(choose: Seeded, table: Table) -> Table | None:
    """Small bounds on the age, so that they matter."""
    known = {"ringmaster": "max_staleness", "delay_adaptive": "delay_bound", "fadas": "delay_bound"}
    name = known.get(table["algorithm"])
    return in_every_task(table, {"method": {name: choose.whole(1, 4)}}) if name else None


def ages(choose: Seeded, table: Table) -> Table | None:
    """Old updates count less."""
    if not choose.one_in(4):
        return None
    law = choose.one_of(["polynomial", "hinge"])
    return in_every_task(table, {"staleness": law, "staleness_a": 0.7, "staleness_bound": 1.0})


def extremes(choose: Seeded, table: Table) -> Table | None:
    """One task far slower or faster than the others, where all of them are always on."""
    if "availability" in table or not choose.one_in(6):
        return None
    name = choose.one_of(sorted(table["tasks"]))
    slow = {**table["tasks"][name], "step_time": choose.one_of([1e-9, 1e-3, 1e6, 1e12])}
    return {**table, "tasks": {**table["tasks"], name: slow}}


def limits(choose: Seeded, table: Table) -> Table | None:
    """The first and the last seeds, one arrival, hardly any time."""
    odd = [{"seed": 2**31 - 4}, {"max_updates": 1}, {"time_limit": 1e-6}, {"num_seeds": 5}]
    return {**table, **choose.one_of(odd)} if choose.one_in(8) else None


def in_every_task(table: Table, more: Table) -> Table:
    """The same settings more in every task."""
    return {**table, "tasks": {name: {**one, **more} for name, one in table["tasks"].items()}}


EXTRAS: tuple[Extra, ...] = (delays, hours, numbers, ages, extremes, limits)

SOME = (False, False, True)
STOPS = [NO_STOPS, NO_STOPS, (True,), (True, False), SOME, (True, False, False, True)]
CONDITIONS: dict[str, Callable[[Seeded], Any]] = {
    "stops": lambda choose: choose.one_of(STOPS),
    "interrupt_at": lambda choose: choose.whole(1, 12) if choose.one_in(4) else 0,
    "rewinds": lambda choose: choose.one_of([0, 0, 1, 7]),
    "diverging": lambda choose: choose.one_of([0, 0, 0, 9, 20]),
    "chunk": lambda choose: choose.one_of([CHUNK, CHUNK, 1, 5, 64]),
    "is_tight": lambda choose: choose.coin(),
}
"""Knob -> how it is set."""
