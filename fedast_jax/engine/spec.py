"""What one compiled program depends on."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import jax.numpy as jnp

from ..algorithms.methods.record import Rule
from ..config.work import LocalWork
from ..tasks import Kind, Shape
from .aggregate import SUMMED
from .scores import ScoreShape

# On an accelerator, where nothing has been measured for a kind; on a CPU see ``EngineSpec``.
MICRO_BATCH = 256  # clients side by side
MOST_LOOKS = 8  # at how many micro-batches of a batch are in use
TICKS = 8  # of a step
ROUNDS_AT_ONCE = 64  # in a tick
WHOLE_ROUNDS_AT_ONCE = 8  # of a rule that sees all updates: these are gathered
TEST_CHUNK = 1000  # examples
TESTED_AT_ONCE = 16  # versions


@dataclass(frozen=True)
class EngineSpec:
    """What one compiled program depends on: shapes and functions, never numbers."""

    kind: Kind
    shape: Shape
    work: LocalWork
    rule: Rule  # the server's
    width: int
    steps: int  # steps of one call
    precision: str
    backend: str
    num_devices: int = 1  # that share every batch; divides the width
    most_updates: int = 1  # B: of a round, for a rule that sees all of them
    local: Any = None  # the client's rule
    is_proximal: bool = False  # whether clients are held near the model that they began from

    @property
    def key(self) -> tuple:
        """Hashable, and equal for equal programs; kinds are told apart by name and model,
        and by their clients side by side, on which bits depend."""
        parts = [getattr(self, part.name) for part in fields(self) if part.name != "kind"]
        side_by_side = self.kind.micro_batch.get(self.backend)
        return self.kind.name, self.kind.build, side_by_side, *parts

    @property
    def is_cpu(self) -> bool:
        """Loops may end when the data says so; elsewhere each turn would wait for the host."""
        return self.backend == "cpu"

    @property
    def micro_batch(self) -> int:
        """Clients trained side by side on a device: the largest divisor of its share of the width
        up to the kind's choice."""
        share = self.width // self.num_devices
        default = share if self.is_cpu else MICRO_BATCH
        most = min(share, self.kind.micro_batch.get(self.backend, default))
        return next(size for size in range(most, 0, -1) if share % size == 0)

    @property
    def groups_at_once(self) -> int:
        """Micro-batches between two looks at how many are in use."""
        num_groups = self.width // (self.micro_batch * self.num_devices)
        return 1 if self.is_cpu else -(-num_groups // MOST_LOOKS)

    @property
    def ticks(self) -> int:
        """Most ticks of a step."""
        return self.width if self.is_cpu else TICKS

    @property
    def rounds_at_once(self) -> int:
        """K: rounds that close side by side in a tick."""
        if self.is_cpu:
            return 1
        most = ROUNDS_AT_ONCE if self.rule.step else WHOLE_ROUNDS_AT_ONCE
        return min(most, self.micro_batch)

    @property
    def summed(self) -> int:
        """Updates of a round that a tick takes: a few, or all where the rule sees all of them."""
        return SUMMED if self.rule.step else self.most_updates

    def tests(self, num_tests: int) -> ScoreShape:
        """How a test set of so many examples is gone through."""
        if self.is_cpu:
            return ScoreShape(num_tests, min(self.kind.test_chunk, num_tests), 1)
        chunk = min(TEST_CHUNK, num_tests)
        micro = self.kind.micro_batch.get(self.backend, MICRO_BATCH)
        most = 4 * micro * self.work.batch_size // chunk  # four times as many, without gradients
        return ScoreShape(num_tests, chunk, min(max(most, 1), TESTED_AT_ONCE))

    @property
    def matmul_precision(self) -> str:
        """JAX's name of the precision of products."""
        return "highest" if self.precision == "float64" else self.precision

    @property
    def dtype(self) -> jnp.dtype:
        """The type of models and updates."""
        return jnp.dtype("float64" if self.precision == "float64" else "float32")
