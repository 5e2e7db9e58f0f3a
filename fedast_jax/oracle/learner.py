"""The tasks of a configuration, trained for real by a plain loop over steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..clients.batches import AUGMENT, INITIAL_MODEL
from ..clients.delays import Stream
from ..config.settings import Config
from ..config.work import LocalWork
from ..data.pooled_data import Pooled
from ..data.task_data import Clients
from .kinds import built_task, key_of, load_data, orders, sgd_step, whole_test
from .rules import EPSILON, RULES, Round, server_step
from .state import Known, Model, Request, Update


class RealLearner:
    """The tasks of a configuration, trained for real by a plain loop over steps."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.settings = [task.settings for task in config.named_tasks]
        self.data = [load_data(one.kind, one.dataset, one.test_samples) for one in self.settings]
        self.tasks = [built_task(one.kind, config.fidelity, one.dataset) for one in self.settings]
        self.partitions: dict[tuple[int, int], Clients] = {}
        self.moments: dict[int, tuple[Any, Any]] = {}  # task -> FedOpt's m and v, leaf by leaf

    def initial(self, seed: int, task: int) -> Model:
        model = self.tasks[task].init(key_of(seed, task, INITIAL_MODEL))
        zeros = [np.zeros_like(leaf) for leaf in jax.tree.leaves(model)]
        self.moments[task] = zeros, [zero + EPSILON**2 for zero in zeros]
        return model

    def train(self, seed: int, request: Request, model: Model) -> tuple[Update, float]:
        index, settings = request.task, self.settings[request.task]
        work, samples = self.work(seed, request)
        key = key_of(seed, index, request.number)
        x, step, losses = model, sgd_step(self.tasks[index]), []
        for number, rows in enumerate(np.asarray(orders(work, samples, key))):
            x, loss = step(
                x,
                self.data[index].on_device.train,
                rows,
                jax.random.fold_in(key, AUGMENT + number),
                settings.client_lr,
                settings.weight_decay,
                settings.proximal,
                model,
            )
            losses.append(float(loss))
        return jax.tree.map(jnp.subtract, model, x), sum(losses) / len(losses)

    def work(self, seed: int, request: Request) -> tuple[LocalWork, np.ndarray]:
        """How a request trains, and on which examples: its client's, or all there are."""
        index, work = request.task, self.settings[request.task].work
        if self.config.algorithm != "centralized":
            return work, self.partition(seed, index).samples([request.client])[0]
        span = np.array([0, self.data[index].num_examples], np.int32)
        return LocalWork(work.batch_size, None, work.num_steps, None), span

    def aggregate(self, task: int, model: Model, updates: list[Update], known: Known) -> Model:
        """Leaf by leaf, since no rule mixes numbers of different places."""
        rule = RULES.get(self.config.algorithm)
        if rule is None:
            return self.step(task, model, updates, known.weights)
        leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, model))
        rows, starts = leaf_rows(updates), leaf_rows(known.starts)
        nothing = [0 * leaf for leaf in leaves]
        before = [nothing if one is None else leaf_rows([one])[0] for one in known.previous]
        known.state.extend({} for _ in leaves[len(known.state) :])
        found = [
            rule(
                leaf,
                [row[place] for row in rows],
                Round(
                    self.settings[task].server_lr,
                    self.settings[task].method,
                    known,
                    [row[place] for row in before],
                    [row[place] for row in starts],
                ),
                known.state[place],
            )
            for place, leaf in enumerate(leaves)
        ]
        return jax.tree.unflatten(structure, found)

    def step(self, task: int, model: Model, updates: list[Update], weights: list[float]) -> Model:
        """A replicate's rounds follow each other: what an optimizer keeps is the last round's."""
        leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, model))
        rows = [[np.asarray(leaf) for leaf in jax.tree.leaves(one)] for one in updates]
        weighted = [
            [weight * leaf for leaf in row] for weight, row in zip(weights, rows, strict=True)
        ]
        deltas = [-sum(leaf) / len(rows) for leaf in zip(*weighted, strict=True)]
        one, (m, v) = self.settings[task], self.moments[task]
        steps = []
        for place, delta in enumerate(deltas):
            step, m[place], v[place] = server_step(one.server_optimizer, delta, m[place], v[place])
            steps.append(step)
        found = [x + one.server_lr * step for x, step in zip(leaves, steps, strict=True)]
        return jax.tree.unflatten(structure, found)

    def score(self, task: int, model: Model) -> tuple[float, float]:
        total = self.data[task].num_tests
        test = whole_test(self.tasks[task])
        correct, loss = test(model, self.data[task].on_device.test, np.arange(total))
        return float(np.sum(correct)) / total, float(np.mean(np.asarray(loss, np.float64)))

    def spread(self, updates: list[Update]) -> float:
        rows = [np.concatenate([np.ravel(x) for x in jax.tree.leaves(one)]) for one in updates]
        mean = sum(rows) / len(rows)
        return sum(float(np.sum((row - mean) ** 2)) for row in rows) / (
            len(rows) * float(np.sum(mean**2))
        )

    def spread_without_biases(self, updates: list[Update]) -> float:
        def without(update: Update) -> list[np.ndarray]:
            leaves, _ = jax.tree_util.tree_flatten_with_path(update)
            return [leaf for path, leaf in leaves if not path[-1].key.endswith("bias")]

        return self.spread([without(update) for update in updates])

    def held(self, seed: int, task: int) -> Clients:
        """Who holds which samples: clients, or one machine that holds all."""
        if self.config.algorithm != "centralized":
            return self.partition(seed, task)
        return Pooled(self.data[task].num_examples)

    def partition(self, seed: int, task: int) -> Clients:
        """Which samples each client holds; the authors' clients draw proportions once."""
        if (seed, task) not in self.partitions:
            follows_authors = self.config.fidelity == "authors"
            self.partitions[seed, task] = self.data[task].partition(
                self.settings[task],
                self.config.num_clients,
                (seed, Stream.PARTITION, task),
                (seed, Stream.PARTITION) if follows_authors else None,
            )
        return self.partitions[seed, task]


def leaf_rows(trees: list[Any]) -> list[list[np.ndarray]]:
    """The leaves of each."""
    return [[np.asarray(leaf) for leaf in jax.tree.leaves(one)] for one in trees]
