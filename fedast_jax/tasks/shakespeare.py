"""Next-character prediction on Shakespeare with an LSTM of 52,720 parameters.

Reference:
    Askin et al., UAI 2024, Appendix C; the text and its clients as in LEAF (Caldas et al., 2019).
"""

from __future__ import annotations

import flax.linen as nn
import jax

from ..data.shapes import Shape
from ..data.text_data import load_text, random_text
from .base import Defaults, Kind, TaskFunctions
from .next_symbol import next_symbol
from .nn.layers import Dense
from .nn.lstm import SymbolLSTM


class CharacterLSTM(nn.Module):
    """Embedding of 8, LSTM of 100 units, a dense layer on its last state."""

    num_symbols: int
    in_one_kernel: bool = False

    @nn.compact
    def __call__(self, symbols: jax.Array) -> jax.Array:
        lstm = SymbolLSTM(self.num_symbols, 8, 100, self.in_one_kernel)
        return Dense(self.num_symbols)(lstm(symbols))


def build(shape: Shape, in_one_kernel: bool = False) -> TaskFunctions:
    """The authors' LSTM; of the shape only the number of symbols matters.

    Args:
        shape: of the data.
        in_one_kernel: see ``nn.lstm.last_state``; off in every run.
    """
    return next_symbol(CharacterLSTM(shape.num_classes, in_one_kernel), shape)


KIND = Kind(
    name="shakespeare",
    dataset="shakespeare",
    load=load_text,
    random_data=random_text,
    build=build,
    defaults=Defaults(
        synchronous={"sync_weight": 68.0},
        client_lr=7.0,
        weight_decay=7e-5,
        step_time=0.2775,
        batch_size=64,
        local_epochs=None,
        local_steps=27,
        samples_per_client=None,
        dirichlet_alpha=None,
        test_samples=10_000,
        target_accuracy=0.42,
        test_every=2,
    ),
    micro_batch={"cpu": 1, "gpu": 256, "tpu": 256},
    test_chunk=500,
)
