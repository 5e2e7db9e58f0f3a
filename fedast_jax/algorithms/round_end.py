"""When a synchronous round ends, which of its requests count, and who is busy beyond it."""

from __future__ import annotations

from collections.abc import Mapping, Set

from .log import Requests, Rounds


def end_of_round(
    requests: Requests,
    first: int,
    kept_of: Mapping[int, int],
    doomed: Set[int],
    free_at: Mapping[int, float],
) -> tuple[list[int], dict[int, float]]:
    """The requests that count, in the order of their ends, and the clients still busy then.

    Args:
        requests, first: the round's are those from number ``first`` on.
        kept_of: how many arrivals each task keeps.
        doomed: requests that are lost; those count that are by the end of the round.
        free_at: when clients are free that were busy before the round.
    """
    arrives_at, task_of = requests.arrives_at, requests.task
    order = sorted(range(first, len(requests)), key=lambda request: (arrives_at[request], request))
    left, events, closing = dict(kept_of), [], {}
    for place, request in enumerate(order):
        task = task_of[request]
        if left[task]:
            left[task] -= request not in doomed
            closing[task] = place  # of all so far, the last that the task waits for
            events.append(place)
        elif request in doomed:
            events.append(place)
    last = max(closing.values())
    end = arrives_at[order[last]]
    busy = {client: time for client, time in free_at.items() if time > end} | {
        requests.client[request]: arrives_at[request]
        for request in order
        if arrives_at[request] > end
    }
    return [order[place] for place in events if place <= last], busy


def last_used(rounds: Rounds) -> list[int]:
    """Requests that the last aggregation has used."""
    return rounds.arrived[rounds.end[-2] if len(rounds) > 1 else 0 : rounds.num_used].tolist()
