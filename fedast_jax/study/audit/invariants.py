"""What must hold of every run's tables, whatever the events were: no loop is needed to say it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from ...algorithms import get_algorithm
from ...config.settings import Config
from ...config.tables import TaskConfig
from .findings import Difference
from .told import Story

Found = tuple[str, Any, str | None, str, Any]
"""A table, where in it, its column, what must hold, what was found."""


def check_invariants(story: Story) -> int:
    """How many rules were looked at.

    Raises:
        Difference: one does not hold.
    """
    rules = [*OF_TESTS, *(OF_REQUESTS if story.requests is not None else ())]
    for rule in rules:
        for table, row, column, words, found in rule(story):
            raise Difference(f"{table}.parquet", words, found, int(row), column)
    return len(rules)


def _where(table: str, frame: Any, is_wrong: Any, column: str, words: str) -> Iterator[Found]:
    """The first row at which something is wrong."""
    wrong = frame[np.asarray(is_wrong, bool)]
    if len(wrong):
        yield table, wrong.index[0], column, words, wrong[column].iloc[0]


def _tasks(story: Story) -> dict[str, TaskConfig]:
    return {task.name: task.settings for task in story.config.named_tasks}


def tests_are_in_order(story: Story) -> Iterator[Found]:
    """Time and arrivals grow within a replicate; every ``test_every``-th round is tested."""
    tests = story.evaluations
    for column in ("time", "arrivals"):
        later = tests.groupby("replicate")[column].diff().fillna(0)
        yield from _where("evaluations", tests, later < 0, column, "no step back")
    every = tests.task.map(lambda name: _tasks(story)[name].test_every)
    steps = tests["round"] - tests.groupby(["replicate", "task"])["round"].shift(fill_value=0)
    yield from _where("evaluations", tests, steps != every, "round", "the task's next test")


def limits_hold(story: Story) -> Iterator[Found]:
    """No event after the limits."""
    tests, config = story.evaluations, story.config
    if config.time_limit is not None:
        late = tests.time > config.time_limit
        yield from _where("evaluations", tests, late, "time", f"at most {config.time_limit}")
    if config.max_updates is not None:
        late = tests.arrivals > config.max_updates
        yield from _where("evaluations", tests, late, "arrivals", f"at most {config.max_updates}")
    most = story.lanes.task.map(lambda name: _tasks(story)[name].max_rounds or np.inf)
    yield from _where("lanes", story.lanes, story.lanes["rounds"] > most, "rounds", "max_rounds")


def a_met_target_ends_its_task(story: Story) -> Iterator[Found]:
    """The first test at or beyond the target is the task's last, and gives the target's time."""
    for _, lane in story.lanes.iterrows():
        settings = _tasks(story)[lane.task]
        tests = story.evaluations
        mine = tests[(tests.replicate == lane.replicate) & (tests.task == lane.task)]
        if settings.target is None or not len(mine):
            is_met = pd.Series(False, mine.index)
        elif settings.goal.is_less_better:
            is_met = mine[settings.goal.column] <= settings.target
        else:
            is_met = mine[settings.goal.column] >= settings.target
        is_met &= np.isfinite(mine.loss)
        yield from _where("evaluations", mine[:-1], is_met[:-1], "round", "no test after this")
        time = mine.time.iloc[-1] if is_met.any() else np.nan
        if not (lane.target_time == time or (np.isnan(time) and np.isnan(lane.target_time))):
            yield "lanes", lane.name, "target_time", repr(time), repr(lane.target_time)


def a_loss_that_is_not_finite_ends_its_replicate(story: Story) -> Iterator[Found]:
    """And disturbs no other."""
    tests = story.evaluations
    is_last = ~tests.replicate.duplicated(keep="last")
    is_wrong = ~np.isfinite(tests.loss) & ~is_last
    yield from _where("evaluations", tests, is_wrong, "loss", "the replicate's last test")


def allocations_keep_their_sum(story: Story) -> Iterator[Found]:
    """The sum of R never changes; an unfinished task keeps one at least, and a buffer of one."""
    changes = story.allocations
    number = changes.groupby("replicate").cumcount() // len(_tasks(story))
    sums = changes.num_active.groupby([changes.replicate, number]).transform("sum")
    if not _in_rounds(story.config):
        total = sum(one.num_active for one in _tasks(story).values())
        words = f"R of all tasks adds up to {total}"
        yield from _where("allocations", changes, sums != total, "num_active", words)
    is_wrong = (changes.num_active > 0) & (changes.buffer_size < 1)
    yield from _where("allocations", changes, is_wrong, "buffer_size", "a buffer of 1 at least")
    is_wrong = (changes.num_active < 1) & ~changes.set_index(["replicate", "task"]).index.isin(
        _ended(story)
    )
    if not _in_rounds(story.config):
        words = "1 at least, of a task that has not ended"
        yield from _where("allocations", changes, is_wrong, "num_active", words)


def _ended(story: Story) -> list[tuple[int, str]]:
    """Replicates and tasks that met their target or had all their rounds."""
    lanes = story.lanes
    most = lanes.task.map(lambda name: _tasks(story)[name].max_rounds)
    has_ended = lanes.target_time.notna() | (lanes["rounds"] == most)
    return list(zip(lanes.replicate[has_ended], lanes.task[has_ended], strict=True))


def _in_rounds(config: Config) -> bool:
    """Whether a round ends for all tasks at once, or each has a machine of its own."""
    algorithm = get_algorithm(config.algorithm)
    return algorithm.is_synchronous or algorithm.pools_data


def requests_are_in_order(story: Story) -> Iterator[Found]:
    """Numbered by dispatch; none starts before it is dispatched or arrives before it starts."""
    requests = _requests(story)
    number = requests.groupby("replicate").cumcount()
    yield from _where("requests", requests, requests.request != number, "request", "the next")
    later = requests.groupby("replicate").dispatched_at.diff().fillna(0)
    yield from _where("requests", requests, later < 0, "dispatched_at", "no step back")
    is_early = requests.started_at < requests.dispatched_at
    yield from _where("requests", requests, is_early, "started_at", "not before its dispatch")
    is_early = requests.arrived_at < requests.started_at
    yield from _where("requests", requests, is_early, "arrived_at", "not before its start")


def clients_serve_in_order(story: Story) -> Iterator[Found]:
    """One request at a time, in order of dispatch."""
    if get_algorithm(story.config.algorithm).pools_data:
        return  # a machine a task, all called client 0
    requests = _requests(story)
    free = requests.groupby(["replicate", "client"]).arrived_at.shift(fill_value=0.0)
    words = "not before its client's last one has ended"
    yield from _where("requests", requests, requests.started_at < free, "started_at", words)


def requests_use_versions_that_exist(story: Story) -> Iterator[Found]:
    """Staleness is 0 or more; what is dispatched later has the same version or a later one."""
    requests = _requests(story)
    is_used = requests.status == "used"
    is_wrong = is_used != requests.used_round.notna()
    yield from _where("requests", requests, is_wrong, "used_round", "one where it was used")
    age = (requests.used_round - requests.base_round).fillna(0).astype(int)
    yield from _where("requests", requests, age < 0, "used_round", "staleness of 0 or more")
    if story.config.fidelity == "paper":
        back = requests.groupby(["replicate", "task"]).base_round.diff().fillna(0) < 0
        yield from _where("requests", requests, back, "base_round", "no older than the last one's")
    is_wrong = age >= requests.task.map(lambda name: _oldest(story.config, _tasks(story)[name]))
    yield from _where("requests", requests, is_wrong, "used_round", "young enough for its method")


def _oldest(config: Config, task: TaskConfig) -> float:
    """From which staleness on a method drops what arrives."""
    if config.algorithm == "ringmaster":
        return task.method["max_staleness"]
    return 1 if config.algorithm == "rennala" or _in_rounds(config) else np.inf


def rounds_have_b_updates(story: Story) -> Iterator[Found]:
    """As many as b was when the round opened; a synchronous one fewer where clients are away."""
    if story.config.fidelity == "authors":
        return  # there b follows the requests in flight at every arrival
    used, away = _arrived(story), _are_away(story.config)
    used = used[used.status == "used"]
    for (replicate, name), mine in used.groupby(["replicate", "task"]):
        counts = mine.groupby("used_round").arrivals
        changes = _changes(story, replicate, name)
        place = np.searchsorted(changes.arrivals.to_numpy(), _opened(story, counts), "right") - 1
        found, sought = counts.size().to_numpy(), changes.buffer_size.to_numpy()[place]
        fits = found <= sought if away else found == sought
        if not fits.all():
            number = int(np.argmin(fits))
            row = mine.index[mine.used_round == counts.size().index[number]][0]
            words = f"{sought[number]} updates of {name} in a round"
            yield "requests", row, "used_round", words, int(found[number])


def _changes(story: Story, replicate: Any, name: Any) -> Any:
    """The allocations of one task of a replicate."""
    changes = story.allocations
    return changes[(changes.replicate == replicate) & (changes.task == name)]


def _opened(story: Story, counts: Any) -> np.ndarray:
    """How many arrivals there had been when each round opened, or when nothing changed after."""
    if _in_rounds(story.config):  # they open together, and nothing changes until they close
        return counts.min().to_numpy() - 1
    return np.concatenate([[0], counts.max().to_numpy()[:-1]])


def _are_away(config: Config) -> bool:
    """Whether a round may have fewer updates than it keeps."""
    is_reliable = config.availability.law == "always" and not config.availability.loss
    return _in_rounds(config) and not is_reliable


def _arrived(story: Story) -> Any:
    """The arrivals in order, with how many there were of all tasks up to each."""
    requests = _requests(story)
    arrived = requests[requests.status.isin(["used", "buffered", "dropped"])]
    arrived = arrived.sort_values(["replicate", "arrived_at", "request"], kind="stable")
    return arrived.assign(arrivals=arrived.groupby("replicate").cumcount() + 1)


def tests_are_at_their_rounds_ends(story: Story) -> Iterator[Found]:
    """A test's time is that of the last arrival of its round, or later where rounds wait."""
    used = _requests(story).query("status == 'used'")
    ends = used.groupby(["replicate", "task", "used_round"]).arrived_at.max()
    keys = zip(
        story.evaluations.replicate,
        story.evaluations.task,
        story.evaluations["round"] - 1,
        strict=True,
    )
    expected = np.array([ends.get(key, np.nan) for key in keys], float)
    times = story.evaluations.time.to_numpy(float)
    is_wrong = times < expected if _in_rounds(story.config) else times != expected
    is_wrong |= np.isnan(expected)
    words = "the time of its round's last arrival"
    yield from _where("evaluations", story.evaluations, is_wrong, "time", words)


