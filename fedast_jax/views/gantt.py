"""Clients' trainings and what waits for them, as a picture."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..results.palette import TASKS, plain
from .thin import Table
from .timeline import Timeline
from .window import Window

MOST_CLIENTS = 60  # rows of a panel
FIRST_CLIENTS = 20  # where none are named
READABLE = 25  # trainings in a row
TRAINING = (0.0, 0.52)  # where a row has its trainings: bottom and height
QUEUE = (0.56, 0.4)  # and, beneath them, what waits
MOST_WAITING = 6  # whose lines lie apart; more share the last
LEAST_WAITING = 3  # lines for which there is room in any case
USED = ("used", "buffered")


def gantt_figure(timelines: Sequence[Timeline], window: Window) -> Figure:
    """A panel for each result and a row for each client: what it trains, beneath it what waits.

    Args:
        timelines: of equal tasks and clients.
        window: of no clients: the first ``FIRST_CLIENTS``; without an end: as far as it can be
            read.
    """
    clients = _clients(timelines, window)
    stop = window.stop if math.isfinite(window.stop) else _readable(timelines, window, clients)
    window = window._replace(stop=stop)
    height = 1.3 + len(timelines) * (0.7 + 0.26 * len(clients))
    figure = Figure(figsize=(9.5, height), layout="constrained")
    panels = figure.subplots(len(timelines), 1, squeeze=False, sharex=True).ravel()
    names = list(dict.fromkeys(task for one in timelines for task in one.tasks))
    colours = {task: TASKS[number % len(TASKS)] for number, task in enumerate(names)}
    for panel, timeline in zip(panels, timelines, strict=True):
        _draw(panel, timeline, window, clients, colours)
    panels[0].set_xlim(window.start, stop)
    panels[-1].set_xlabel("simulated time")
    handles = list(_legend(colours))
    place = {"loc": "outside lower center", "frameon": False, "fontsize": "small"}
    figure.legend(handles=handles, ncols=min(4, len(handles)), **place)
    return figure


def _clients(timelines: Sequence[Timeline], window: Window) -> list[int]:
    """Rows from above: the clients named that were asked, or the first."""
    asked = np.unique(np.concatenate([one.requests.client for one in timelines]))
    if window.clients:
        return asked[window.has_client(asked)].tolist()[:MOST_CLIENTS]
    return asked[:FIRST_CLIENTS].tolist()


def _readable(timelines: Sequence[Timeline], window: Window, clients: Sequence[int]) -> float:
    """The end of the run, or earlier where the rows would be too full."""
    end = max(one.end_time for one in timelines)
    for one in timelines:
        mine = one.requests[one.requests.client.isin(clients)]
        begins = np.sort(mine.begin[mine.begin >= window.start])
        if len(begins) > READABLE * len(clients):
            end = min(end, float(begins[READABLE * len(clients)]))
    return end if end > window.start else window.start + 1.0


def _draw(
    panel: Axes,
    timeline: Timeline,
    window: Window,
    clients: Sequence[int],
    colours: dict[str, str],
) -> None:
    table = timeline.requests
    last = table.end.fillna(table.dispatched_at).to_numpy(float)
    table = table[window.overlaps(table.dispatched_at.to_numpy(float), last)]
    queues = [list(_queue(table[table.client == client])) for client in clients]
    longest = max((place + 1 for queue in queues for _, place in queue), default=0)
    height = QUEUE[1] / min(max(longest, LEAST_WAITING), MOST_WAITING)
    for row, (client, queue) in enumerate(zip(clients, queues, strict=True)):
        mine = table[(table.client == client) & table.begin.notna()]
        for request in mine.to_dict("records"):
            _bar(panel, request, row, colours)
        for request, place in queue:
            level = row + QUEUE[0] + height * min(place, MOST_WAITING - 1)
            _waiting_line(panel, request, (level, 0.75 * height), colours[request["task"]])
    panel.axvline(timeline.end_time, color="black", lw=0.8, ls=":")
    panel.set(
        title=plain(timeline.name),
        ylabel="client",
        yticks=[row + 0.26 for row in range(len(clients))],
        yticklabels=[str(client) for client in clients],
        ylim=(len(clients), -0.1),
    )
    panel.tick_params(axis="y", length=0, labelsize="small")
    panel.spines[["top", "right", "left"]].set_visible(False)


def _bar(panel: Axes, request: dict[str, Any], row: int, colours: dict[str, str]) -> None:
    """A training; hatched where its update was of no use, light where the run ended before."""
    status, colour = request["status"], colours[request["task"]]
    is_used = status in USED
    is_open = status == "in_flight"
    panel.broken_barh(
        [(request["begin"], request["end"] - request["begin"])],
        (row + TRAINING[0], TRAINING[1]),
        facecolor=colour if is_used else "white" if not is_open else f"{colour}55",
        edgecolor="white" if is_used else colour,
        linewidth=0.4,
        hatch=None if is_used or is_open else "//////",
    )


def _waiting_line(
    panel: Axes, request: dict[str, Any], level: tuple[float, float], colour: str
) -> None:
    stretch = (request["dispatched_at"], request["begin"] - request["dispatched_at"])
    panel.broken_barh([stretch], level, facecolor=colour)


def _queue(mine: Table) -> Iterator[tuple[dict[str, Any], int]]:
    """What waited, each at the first place in the queue that was free when it came."""
    waited = mine[mine.begin > mine.dispatched_at].sort_values(["dispatched_at", "request"])
    busy: list[tuple[float, int]] = []  # until when, place
    free: list[int] = []
    for request in waited.to_dict("records"):
        while busy and busy[0][0] <= request["dispatched_at"]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        place = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (request["begin"], place))
        yield request, place


def _legend(colours: dict[str, str]) -> Iterator[Artist]:
    for task, colour in colours.items():
        yield Patch(facecolor=colour, label=plain(task))
    yield Patch(facecolor="white", edgecolor="grey", hatch="//////", label="not used")
    yield Patch(facecolor="#dddddd", edgecolor="grey", label="in flight at the end")
    yield Patch(facecolor="none", edgecolor="none", label="thin lines: waiting for the client")
    yield Patch(facecolor="none", edgecolor="none", label="dotted: the end of the run")
