"""Flower's own program for the work of peers.py; see against_flower.py.

A worker of Flower's is a process of its own and loads the data with its first client.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from peer_torch import (
    MLP,
    Clock,
    Work,
    accuracy,
    load_work,
    one_core_worker,
    peer_arguments,
    start_at,
    write_report,
)
from torch.nn.functional import cross_entropy


def local_train(model: MLP, work: Work, rows: torch.Tensor) -> int:
    """All local steps of one client; each epoch takes its examples in a new order."""
    settings, size = work.settings, work.settings["batch_size"]
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=settings["client_lr"],
        weight_decay=settings["weight_decay"],
        fused=True,
    )
    images, labels = work.images[rows], work.labels[rows]
    per_epoch = settings["steps"] // settings["epochs"]
    for _ in range(settings["epochs"]):
        order = torch.randperm(len(rows))
        for batch in order[: per_epoch * size].split(size):
            optimizer.zero_grad()
            cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    return settings["steps"] * size


def make_client(folder: str, seed: int) -> ClientApp:
    """A client: takes the model, trains it, sends it back."""
    app = ClientApp()

    @app.train()
    def train(message: Message, context: Context) -> Message:
        work, model = one_core_worker(folder)
        model.load_state_dict(message.content["arrays"].to_torch_state_dict())
        config = message.content["config"]
        client = int(config.get("client", context.node_config["partition-id"]))
        rows = torch.from_numpy(work.arrays[f"samples_{seed}"][client])
        examples = local_train(model, work, rows)
        metrics = MetricRecord({"num-examples": len(rows), "trained": examples})
        content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
        return Message(content=content, reply_to=message)

    return app


class Counted(FedAvg):
    """Flower's FedAvg, which adds up the examples of the replies.

    Where there is a node for each of a round's clients and no more, a message says which client
    the node is this time.
    """

    examples = 0
    cohorts: np.ndarray | None = None  # (rounds, nodes)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        messages = list(super().configure_train(server_round, arrays, config, grid))
        if self.cohorts is None:
            return messages
        clients = self.cohorts[server_round - 1].tolist()
        return [
            Message(
                RecordDict({"arrays": arrays, "config": ConfigRecord({"client": client})}),
                message.metadata.dst_node_id,
                message.metadata.message_type,
            )
            for message, client in zip(messages, clients, strict=True)
        ]

    def aggregate_train(self, server_round: int, replies: Iterable[Message]) -> Any:
        replies = list(replies)
        Counted.examples += sum(
            int(reply.content["metrics"]["trained"]) for reply in replies if reply.has_content()
        )
        return super().aggregate_train(server_round, replies)


def make_server(work: Work, seed: int, num_nodes: int, clock: Clock) -> ServerApp:
    """The server: rounds of a cohort each, the mean of its models, a test."""
    app, model, settings = ServerApp(), MLP(), work.settings
    start_at(model, work, seed)

    def test(number: int, arrays: ArrayRecord) -> None:
        if number:
            model.load_state_dict(arrays.to_torch_state_dict())
            clock.stamp(accuracy(model, work))

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        strategy = Counted(
            fraction_train=settings["cohort"] / num_nodes,
            fraction_evaluate=0.0,
            min_train_nodes=settings["cohort"],
            min_available_nodes=num_nodes,
        )
        if num_nodes == settings["cohort"]:
            strategy.cohorts = work.arrays[f"cohorts_{seed}"]
        strategy.start(
            grid=grid,
            initial_arrays=ArrayRecord(model.state_dict()),
            num_rounds=settings["rounds"],
            evaluate_fn=test,
        )

    return app


def simulate(folder: str, work: Work, seed: int, cores: int, few_nodes: bool) -> Clock:
    """All rounds of one seed."""
    clock = Clock(seed)
    num_nodes = work.settings["cohort" if few_nodes else "clients"]
    run_simulation(
        server_app=make_server(work, seed, num_nodes, clock),
        client_app=make_client(folder, seed),
        num_supernodes=num_nodes,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": cores},
        },
    )
    return clock


def main() -> None:
    """Simulate every seed, one after the other."""
    arguments = peer_arguments()
    work = load_work(arguments.work)
    clocks = [
        simulate(arguments.work, work, seed, arguments.cores, arguments.few_nodes)
        for seed in arguments.seeds
    ]
    versions = {name: importlib.metadata.version(name) for name in ("flwr", "ray")}
    write_report(arguments.report, clocks, work.settings["cohort"], Counted.examples, versions)


if __name__ == "__main__":
    main()
