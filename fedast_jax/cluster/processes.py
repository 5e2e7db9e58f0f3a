"""One run in several processes, with ``jax.distributed``: replicates are divided first.

Every process trains its replicates on its own devices and knows nothing of the others until it is
done. Then process 0 gets what all have measured.
"""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import jax
import numpy as np
from jax._src import distributed  # its store of keys and values has no public name
from jax.experimental import multihost_utils

from ..config.settings import Config, ConfigError
from ..data.errors import DataError
from ..engine.devices import divide_cpu
from ..results.tables import Result, package_version
from ..run.driver import jobs_of
from .address import Address
from .errors import ClusterError
from .roll_call import Card, call_roll
from .shares import from_bytes, merge, run_share, to_bytes

INITIALIZE_SECONDS = 60
POLL_MILLISECONDS = 500
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

        Returns:
            In process 0 the results, in the others nothing.
        Raises:
            ClusterError: the processes do not come together, or one has failed.
        """
        start = time.perf_counter()
        options.pop("checkpoints", None)  # a run in several processes has none
        keeps = {name: options[name] for name in ("keep_models", "keep_requests")}
        self.check(configs)
        divide_cpu(configs[0].num_devices)  # before the processes first compute together
        self._join({**_versions(), "configuration": _digest(configs, keeps)})
        shares = self._exchange(_run(configs, self.process_id, self.num_processes, options))
        failed = [(i, one["error"]) for i, one in enumerate(shares) if "error" in one]
        if failed:
            raise ClusterError("; ".join(f"process {i}: {error}" for i, error in failed))
        if self.process_id != 0:
            return []
        return merge(configs, shares, time.perf_counter() - start, **keeps).results()

    def check(self, configs: Sequence[Config]) -> None:
        """Raise ClusterError where there is not a replicate for every process."""
        num_replicates = sum(config.num_seeds for config in configs)
        if self.num_processes > num_replicates:
            raise ClusterError(
                f"--num-processes {self.num_processes} is more than the {num_replicates} "
                f"replicates of the run; lower it, or raise num_seeds"
            )

    def _join(self, facts: dict[str, str]) -> None:
        call_roll(self.coordinator, self.num_processes, Card(self.process_id, facts))
        jax.distributed.initialize(
            str(self.coordinator),
            self.num_processes,
            self.process_id,
            initialization_timeout=INITIALIZE_SECONDS,
        )
        multihost_utils.process_allgather(np.zeros(1, np.uint8))  # connects all, while all are here

    def _exchange(self, content: dict[str, Any]) -> list[dict[str, Any]]:
        """What every process has to say; then they are no longer connected.

        A collective operation waits half an hour at most, so none begins before all are ready.
        """
        data = np.frombuffer(to_bytes(content), np.uint8)
        lengths = self._lengths(len(data))
        padded = np.zeros(max(lengths), np.uint8)
        padded[: len(data)] = data
        rows = multihost_utils.process_allgather(padded)
        jax.distributed.shutdown()
        return [
            from_bytes(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True)
        ]

    def _lengths(self, mine: int) -> list[int]:
        """The number that every process has; returns when all have one."""
        store: Any = distributed.global_state.client
        store.key_value_set(f"fedast/length/{self.process_id}", str(mine))
        return [_wait(store, f"fedast/length/{other}") for other in range(self.num_processes)]


def _run(
    configs: Sequence[Config], process_id: int, num_processes: int, options: dict[str, Any]
) -> dict[str, Any]:
    """This process's share, or why there is none: the others wait for either."""
    try:
        return run_share(configs, jobs_of(configs)[process_id::num_processes], **options)
    except (ConfigError, DataError, OSError) as error:
        return {"error": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _wait(store: Any, key: str) -> int:
    """Short waits, so that Ctrl-C is heard."""
    while True:
        try:
            return int(store.blocking_key_value_get(key, POLL_MILLISECONDS))
        except jax.errors.JaxRuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise


def _versions() -> dict[str, str]:
    return {name: package_version(name) for name in PACKAGES}


def _digest(configs: Sequence[Config], keeps: dict[str, bool]) -> str:
    """Equal for equal runs."""
    text = json.dumps([[config.to_dict() for config in configs], keeps])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
