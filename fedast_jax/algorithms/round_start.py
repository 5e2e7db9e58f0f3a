"""How the requests of a synchronous round set out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ..clients.presence import Presence
from .log import Requests


class Sent(NamedTuple):
    """The round's requests, a column each, in order."""

    task: np.ndarray  # int64[n]
    client: np.ndarray  # int64[n]
    duration: np.ndarray  # float64[n]
    is_lost: np.ndarray  # bool[n]: on its way


class Start(NamedTuple):
    """What the round finds when it begins."""

    time: float
    free_at: Mapping[int, float]  # of clients that are still busy
    versions: Sequence[int]  # of each task's model


def start_round(requests: Requests, sent: Sent, start: Start, presence: Presence) -> set[int]:
    """Append a round's requests; those that will be lost are returned.

    Args:
        requests: to append to.
        sent, start: what is sent, and into what.
        presence: when clients are on.
    """
    presence.law.expect(sent.client[None], start.time)
    free_at, doomed = dict(start.free_at), set[int]()
    columns = (column.tolist() for column in sent)
    for task, client, duration, is_lost in zip(*columns, strict=True):
        ready = max(start.time, free_at.get(client, 0.0))
        work = presence.work(client, ready, duration)
        free_at[client] = work.end
        request = requests.add(task, client, start.time, work.start, work.end, start.versions[task])
        if is_lost or work.is_lost:
            doomed.add(request)
    return doomed
