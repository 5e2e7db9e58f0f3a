"""What a model must know of its data before it is built."""

from __future__ import annotations

from typing import Any, NamedTuple

Data = Any  # a tree of arrays that stays on the device for the whole run


class Shape(NamedTuple):
    """Of one kind of data."""

    input_shape: tuple[int, ...]  # (height, width, channels) as stored; of text: (window,)
    num_classes: int
