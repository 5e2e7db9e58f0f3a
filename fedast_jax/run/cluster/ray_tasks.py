"""A run as Ray tasks: each trains a block of replicates; that of a lost worker is tried again."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from ...config.errors import ResumeError
from ...config.settings import Config
from ...config.versions import package_version
from ...results.records import RunRecord
from ...results.result import Result
from ..checkpoint import Checkpoints, Damaged, Keeper
from ..devices import settle
from ..options import RunOptions
from ..replicate import Job
from ..saved import compare_digests, digests
from .blocks import make_blocks
from .errors import ClusterError
from .outstanding import Outstanding
from .ray_cluster import count_workers, ray_cluster
from .shares import from_bytes, merge

MAX_RETRIES = 5  # of a block whose worker is lost
MIN_PATIENCE, MAX_PATIENCE = 10.0, 1e6  # seconds; a program that is compiled gives no sign
PACKAGES = ("fedast-jax", "jax")


class RayTasks(NamedTuple):
    """How a run is given to Ray."""

    address: str | None  # None: from the environment, or a cluster on this machine
    num_cpus: float = 1.0  # of one block
    num_gpus: float = 0.0
    patience: float | None = None  # seconds without a sign until another worker gets a block

    @classmethod
    def parse(
        cls, address: str, num_cpus: float, num_gpus: float, patience: float | None = None
    ) -> Self:
        """From the command line.

        Raises:
            ClusterError: a block would need nothing, or less; a patience that is none.
        """
        are_numbers = all(0 <= number < math.inf for number in (num_cpus, num_gpus))
        if not are_numbers or num_cpus + num_gpus == 0:
            raise ClusterError(
                f"a block needs --ray-cpus or --ray-gpus above 0, got {num_cpus:g} and {num_gpus:g}"
            )
        if patience is not None and not MIN_PATIENCE <= patience <= MAX_PATIENCE:
            raise ClusterError(
                f"--ray-patience must be from {MIN_PATIENCE:.0f} to {MAX_PATIENCE:.0f} seconds, "
                f"got {patience:g}"
            )
        return cls(None if address in ("", "auto") else address, num_cpus, num_gpus, patience)

    def simulate_together(
        self,
        configs: Sequence[Config],
        *,
        say: Callable[[str], None] = print,
        imports: Sequence[str] = (),
        **options: Any,
    ) -> list[Result]:
        """As ``fedast_jax.simulate_together``, block by block on a Ray cluster.

        Args:
            configs: as there.
            say: is told when a block is done, and when a worker may hang.
            imports: modules for the workers to import, which register what the run names.
            options: as there; ``is_stopped`` ends the run with the blocks that are done, and those
                are what is kept in ``checkpoints``.
        Raises:
            ClusterError: there is no cluster, a block has failed, or a worker has other versions.
            ResumeError: as there.
        """
        how = RunOptions(**options)
        configs = settle(configs, self.find_devices)
        tables = [config.to_dict() for config in configs]
        progress = Progress.find(how.checkpoints, tables, how.keeps)
        progress.begin_with(digests(configs), imports)
        every = min(config.machine.checkpoint_seconds for config in configs)
        with ray_cluster(self.address) as ray:
            progress.blocks = progress.blocks or make_blocks(
                configs, count_workers(ray, self.needs)
            )
            keeper = Keeper(how.checkpoints, progress.content, every)
            out = Outstanding(ray, self._starter(ray, progress), self.patience, say)
            _work_off(ray, out, progress, keeper, how.is_stopped, say)
        return merge(configs, list(progress.finished.values()), progress.wall_seconds)

    def _starter(self, ray: Any, progress: Progress) -> Callable[[int, Any], Any]:
        """What gives a block to Ray, with the actor for its signs."""
        versions = {name: package_version(name) for name in PACKAGES}
        needs = {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus}
        task = ray.remote(**needs, max_retries=MAX_RETRIES)(make_task(versions))
        tables = ray.put(progress.tables)
        return lambda number, signs: task.remote(signs, number, tables, *progress.orders(number))

    def find_devices(self) -> int:
        """Those of a block: its GPUs, or one for each of its CPUs."""
        return max(1, int(self.num_gpus or self.num_cpus))

    @property
    def needs(self) -> dict[str, float]:
        """Of one block, by Ray's names."""
        both = {"CPU": self.num_cpus, "GPU": self.num_gpus}
        return {name: need for name, need in both.items() if need > 0}


