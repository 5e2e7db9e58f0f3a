"""How fast is bare local training, and how does it compare with plain PyTorch steps?

Both sides do the same work: SGD steps of the same batch on the same model, 27 steps an update, on
random data held in memory, without a data loader, without tests and aggregation.  The JAX side runs
as in the engine (a scan over batches of 16 slots, micro-batches inside).  The two alternate several
times in one process, because machines of one kind differ by up to 1.7 and other work comes and
goes: read the ratio, not the rate, and only on a machine with nothing else to do (PyTorch's threads
wait for each other, so that a busy core slows it by far more than its share).

Hardware: any CPU; both sides use all cores the process may use.  Results are in
benchmarks/README.md with the machine they were taken on.

Command: python benchmarks/raw_training.py [--kinds mnist shakespeare] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from fedast_jax.engine.flops import gemm_peak
from fedast_jax.run.bench import SLOTS, compile_training, shape_of, update_flops, work_of
from fedast_jax.tasks import Kind, get_kind

NUM_BATCHES = {"mnist": 6, "fashion_mnist": 2}  # about a second or more each; else one
NUM_TORCH_UPDATES = {"mnist": 48, "fashion_mnist": 16, "cifar10": 4, "shakespeare": 8}


def torch_mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 200), nn.ReLU(),
        nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10),
    )  # fmt: skip


def torch_lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def torch_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 64, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(1600, 384), nn.ReLU(), nn.Linear(384, 192), nn.ReLU(), nn.Linear(192, 10),
    )  # fmt: skip


class TorchLSTM(nn.Module):
    """Embedding 8, LSTM 100, dense 80 on the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(80, 8)
        self.lstm = nn.LSTM(8, 100, batch_first=True)
        self.dense = nn.Linear(100, 80)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        return self.dense(self.lstm(self.embedding(symbols))[0][:, -1])


TORCH_MODELS: dict[str, Callable[[], nn.Module]] = {
    "mnist": torch_mlp,
    "fashion_mnist": torch_lenet,
    "cifar10": torch_cnn,
    "shakespeare": TorchLSTM,
}


def prepare_torch(kind: Kind, num_updates: int) -> Callable[[], float]:
    """A function that makes ``num_updates`` updates in PyTorch and returns the seconds it took."""
    work = work_of(kind)
    model = TORCH_MODELS[kind.name]()
    inputs = torch_inputs(kind)
    labels = torch.randint(0, shape_of(kind).num_classes, (len(inputs),))
    num_batches = len(inputs) // work.batch_size
    optimizer = torch.optim.SGD(
        model.parameters(), kind.defaults.client_lr / 100, weight_decay=kind.defaults.weight_decay
    )  # a small rate, so that many updates on random data stay finite

    def run() -> float:
        start = time.perf_counter()
        for step in range(num_updates * work.num_steps):
            first = step % num_batches * work.batch_size
            batch = slice(first, first + work.batch_size)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[batch]), labels[batch]).backward()
            optimizer.step()
        return time.perf_counter() - start

    return run


def torch_inputs(kind: Kind) -> torch.Tensor:
    """Random examples of one client."""
    shape, number = shape_of(kind), work_of(kind).num_samples or 640
    if kind.name == "shakespeare":
        return torch.randint(0, shape.num_classes, (number, *shape.input_shape))
    height, width, channels = shape.input_shape
    return torch.randn(number, channels, height, width)


def compare(kind: Kind, rounds: int, micro: int | None) -> str:
    """One line of the table: median rates of both sides over alternating rounds."""
    num_batches, num_updates = NUM_BATCHES.get(kind.name, 1), NUM_TORCH_UPDATES[kind.name]
    run_jax, compile_seconds = compile_training(kind, num_batches, micro)
    run_torch = prepare_torch(kind, num_updates)
    run_jax()  # warm
    run_torch()
    ours, theirs, peaks = [], [], []
    for _ in range(rounds):
        ours.append(num_batches * SLOTS / run_jax())
        theirs.append(num_updates / run_torch())
        peaks.append(gemm_peak() / 1e9)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    rate, peak = statistics.median(ours), statistics.median(peaks)
    gflops = rate * update_flops(kind) / 1e9
    used = micro or kind.micro_batch.get("cpu", SLOTS)
    return (
        f"{kind.name:14} {used:5d} {compile_seconds:9.1f} {rate:11.2f}"
        f" {statistics.median(theirs):8.2f} {ratio:6.2f}"
        f" {gflops:8.0f} {peak:6.0f} {gflops / peak:6.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=sorted(TORCH_MODELS), choices=TORCH_MODELS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--micro", type=int, nargs="+", help="clients side by side")
    args = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print("rates in updates/s; GFLOP/s of matrix products")
    print("kind           micro compile_s  fedast_jax  pytorch  ratio  GFLOP/s   peak  share")
    for name in args.kinds:
        for micro in args.micro or [None]:
            print(compare(get_kind(name), args.rounds, micro), flush=True)


if __name__ == "__main__":
    main()
