"""How fast is the same work in pfl-research (Apple), the fastest simulator of rounds on a GPU?

The work is described in peers.py: the same model, data, clients, cohorts, steps and tests for both.
pfl is used as its guide on speed says: in-memory `Dataset`s of tensors, a `SimulatedBackend`, no
metrics on the clients' data, central tests in large batches and divided over its processes, and
PyTorch's fused SGD.  Three arrangements, all in the table: one process with a thread for each core;
`torchrun` with a process for each core; and, where there are several seeds, a process with one
thread for each seed, as many at once as there are cores.  A client's batches are the same in
its three epochs, since a `Dataset` has one order; fedast_jax draws a new one for each.

Hardware: any CPU; MNIST in FEDAST_DATA_DIR or fetched by `fedast data prepare mnist`.  pfl wants an
environment of its own, since its pins and ours differ (it needs Python 3.10 to 3.12):
`python -m venv pflenv && pflenv/bin/pip install "pfl[pytorch]"`.

Command: python benchmarks/against_pfl.py --python pflenv/bin/python --out DIR [--repeats 3]
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lines import num_cores
from peers import HERE, Way, compare, seeds_at_once

PROGRAM = str(HERE / "peer_pfl.py")


def ways(python: str, folder: Path) -> list[Way]:
    """pfl's arrangements on this machine."""
    cores, work = num_cores(), ["--work", str(folder)]
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={cores}"]

    def threads(seeds: Sequence[int]) -> list[list[str]]:
        command = [python, PROGRAM, *work, "--cores", str(cores)]
        return [[*command, "--seeds", *map(str, seeds)]]

    def processes(seeds: Sequence[int]) -> list[list[str]]:
        return [[python, *launch, PROGRAM, *work, "--seeds", *map(str, seeds)]]

    def apart(seeds: Sequence[int]) -> list[list[str]]:
        return seeds_at_once([python, PROGRAM, *work], seeds, cores)

    return [
        Way("pfl, one process, threads", threads),
        Way("pfl, torchrun", processes),
        Way("pfl, a core for each seed", apart, 2),
    ]


if __name__ == "__main__":
    compare(__doc__ or "", ways)