class Progress:
    """The blocks of a run, and what those that are done have measured."""

    def __init__(self, tables: list[dict[str, Any]], keeps: dict[str, bool]) -> None:
        """Before the first block."""
        self.tables, self.keeps = tables, keeps
        self.blocks: list[list[Job]] = []
        self.finished: dict[int, RunRecord] = {}  # by the block's number: none can be there twice
        self.data: dict[str, str] | None = None  # digests of what own tasks train on
        self.imports: Sequence[str] = ()
        self._start = time.perf_counter()

    @classmethod
    def find(
        cls, checkpoints: Checkpoints | None, tables: list[dict[str, Any]], keeps: dict[str, bool]
    ) -> Self:
        """As it was when it was last kept, or at the beginning.

        Raises:
            ResumeError: what there is cannot be used, or belongs to another run.
        """
        progress, content = cls(tables, keeps), checkpoints.newest() if checkpoints else None
        if checkpoints is None or content is None:
            return progress
        if (content["tables"], content["keeps"]) != (tables, keeps):
            raise ResumeError(
                f"the checkpoints in {str(checkpoints.folder)!r} belong to other settings; start a "
                f"new run"
            )
        progress.blocks, progress.data = content["blocks"], content["data"]
        progress.finished = {
            number: RunRecord.from_plain(share) for number, share in content["finished"].items()
        }
        progress._start -= content["wall_seconds"]
        return progress

    def begin_with(self, data: dict[str, str], imports: Sequence[str]) -> None:
        """Say what own tasks train on and where they come from.

        Raises:
            ResumeError: the run has begun with other data.
        """
        if self.data is not None:
            compare_digests(self.data, data)
        self.data, self.imports = data, list(imports)

    def content(self) -> dict[str, Any]:
        """Plain values, for ``Checkpoints.write``."""
        return {
            "tables": self.tables,
            "keeps": self.keeps,
            "blocks": self.blocks,
            "data": self.data,
            "finished": {number: share.to_plain() for number, share in self.finished.items()},
            "wall_seconds": self.wall_seconds,
        }

    @property
    def wall_seconds(self) -> float:
        """Since the run was begun, without the time when nothing worked on it."""
        return time.perf_counter() - self._start

    @property
    def waiting(self) -> list[int]:
        """The numbers of the blocks that are not done."""
        return [number for number in range(len(self.blocks)) if number not in self.finished]

    def orders(self, number: int) -> tuple[Any, ...]:
        """What a worker is told of a block, beside the tables."""
        return self.blocks[number], self.keeps, self.imports, self.data

    def words(self) -> str:
        """How far it is."""
        done = sum(len(self.blocks[number]) for number in self.finished)
        return (
            f"{len(self.finished)} of {len(self.blocks)} blocks, "
            f"{done} of {sum(map(len, self.blocks))} replicates"
        )


def make_task(versions: Mapping[str, str]) -> Callable[..., dict[str, Any]]:
    """What a worker does with a block, for workers with these versions.

    The function is sent as it stands, so that it can speak where the package is another or missing.
    """

    def run_block(signs: Any, number: int, *arguments: Any) -> dict[str, Any]:
        from importlib.metadata import PackageNotFoundError, version
        from socket import gethostname

        present = {}
        for name in versions:
            try:
                present[name] = version(name)
            except PackageNotFoundError:
                present[name] = "not installed"
        node = gethostname()
        head = {"node": node, "versions": present, "wanted": dict(versions)}
        if present != versions:
            return head
        from fedast_jax.run.cluster.blocks import run_block
        from fedast_jax.run.cluster.signs import Sign

        sign = Sign(lambda: signs.count.remote(number, node))
        sign()
        return head | run_block(*arguments, sign=sign)

    return run_block


def _work_off(
    ray: Any,
    out: Outstanding,
    progress: Progress,
    keeper: Keeper,
    is_stopped: Callable[[], bool],
    say: Callable[[str], None],
) -> None:
    """Give all waiting blocks to Ray, and take in what comes back until all are done."""
    out.give(progress.waiting)
    try:
        while out and not is_stopped():
            for ended, number in out.take():
                node, progress.finished[number] = _open(ray, ended, number)
                say(f"block {number + 1} done on {node}: {progress.words()}")
                keeper.tick()
    except KeyboardInterrupt:
        pass
    except ClusterError:
        if progress.finished:
            keeper.write()
        raise
    if out:
        out.cancel()
        keeper.write()


def _open(ray: Any, block: Any, number: int) -> tuple[str, RunRecord]:
    """Where a block was done, and what it has measured.

    Raises:
        ClusterError: it has failed for good.
    """
    try:
        answer = ray.get(block)
    except ray.exceptions.RayError as error:
        reason = str(getattr(error, "cause", None) or error).strip().splitlines()[0]
        raise ClusterError(
            f"block {number + 1} has failed on the Ray cluster: {type(error).__name__}: {reason}"
        ) from None
    check_versions(answer)
    if "error" in answer:
        raise ClusterError(f"the Ray worker on {answer['node']}: {answer['error']}")
    try:
        share = from_bytes(answer["share"], f"the share of block {number + 1}")
    except (Damaged, ResumeError) as error:
        raise ClusterError(f"the Ray worker on {answer['node']}: {error}") from None
    return answer["node"], RunRecord.from_plain(share)


def check_versions(answer: Mapping[str, Any]) -> None:
    """Raise ClusterError where a worker has other versions, with both."""
    present, wanted = answer["versions"], answer["wanted"]
    if present != wanted:
        raise ClusterError(
            f"the Ray worker on {answer['node']} has {_words(present)}, but this program has "
            f"{_words(wanted)}; install the same on all machines"
        )


def _words(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
