"""The same client updates in plain PyTorch: its models, and a loop of SGD steps over them."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from fedast_jax.run.bench import shape_of, work_of
from fedast_jax.tasks import Kind


def mlp() -> nn.Module:
    """MNIST's."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 200), nn.ReLU(),
        nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 10),
    )  # fmt: skip


def lenet() -> nn.Module:
    """Fashion-MNIST's."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(256, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def cnn() -> nn.Module:
    """CIFAR-10's."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(1600, 384), nn.ReLU(), nn.Linear(384, 192), nn.ReLU(), nn.Linear(192, 10),
    )  # fmt: skip


class LSTM(nn.Module):
    """Shakespeare's: embedding 8, LSTM 100, dense 80 on the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(80, 8)
        self.lstm = nn.LSTM(8, 100, batch_first=True)
        self.dense = nn.Linear(100, 80)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        """``int64[batch, time]`` to logits."""
        return self.dense(self.lstm(self.embedding(symbols))[0][:, -1])


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, normalised over two groups of channels."""

    def __init__(self, features_in: int, features: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(features_in, features, 3, stride, 1, bias=False),
            nn.GroupNorm(2, features), nn.ReLU(),
            nn.Conv2d(features, features, 3, 1, 1, bias=False), nn.GroupNorm(2, features),
        )  # fmt: skip
        is_same = stride == 1 and features_in == features
        self.shortcut = nn.Identity() if is_same else nn.Sequential(
            nn.Conv2d(features_in, features, 1, stride, bias=False), nn.GroupNorm(2, features)
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``float[batch, channels, height, width]``."""
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet18() -> nn.Module:
    """CIFAR-100's."""
    stages = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)]
    blocks = [
        block
        for before, features, stride in stages
        for block in (Block(before, features, stride), Block(features, features, 1))
    ]
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.GroupNorm(2, 64), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 100),
    )  # fmt: skip


MODELS: dict[str, Callable[[], nn.Module]] = {
    "mnist": mlp,
    "fashion_mnist": lenet,
    "cifar10": cnn,
    "cifar100": resnet18,
    "shakespeare": LSTM,
}
CHANNELS_LAST = {"cifar10", "cifar100", "fashion_mnist"}  # where that layout was the faster one


def prepare(kind: Kind, num_updates: int, num_threads: int) -> Callable[[], float]:
    """A function that trains ``num_updates`` updates and returns the seconds it took.

    The examples are floats in memory, normalised and in order: no gathering, no data loader.
    """
    torch.set_num_threads(num_threads)
    work, model, inputs = work_of(kind), MODELS[kind.name](), random_inputs(kind)
    if kind.name in CHANNELS_LAST:
        layout = torch.channels_last
        model, inputs = model.to(memory_format=layout), inputs.contiguous(memory_format=layout)
    labels = torch.randint(0, shape_of(kind).num_classes, (len(inputs),))
    batches = list(zip(inputs.split(work.batch_size), labels.split(work.batch_size), strict=True))
    batches = [batch for batch in batches if len(batch[0]) == work.batch_size]
    rate = kind.defaults.client_lr / 100  # many updates on random data stay finite
    optimizer = torch.optim.SGD(
        model.parameters(), rate, weight_decay=kind.defaults.weight_decay, fused=True
    )

    def run() -> float:
        start = time.perf_counter()
        for step in range(num_updates * work.num_steps):
            examples, classes = batches[step % len(batches)]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(examples), classes).backward()
            optimizer.step()
        return time.perf_counter() - start

    return run


def random_inputs(kind: Kind) -> torch.Tensor:
    """Examples of one client, without any meaning."""
    shape, number = shape_of(kind), work_of(kind).num_samples or 640
    if kind.name == "shakespeare":
        return torch.randint(0, shape.num_classes, (number, *shape.input_shape))
    height, width, channels = shape.input_shape
    return torch.randn(number, channels, height, width)
