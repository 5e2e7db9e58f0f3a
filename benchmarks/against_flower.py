"""How fast is the same work in Flower's simulation, the most used simulator?

The work is described in peers.py: the same model, data, clients, steps and tests for both; cohorts
are Flower's own random ones.  Flower is used as its guide on simulations says: Ray's backend with
one core for each client and nothing else limited, so that as many clients train at once as there
are cores, each in a worker that has the data in memory and one thread; `FedAvg` without tests on
the clients; PyTorch's fused SGD.  Its server looks through all nodes ten times a second, which with
1000 of them takes most of a core; so there is a second arrangement with 96 nodes, each of which is
told in every round which client it is (the cohorts are fedast_jax's then).  Where there are several
seeds there is a third: the second on one core for each seed, as many at once as there are cores.
Telemetry is off.  `run_simulation` runs the program that `flwr run` runs, without the server
process around it.

Hardware: any CPU; MNIST in FEDAST_DATA_DIR or fetched by `fedast data prepare mnist`.  Flower wants
an environment of its own, since it asks for one certain version of Ray:
`python -m venv flowerenv && flowerenv/bin/pip install "flwr[simulation]" torch`.

Command: python benchmarks/against_flower.py --python flowerenv/bin/python --out DIR [--repeats 3]
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from lines import num_cores
from peers import HERE, Way, compare, seeds_at_once

PROGRAM = str(HERE / "peer_flower.py")


def ways(python: str, folder: Path) -> list[Way]:
    """Flower's arrangements on this machine."""
    cores, command = num_cores(), [python, PROGRAM, "--work", str(folder)]

    def together(seeds: Sequence[int]) -> list[list[str]]:
        return [[*command, "--cores", str(cores), "--seeds", *map(str, seeds)]]

    def few(seeds: Sequence[int]) -> list[list[str]]:
        return [[*one, "--few-nodes"] for one in together(seeds)]

    def apart(seeds: Sequence[int]) -> list[list[str]]:
        return seeds_at_once([*command, "--few-nodes"], seeds, cores)

    return [
        Way("Flower, a node for each client", together),
        Way("Flower, a node for each client of a round", few),
        Way("Flower, the same, a core for each seed", apart, 2),
    ]


if __name__ == "__main__":
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    compare(__doc__ or "", ways)
