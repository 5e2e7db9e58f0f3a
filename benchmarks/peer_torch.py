"""The work of peers.py as PyTorch does it: what the peers' own programs share.

It runs in a peer's interpreter, which need not have JAX or fedast_jax.  The model, its initial
parameters, the data, the clients' samples and every step's batch size, rate and decay come from the
folder that peers.py writes.  Images are normalised once; SGD is PyTorch's fused one, the fastest of
its three forms here (48.6 updates/s on one core, 45.4 and 45.7 the others; `torch.compile` of the
model makes 47.6 of the 48.6, after 20 s).
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

CHUNK = 1000  # test images at a time


@dataclass
class Work:
    """What is to be done, and the data.

    Attributes:
        settings: the numbers of ``peers.Work``.
        arrays: the initial models, samples and cohorts of each seed.
        images, labels: ``float32[n, 784]`` and ``int64[n]``, of the training set.
        test_images, test_labels: of the test set.
    """

    settings: dict[str, Any]
    arrays: dict[str, np.ndarray]
    images: torch.Tensor
    labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor


def load_work(folder: str | Path) -> Work:
    """Read what peers.py has written."""
    settings = json.loads(Path(folder, "work.json").read_text())
    arrays = dict(np.load(Path(folder, "work.npz")))
    splits = [
        normalised(arrays.pop(f"{split}_images"), settings)
        if what == "images"
        else torch.from_numpy(arrays.pop(f"{split}_labels").astype(np.int64))
        for split in ("train", "test")
        for what in ("images", "labels")
    ]
    return Work(settings, arrays, *splits)


def normalised(images: np.ndarray, settings: dict[str, Any]) -> torch.Tensor:
    """``uint8[n, ...]`` -> ``float32[n, pixels]``."""
    pixels = torch.from_numpy(images.reshape(len(images), -1)).float()
    return pixels.div_(255).sub_(settings["mean"]).div_(settings["std"])


class MLP(nn.Sequential):
    """784-200-200-10 with ReLU between."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(784, 200), nn.ReLU(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10)
        )


def start_at(model: nn.Module, work: Work, seed: int) -> None:
    """Give a model the seed's initial parameters."""
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.from_numpy(work.arrays[f"initial_{seed}_{number}"]))


def accuracy(model: nn.Module, work: Work) -> float:
    """On the whole test set."""
    with torch.no_grad():
        right = [
            (model(images).argmax(1) == labels).sum().item()
            for images, labels in zip(
                work.test_images.split(CHUNK), work.test_labels.split(CHUNK), strict=True
            )
        ]
    return sum(right) / len(work.test_labels)


@lru_cache(maxsize=1)
def one_core_worker(folder: str) -> tuple[Work, MLP]:
    """The data and a model, once in a process that has one core."""
    torch.set_num_threads(1)
    return load_work(folder), MLP()


class Clock:
    """When each round of one seed has ended, and the accuracy then."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.stamps: list[float] = []
        self.accuracies: list[float] = []

    def stamp(self, accuracy: float | None) -> None:
        """A round has ended; None: its model was not tested."""
        self.stamps.append(time.time())
        if accuracy is not None:
            self.accuracies.append(accuracy)

    @property
    def seconds(self) -> float:
        """Of all rounds but the first, in which a peer's workers start."""
        return self.stamps[-1] - self.stamps[0]


def write_report(
    path: str, clocks: list[Clock], cohort: int, examples: int, versions: dict[str, str]
) -> None:
    """What peers.py reads: updates and seconds after the first rounds, examples of all."""
    report = {
        "updates": sum(len(clock.stamps) - 1 for clock in clocks) * cohort,
        "seconds": sum(clock.seconds for clock in clocks),
        "examples": examples,
        "accuracy": {clock.seed: clock.accuracies for clock in clocks},
        "versions": versions | {"torch": torch.__version__},
    }
    Path(path).write_text(json.dumps(report))


def peer_arguments() -> argparse.Namespace:
    """What peers.py tells a peer's program."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--few-nodes", action="store_true", help="Flower: as many as a cohort")
    parser.add_argument("--report", required=True)
    return parser.parse_args()