def as_many_are_in_flight_as_should_be(story: Story) -> Iterator[Found]:
    """With option S R_m of each unfinished task, after every arrival; with a cap or clients that
    go off at most as many."""
    config = story.config
    if _in_rounds(config) or config.allocation == "dynamic":
        return
    is_exact = config.max_active_clients is None and config.availability.law == "always"
    for (replicate, name), mine in _requests(story).groupby(["replicate", "task"]):
        changes = _changes(story, replicate, name)
        times = np.unique(mine.arrived_at[mine.status.isin(["used", "dropped", "lost"])])[:-1]
        place = np.searchsorted(changes.time.to_numpy(), times, "right") - 1
        sought = changes.num_active.to_numpy()[place]
        in_flight = np.searchsorted(mine.dispatched_at.to_numpy(), times, "right")
        in_flight -= np.searchsorted(np.sort(mine.arrived_at.to_numpy()), times, "right")
        fits = (in_flight == sought) if is_exact else (in_flight <= sought)
        fits |= sought == 0  # the task has ended
        if not fits.all():
            number = int(np.argmin(fits))
            row = mine.index[mine.arrived_at == times[number]][0]
            words = f"{sought[number]} of {name} in flight after this"
            yield "requests", row, "arrived_at", words, int(in_flight[number])


