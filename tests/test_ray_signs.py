"""Workers that hang: noticed by their silence; blocks given anew. A cluster of our own making."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from fedast_jax.run.cluster.errors import ClusterError
from fedast_jax.run.cluster.outstanding import MAX_HANGS, NOTICE_SECONDS, Outstanding
from fedast_jax.run.cluster.ray_tasks import RayTasks
from fedast_jax.run.cluster.signs import SIGN_SECONDS, Sign, Watch


class Cluster:
    """What is used of the module ``ray``: calls of an actor are done at once, blocks when told."""

    def __init__(self) -> None:
        self.exceptions = SimpleNamespace(RayError=RuntimeError)
        self.now, self.numbers = 0.0, count()
        self.answers: dict[int, Any] = {}
        self.cancelled: list[int] = []
        self.actor: Any = None

    def remote(self, **options: Any) -> Any:
        assert options["num_cpus"] == 0
        return lambda kind: SimpleNamespace(remote=lambda: self._begin(kind()))

    def _begin(self, instance: Any) -> Any:
        self.actor = SimpleNamespace(
            count=SimpleNamespace(remote=lambda *given: self._call(instance.count, *given)),
            all=SimpleNamespace(remote=lambda: self._call(instance.all)),
        )
        return self.actor

    def _call(self, method: Any, *given: Any) -> int:
        reference = next(self.numbers)
        self.answers[reference] = method(*given)
        return reference

    def start(self, number: int, signs: Any) -> int:
        """A block that never ends."""
        assert signs is self.actor
        return next(self.numbers)

    def wait(self, references: list[int], timeout: float) -> tuple[list[int], list[int]]:
        ready = [one for one in references if one in self.answers]
        return ready, [one for one in references if one not in ready]

    def get(self, reference: int) -> Any:
        if isinstance(self.answers[reference], Exception):
            raise self.answers[reference]
        return dict(self.answers[reference])

    def cancel(self, reference: int, force: bool) -> None:
        assert force
        self.cancelled.append(reference)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def give(cluster: Cluster, patience: float | None) -> tuple[Outstanding, list[str]]:
    said: list[str] = []
    out = Outstanding(cluster, cluster.start, patience, said.append, lambda: cluster.now)
    out.give([0, 1])
    return out, said


def pass_time(cluster: Cluster, out: Outstanding, seconds: float, alive: tuple[int, ...]) -> None:
    """Ten looks; the blocks that are alive give a sign before each."""
    for _ in range(10):
        cluster.now += seconds / 10
        for number in alive:
            cluster.actor.count.remote(number, "node-a")
        for _ in range(2):  # asked, and heard
            cluster.now += SIGN_SECONDS
            out.take()


def test_a_worker_that_hangs_is_named_once(cluster):
    out, said = give(cluster, None)
    pass_time(cluster, out, 10.0, (0, 1))
    pass_time(cluster, out, NOTICE_SECONDS / 2, (0,))
    assert said == []
    pass_time(cluster, out, 5 * NOTICE_SECONDS, (0,))
    assert len(said) == 1
    assert said[0].startswith("block 2 on node-a has given no sign for ")
    assert "'fedast resume' goes on" in said[0]
    assert "--ray-patience" in said[0]
    assert cluster.cancelled == []


def test_its_block_is_given_to_another_worker(cluster):
    out, said = give(cluster, 1000.0)
    pass_time(cluster, out, 10.0, (0, 1))
    pass_time(cluster, out, 1500.0, (0,))
    assert cluster.cancelled == [2]  # 0: the first look; 1 and 2: the blocks
    assert [line.endswith("it is given to another worker") for line in said] == [True]
    cluster.answers |= {1: "first", next(cluster.numbers): None}
    pass_time(cluster, out, 5000.0, ())  # waits for a worker, and nothing says that it hangs
    assert len(said) == 1
    assert len(out._number_of) == 1


def test_a_block_that_hangs_everywhere_ends_the_run(cluster):
    out, said = give(cluster, 100.0)

    def hang_again_and_again() -> None:
        for _ in range(2 * MAX_HANGS + 2):
            cluster.actor.count.remote(1, "node-b")
            pass_time(cluster, out, 150.0, (0,))

    with pytest.raises(ClusterError, match=r"block 2 .* with 5 workers before; raise --ray-pat"):
        hang_again_and_again()
    assert len(said) == len(cluster.cancelled) == MAX_HANGS


def test_a_counter_that_is_lost_or_hangs_condemns_no_block(cluster):
    out, said = give(cluster, 100.0)
    pass_time(cluster, out, 10.0, (0, 1))
    cluster.actor.all = SimpleNamespace(remote=lambda: cluster._call(RuntimeError, "lost"))
    pass_time(cluster, out, 1000.0, (0, 1))
    cluster.actor.all = SimpleNamespace(remote=lambda: next(cluster.numbers))  # never answers
    pass_time(cluster, out, 1000.0, (0, 1))
    assert (said, cluster.cancelled) == ([], [])


def test_a_cluster_that_begins_nothing_is_told_of(cluster):
    out, said = give(cluster, 100.0)
    pass_time(cluster, out, 5 * NOTICE_SECONDS, ())
    assert [line.startswith("no worker has begun a block for ") for line in said] == [True]


def test_a_counter_that_begins_anew_is_no_sign():
    now = [0.0]
    watch = Watch(lambda: now[0])
    watch.hear({3: (7, "a")})
    now[0] = 50.0
    watch.hear({})
    assert [one.seconds for one in watch.silent([3, 4], 50.0)] == [50.0]
    watch.hear({3: (1, "a")})
    assert watch.silent([3], 50.0) == []


def test_signs_are_given_now_and_then():
    now, given = [0.0], []
    sign = Sign(lambda: given.append(now[0]), lambda: now[0])
    for now[0] in (0.0, 1.0, SIGN_SECONDS, SIGN_SECONDS + 1):
        assert sign() is False
    assert given == [0.0, SIGN_SECONDS]


@pytest.mark.parametrize("patience", [9.9, 1e7, float("nan"), float("inf")])
def test_a_patience_that_is_none(patience):
    with pytest.raises(ClusterError, match=r"--ray-patience must be from 10 to 1000000 seconds"):
        RayTasks.parse("", 1.0, 0.0, patience)
