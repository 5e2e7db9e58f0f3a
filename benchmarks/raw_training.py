"""How fast is bare local training, and how does it compare with plain PyTorch steps?

Both sides do the same work: SGD steps of batch 32 on the same model, 27 steps an update, on random
images held in memory, without a data loader, without tests and aggregation.  The JAX side runs as
in the engine (a scan over batches of 16 slots, micro-batches inside).  The two alternate several
times in one process, because machines of one kind differ by up to 1.7 and other work comes and
goes: read the ratio, not the rate.

Hardware: any CPU; both sides use all cores the process may use.  Results are in
docs/benchmarks.md with the machine they were taken on.

Command: python benchmarks/raw_training.py [--kinds mnist fashion_mnist cifar10] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from fedast_jax.bench import SLOTS, prepare, shape_of, update_flops, work_of
from fedast_jax.flops import gemm_peak
from fedast_jax.tasks import Kind, get_kind

NUM_BATCHES = {"mnist": 6, "fashion_mnist": 2, "cifar10": 1}  # about a second or more each
NUM_TORCH_UPDATES = {"mnist": 48, "fashion_mnist": 16, "cifar10": 4}


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


TORCH_MODELS = {"mnist": torch_mlp, "fashion_mnist": torch_lenet, "cifar10": torch_cnn}


def prepare_torch(kind: Kind, num_updates: int) -> Callable[[], float]:
    """A function that makes ``num_updates`` updates in PyTorch and returns the seconds it took."""
    work = work_of(kind)
    height, width, channels = shape_of(kind).input_shape
    model = TORCH_MODELS[kind.name]()
    images = torch.randn(work.num_samples, channels, height, width)
    labels = torch.randint(0, 10, (work.num_samples,))
    optimizer = torch.optim.SGD(
        model.parameters(), kind.defaults.client_lr / 100, weight_decay=kind.defaults.weight_decay
    )  # a small rate, so that many updates on random images stay finite

    def run() -> float:
        start = time.perf_counter()
        for step in range(num_updates * work.num_steps):
            first = step % work.steps_per_epoch * work.batch_size
            batch = slice(first, first + work.batch_size)
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        return time.perf_counter() - start

    return run


def compare(kind: Kind, rounds: int, micro: int | None) -> str:
    """One line of the table: median rates of both sides over alternating rounds."""
    num_batches, num_updates = NUM_BATCHES[kind.name], NUM_TORCH_UPDATES[kind.name]
    run_jax, compile_seconds = prepare(kind, num_batches, micro)
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
    print("rates in updates/s (27 steps of batch 32); GFLOP/s of matrix products")
    print("kind           micro compile_s  fedast_jax  pytorch  ratio  GFLOP/s   peak  share")
    for name in args.kinds:
        for micro in args.micro or [None]:
            print(compare(get_kind(name), args.rounds, micro), flush=True)


if __name__ == "__main__":
    main()
