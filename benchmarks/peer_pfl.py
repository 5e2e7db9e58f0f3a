"""pfl-research's own program for the work of peers.py; see against_pfl.py."""

from __future__ import annotations

import importlib.metadata
from functools import partial
from typing import Any

import numpy as np
import torch
from peer_torch import MLP, Clock, Work, load_work, peer_arguments, start_at, write_report
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByUser
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.callback.central_evaluation import CentralEvaluationCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
from pfl.internal.ops import pytorch_ops
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel
from torch.nn.functional import cross_entropy

TEST = "Central val | accuracy"


class Model(MLP):
    """The MLP with what pfl asks of a module."""

    examples = 0  # trained with, in this process

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        Model.examples += len(labels)
        return cross_entropy(self(images), labels)

    @torch.no_grad()
    def metrics(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
        right = (self(images).argmax(1) == labels).sum().item()
        return {"accuracy": Weighted(right, len(labels))}


class Watch(TrainingProcessCallback):
    """Reads the clock after every round."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def after_central_iteration(
        self, aggregate_metrics: Metrics, model: Any, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        tested = aggregate_metrics.to_simple_dict().get(TEST) if central_iteration else None
        self.clock.stamp(tested)
        return False, Metrics()


def users(work: Work, seed: int) -> FederatedDataset:
    """The seed's clients, in its cohorts; an order of a client's examples holds for one request."""
    samples, settings = work.arrays[f"samples_{seed}"], work.settings
    used = settings["steps"] // settings["epochs"] * settings["batch_size"]
    random = np.random.default_rng(seed)

    def make(user: int) -> Dataset:
        rows = torch.from_numpy(random.permutation(samples[user])[:used])
        return Dataset((work.images[rows], work.labels[rows]))

    order = work.arrays[f"cohorts_{seed}"].ravel().tolist()
    return FederatedDataset(make, iter(order).__next__)


def train(work: Work, seed: int) -> Clock:
    """All rounds of one seed."""
    np.random.seed(seed)  # the workers must agree
    torch.manual_seed(seed)
    clock, module, settings = Clock(seed), Model(), work.settings
    start_at(module, work, seed)
    central = torch.optim.SGD(module.parameters(), lr=1.0)
    local = partial(torch.optim.SGD, weight_decay=settings["weight_decay"], fused=True)
    data = users(work, seed)
    tests = CentralEvaluationCallback(
        Dataset((work.test_images, work.test_labels)), NNEvalHyperParams(local_batch_size=1000)
    )
    FederatedAveraging().run(
        NNAlgorithmParams(
            central_num_iterations=settings["rounds"],
            evaluation_frequency=settings["rounds"] + 1,  # of the clients' own data: the first only
            train_cohort_size=settings["cohort"],
            val_cohort_size=0,
        ),
        SimulatedBackend(data, data, [WeightByUser()]),
        PyTorchModel(module, local, central),
        NNTrainHyperParams(
            local_num_epochs=settings["epochs"],
            local_learning_rate=settings["client_lr"],
            local_batch_size=settings["batch_size"],
        ),
        NNEvalHyperParams(local_batch_size=None),
        [tests, Watch(clock)],
        send_metrics_to_platform=False,
    )
    return clock


def examples_of_all() -> int:
    """Trained with in all processes."""
    count = torch.tensor([Model.examples])
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(count)
    return int(count)


def main() -> None:
    """Train every seed, one after the other; the first process reports."""
    arguments = peer_arguments()
    torch.set_num_threads(arguments.cores)
    work = load_work(arguments.work)
    clocks = [train(work, seed) for seed in arguments.seeds]
    examples = examples_of_all()
    if pytorch_ops.distributed.global_rank == 0:
        versions = {"pfl": importlib.metadata.version("pfl")}
        write_report(arguments.report, clocks, work.settings["cohort"], examples, versions)


if __name__ == "__main__":
    main()