def few_clients_are_active(story: Story) -> Iterator[Found]:
    """At most ``max_active_clients`` hold requests at any time."""
    most = story.config.max_active_clients
    if most is None or _in_rounds(story.config):
        return
    for _, mine in _requests(story).groupby("replicate"):
        active = _active(mine)
        if len(active) and active.max() > most:
            row = mine.index[mine.dispatched_at == active.idxmax()][0]
            words = f"at most {most} active clients"
            yield "requests", row, "client", words, int(active.max())


def _active(requests: Any) -> pd.Series:
    """Clients that hold requests, by time; at equal times who is freed comes first."""
    before = requests.groupby("client").arrived_at.shift(fill_value=-np.inf)
    begins = requests[requests.dispatched_at >= before]
    last = requests.groupby("client").dispatched_at.shift(-1, fill_value=np.inf)
    ends = requests[last >= requests.arrived_at]
    times = np.concatenate([begins.dispatched_at, ends.arrived_at])
    steps = np.repeat([1, -1], [len(begins), len(ends)])
    order = np.lexsort([steps, times])
    return pd.Series(np.cumsum(steps[order]), times[order])


def _requests(story: Story) -> Any:
    assert story.requests is not None
    return story.requests


OF_TESTS: tuple[Callable[[Story], Iterator[Found]], ...] = (
    tests_are_in_order,
    limits_hold,
    a_met_target_ends_its_task,
    a_loss_that_is_not_finite_ends_its_replicate,
    allocations_keep_their_sum,
)
OF_REQUESTS: tuple[Callable[[Story], Iterator[Found]], ...] = (
    requests_are_in_order,
    clients_serve_in_order,
    requests_use_versions_that_exist,
    rounds_have_b_updates,
    tests_are_at_their_rounds_ends,
    as_many_are_in_flight_as_should_be,
    few_clients_are_active,
)
