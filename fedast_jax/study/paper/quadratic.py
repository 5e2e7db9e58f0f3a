"""A task of which everything is known that the theorems assume: a quadratic, one model x in R^d.

Client i's loss is f_i(x) = (x - c_i)^T A (x - c_i) / 2 with a diagonal A; one of its examples is a
point a, with the loss (x - a)^T A (x - a) / 2, and c_i is the mean of its points. So a stochastic
gradient A (x - a) has the same variance, and a client's the same distance from the whole, for
every x. A test measures ||grad f(x)||^2, which stands in the column ``loss``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...config.tables import TaskConfig
from ...data.errors import DataError
from ...data.shapes import Data, Shape
from ...data.task_data import Clients, Splits, TaskData, put
from ...tasks import TASKS, Defaults, Kind, Params, TaskFunctions, register_task
from ...tasks.nn.layers import default_float
from .theory import Problem

NAME = "quadratic"
DIMENSION = 16
NUM_CLIENTS = 100
POINTS = 512  # of a client
LARGEST, LEAST = 1.0, 0.25  # of A's diagonal: L, and what makes the problem strongly convex
SHIFT = 1.0  # of the mean of all points from the start, in each direction
APART = 0.02  # standard deviation of the clients' means
NOISE = 1.0  # and of a client's points around its own


class Quadratic(NamedTuple):
    """The points of all clients."""

    points: np.ndarray  # float64[clients, points, d]

    @property
    def centres(self) -> np.ndarray:
        """c_i, ``float64[clients, d]``."""
        return self.points.mean(axis=1)

    @property
    def centre(self) -> np.ndarray:
        """Where f is least, ``float64[d]``."""
        return self.centres.mean(axis=0)

    @property
    def problem(self) -> Problem:
        """Its constants, of this very set of points."""
        noise = ((self.points - self.centres[:, None]) * CURVATURE) ** 2
        apart = ((self.centres - self.centre) * CURVATURE) ** 2
        delta = float((CURVATURE * self.centre**2).sum() / 2)  # from x = 0
        return Problem(LARGEST, noise.sum(-1).mean(-1).max(), apart.sum(-1).max(), delta)

    @property
    def first(self) -> float:
        """||grad f(x^(0))||^2."""
        return float(((CURVATURE * self.centre) ** 2).sum())


CURVATURE = np.linspace(LARGEST, LEAST, DIMENSION)  # A's diagonal


@cache
def quadratic() -> Quadratic:
    """The same points every time."""
    rng = np.random.default_rng(4)
    centres = SHIFT + APART * rng.standard_normal((NUM_CLIENTS, 1, DIMENSION))
    return Quadratic(centres + NOISE * rng.standard_normal((NUM_CLIENTS, POINTS, DIMENSION)))


class Spans(Clients):
    """Client i holds the i-th ``POINTS`` examples."""

    def samples(self, clients: np.ndarray | Sequence[int]) -> np.ndarray:
        """``int32[n, 2]``: first example and how many."""
        first = POINTS * np.asarray(clients, np.int32).reshape(-1)
        return np.stack([first, np.full_like(first, POINTS)], axis=1)

    def all_samples(self) -> Iterator[np.ndarray]:
        """All in one block."""
        yield np.arange(NUM_CLIENTS * POINTS, dtype=np.int32).reshape(NUM_CLIENTS, POINTS)


class QuadraticData(TaskData):
    """The points, and to test by the one at which f is least."""

    shape = Shape((DIMENSION,), 1)
    num_tests = 1

    @property
    def num_examples(self) -> int:
        """Points of all clients."""
        return NUM_CLIENTS * POINTS

    @property
    def num_bytes(self) -> int:
        """As float32."""
        return 4 * DIMENSION * (self.num_examples + 1)

    @property
    def train_shapes(self) -> Data:
        """One array."""
        return {"points": jax.ShapeDtypeStruct((self.num_examples, DIMENSION), jnp.float32)}

    def put(self) -> Splits:
        """As float32."""
        points = quadratic().points.reshape(-1, DIMENSION).astype(np.float32)
        centre = quadratic().centre[None].astype(np.float32)
        return Splits(put("training", points=points), put("test", points=centre))

    def check_num_clients(self, num_clients: int) -> None:
        """The constants are those of all clients."""
        if num_clients != NUM_CLIENTS:
            raise DataError(
                f"kind {NAME!r} has {NUM_CLIENTS} clients, got num_clients = {num_clients}"
            )

    def partition(
        self,
        settings: TaskConfig,
        num_clients: int,
        seed: Sequence[int],
        shares_seed: Sequence[int] | None = None,
    ) -> Spans:
        """The same for every seed."""
        del settings, num_clients, seed, shares_seed
        return Spans()


def build(shape: Shape) -> TaskFunctions:
    """The functions that the engine needs."""
    del shape  # there is one such problem

    def init(key: jax.Array) -> Params:
        del key
        return {"x": jnp.zeros(DIMENSION, default_float())}

    def take(data: Data, index: jax.Array, key: jax.Array | None) -> jax.Array:
        del key
        return data["points"][index].astype(default_float())

    def loss(params: Params, points: jax.Array) -> jax.Array:
        away = params["x"][None] - points
        return (_curvature() * away**2).sum(-1).mean() / 2

    def score(params: Params, points: jax.Array) -> tuple[jax.Array, jax.Array]:
        gradients = (_curvature() * (params["x"][None] - points)) ** 2
        norms = gradients.sum(-1)
        return jnp.zeros_like(norms), norms

    return TaskFunctions(init, take, loss, score)


def _curvature() -> jax.Array:
    return jnp.asarray(CURVATURE, default_float())[None]


def random_points(shape: Shape, num_examples: int) -> Data:
    """Points without any meaning."""
    del shape
    return {"points": jnp.zeros((num_examples, DIMENSION), jnp.float32)}


KIND = Kind(
    NAME,
    NAME,
    build,
    Defaults(
        client_lr=0.01,
        weight_decay=0.0,
        step_time=0.1,
        server_lr=1.0,
        batch_size=1,
        local_epochs=None,
        local_steps=2,
        samples_per_client=None,
        dirichlet_alpha=None,
        test_every=1,
        num_active=4,
        buffer_size=4,
    ),
    load=lambda name, test_samples: QuadraticData(),
    random_data=random_points,
)


def use_quadratic() -> None:
    """Let configurations name it."""
    if NAME not in TASKS:
        register_task(NAME, KIND)
