"""One run in several processes: replicates are divided first, and what they measured joined last.

Every process trains its replicates on its own devices and knows nothing of the others until it is
done. Then process 0 gets what all have measured.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Self

from ...config.errors import ConfigError, ResumeError
from ...config.settings import Config
from ...config.versions import package_version
from ...data.errors import DataError
from ...engine.devices import find_devices
from ...results.records import RunRecord
from ...results.result import Result
from ..checkpoint import Damaged
from ..devices import settle
from ..options import RunOptions
from ..replicate import jobs_of
from ..saved import digests
from .address import Address
from .errors import ClusterError
from .roll_call import Card, Company, call_roll
from .shares import from_bytes, merge, run_share, to_bytes

PACKAGES = ("fedast-jax", "jax", "jaxlib")


class Place(NamedTuple):
    """Which of a run's processes this is."""

    coordinator: Address  # where process 0 listens
    num_processes: int
    process_id: int

    @classmethod
    def parse(
        cls, coordinator: str | None, num_processes: int | None, process_id: int | None
    ) -> Self | None:
        """From the command line; None where the run has one process only.

        Raises:
            ClusterError: an option is missing or cannot be.
        """
        options = {
            "--coordinator": coordinator,
            "--num-processes": num_processes,
            "--process-id": process_id,
        }
        missing = [name for name, value in options.items() if value is None]
        if len(missing) == len(options):
            return None
        if coordinator is None or num_processes is None or process_id is None:
            raise ClusterError(
                f"{', '.join(options)} belong together; {' and '.join(missing)} is missing"
            )
        if num_processes < 1:
            raise ClusterError(f"--num-processes must be at least 1, got {num_processes}")
        if not 0 <= process_id < num_processes:
            raise ClusterError(
                f"--process-id must be from 0 to {num_processes - 1} "
                f"(--num-processes {num_processes}), got {process_id}"
            )
        return cls(Address.parse(coordinator, "--coordinator"), num_processes, process_id)

    def simulate_together(self, configs: Sequence[Config], **options: Any) -> list[Result]:
        """As ``fedast_jax.simulate_together``, in all processes, which all must call it.

        A process that is lost on the way takes its replicates with it: the run is interrupted.

        Returns:
            In process 0 the results, in the others nothing.
        Raises:
            ClusterError: the processes do not come together, or one has failed.
        """
        start = time.perf_counter()
        how = replace(RunOptions(**options), checkpoints=None)  # several processes keep none
        self.check(configs)
        configs = settle(configs, self.find_devices)
        facts = {
            **_versions(),
            "machine.num_devices": str(configs[0].machine.num_devices),
            "configuration": _digest(configs, how.keeps),
        }
        with call_roll(self.coordinator, self.num_processes, Card(self.process_id, facts)) as all_:
            print(f"{self.num_processes} processes are there", file=sys.stderr, flush=True)
            listening = replace(how, is_stopped=self._listener(all_, how.is_stopped))
            said = _run(configs, self.process_id, self.num_processes, listening)
            shares = self._exchange(all_, to_bytes(said), how.is_stopped)
        return merge(configs, shares, time.perf_counter() - start) if self.process_id == 0 else []

    def find_devices(self) -> int:
        """Those of each process; on one machine for all, they share its cores."""
        num_present, _ = find_devices()
        num_sharing = self.num_processes if self.coordinator.is_here else 1
        return max(1, num_present // num_sharing)

    def check(self, configs: Sequence[Config]) -> None:
        """Raise ClusterError where there is not a replicate for every process."""
        num_replicates = sum(config.num_seeds for config in configs)
        if self.num_processes > num_replicates:
            raise ClusterError(
                f"--num-processes {self.num_processes} is more than the {num_replicates} "
                f"replicates of the run; lower it, or raise num_seeds"
            )

    def _listener(self, company: Company, is_stopped: Callable[[], bool]) -> Callable[[], bool]:
        """What is asked between calls of the device, where the others are heard as well.

        Without process 0 all work is in vain; that others are lost process 0 only says.
        """
        told: set[int] = set()

        def is_over() -> bool:
            if self.process_id != 0:
                return is_stopped() or company.is_over()
            new = set(company.lost()) - told
            told.update(new)
            for number in sorted(new):
                print(f"process {number} is lost; the others go on", file=sys.stderr, flush=True)
            return is_stopped()

        return is_over

    def _exchange(
        self, company: Company, mine: bytes, is_stopped: Callable[[], bool]
    ) -> list[RunRecord]:
        """Hand one's own share in; as process 0 take all, and say whether one has failed.

        Raises:
            ClusterError: one has; all say so.
        """
        if self.process_id != 0:
            company.hand_in(mine)
            failed = company.verdict()
            shares = []
        else:
            if waiting := company.awaited():
                print(f"process 0 is done; it waits for process {_list(waiting)}", file=sys.stderr)
            contents = {0: mine, **company.collect(is_stopped)}
            failed, shares = _open(contents)
            lost = sorted(set(range(self.num_processes)) - contents.keys())
            if lost:
                print(f"lost on the way: process {_list(lost)}", file=sys.stderr)
            company.tell(failed)
        if failed:
            raise ClusterError("; ".join(failed))
        return shares


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _open(contents: dict[int, bytes]) -> tuple[list[str], list[RunRecord]]:
    """What has failed in which process, and the shares of the others."""
    failed, shares = [], []
    for number in sorted(contents):
        try:
            said = from_bytes(contents[number], "what it has sent")
        except (Damaged, ResumeError) as error:
            failed.append(f"process {number}: {error}")
            continue
        if "error" in said:
            failed.append(f"process {number}: {said['error']}")
        else:
            shares.append(RunRecord.from_plain(said["share"]))
    return failed, shares


def _run(
    configs: Sequence[Config], process_id: int, num_processes: int, options: RunOptions
) -> dict[str, Any]:
    """This process's share, or why there is none: process 0 waits for either."""
    try:
        jobs = jobs_of(configs)[process_id::num_processes]
        return {"share": run_share(configs, jobs, options).to_plain()}
    except (ConfigError, DataError, OSError) as error:
        return {"error": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _versions() -> dict[str, str]:
    return {name: package_version(name) for name in PACKAGES}


def _table(config: Config) -> dict[str, Any]:
    """A configuration without the number of devices, which is told by itself."""
    table = config.to_dict()
    table["machine"].pop("num_devices", None)
    return table


def _digest(configs: Sequence[Config], keeps: dict[str, bool]) -> str:
    """Equal for equal runs."""
    text = json.dumps([[_table(config) for config in configs], keeps, digests(configs)])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
