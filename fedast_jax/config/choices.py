"""Words that settings are chosen from."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "tensorfloat32", "bfloat16", "float64"]
Allocation = Literal["static", "dynamic"]
Fidelity = Literal["paper", "authors"]
ServerOptimizer = Literal["sgd", "momentum", "adagrad", "adam", "yogi"]
Staleness = Literal["constant", "polynomial", "hinge"]
WhenOff = Literal["wait", "lose"]
