"""What dividing every batch over several devices gains: training rates, in a process for each.

``python benchmarks/devices.py [KIND...] [--devices 1 2] [--repeats 2]``; on a CPU the devices are
parts of the host. Compilation and planning are left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

import fedast_jax as fx

UPDATES = {"mnist": 1500, "fashion_mnist": 500, "cifar10": 48, "shakespeare": 64}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=list(UPDATES))
    parser.add_argument("--devices", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--one", action="store_true", help="measure in this process")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(rate(options.kinds[0], options.devices[0])))
        return
    for kind in options.kinds:
        found = {
            number: [measure(kind, number) for _ in range(options.repeats)]
            for number in options.devices
        }
        base = statistics.median(found[options.devices[0]])
        for number, rates in found.items():
            median = statistics.median(rates)
            print(f"{kind}, {number} devices: {median:.1f} updates/s, {median / base:.2f}")


def measure(kind: str, num_devices: int) -> float:
    """Updates/s in a process of its own: a process cannot change its number of devices."""
    command = [sys.executable, __file__, kind, "--devices", str(num_devices), "--one"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def rate(kind: str, num_devices: int) -> float:
    """Updates a second of training, of one seed without a target."""
    config = fx.make_config(
        {
            "machine": {"num_devices": num_devices},
            "max_updates": UPDATES[kind],
            "tasks": {kind: {"target_accuracy": "none", "test_every": 1000}},
        }
    )
    result = fx.simulate(config)
    return result.counts.updates / result.seconds.train


if __name__ == "__main__":
    main()
