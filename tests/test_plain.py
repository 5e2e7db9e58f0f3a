"""Plain values come back equal and of equal types."""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

import numpy as np
import pytest
from conftest import assert_identical
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedast_jax.results.plain import LARGE, flatten, unflatten

DTYPES = st.sampled_from(["<f4", "<f8", ">f8", "<i8", "<i4", "<u4", "|u1", "|b1", "<U3", "<c16"])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
    | st.lists(st.integers(-(2**63), 2**63 - 1)).map(lambda values: array("q", values))
    | st.lists(st.floats()).map(lambda values: array("d", values))
    | st.sampled_from([np.float64(0.1), np.float32(math.nan), np.int64(-3), np.bool_(True)])
)
KEYS = st.integers() | st.text(st.characters(exclude_categories=["Cs"])) | st.tuples(st.integers())
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)


def there_and_back(value: Any) -> Any:
    """Through JSON text and arrays."""
    tree, entries = flatten(value)
    return unflatten(json.loads(json.dumps(tree)), entries)


@given(VALUES)
def test_values_come_back_exactly(value):
    assert_identical(there_and_back(value), value)


def test_the_order_of_a_dict_comes_back():
    assert list(there_and_back({3: "c", 1: "a", 2: "b"})) == [3, 1, 2]


def test_small_arrays_share_an_entry_and_large_ones_are_not_copied():
    large = np.arange(LARGE // 8, dtype=np.float64).reshape(2, -1)
    value = [np.arange(5), large, array("q", [7, 8]), np.zeros((2, 0)), np.float64(2.5)]
    _, entries = flatten(value)
    assert len(entries) == 3
    assert any(entry is large for entry in entries.values())
    assert_identical(there_and_back(value), value)


def test_what_comes_back_can_be_changed_alone():
    first, second = there_and_back([np.arange(3), np.arange(3)])
    first[:] = 9
    assert second.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "value",
    [{1, 2}, [object()], {"a": (1, range(3))}, np.array([None]), b"bytes", iter(())],
)
def test_anything_else_is_refused(value):
    with pytest.raises(TypeError, match="cannot be kept in a checkpoint"):
        flatten(value)
