"""How a task's arrays are kept on the device: as what they are, or refused in one sentence."""

from __future__ import annotations

import numpy as np

from .errors import DataError

KEPT = {"b": np.bool_, "i": np.int32, "u": np.int32, "f": np.float32}
"""By NumPy's kind of a type; bytes stay bytes. Nothing on the device needs 64 bits."""


def kept_type(array: np.ndarray, where: str) -> np.dtype:
    """The type that an array has on the device.

    Raises:
        DataError: there is none for complex numbers, texts, times and objects.
    """
    if array.dtype == np.uint8:
        return array.dtype
    if array.dtype.name == "bfloat16":  # of ml_dtypes, which NumPy takes for bare bytes
        return np.dtype(np.float32)
    if array.dtype.kind not in KEPT:
        raise DataError(
            f"the {where} must be numbers or true and false, got the type {array.dtype}: make "
            f"them float32, int32, uint8 or bool"
        )
    return np.dtype(KEPT[array.dtype.kind])


def keep(array: np.ndarray, where: str) -> np.ndarray:
    """The array in its type on the device, with every number as it was (floats to 24 bits).

    Raises:
        DataError: a number is not finite, or beyond what the type can hold.
    """
    array = np.asarray(array)
    dtype = kept_type(array, where)
    if array.dtype.kind in "iu" and array.dtype != dtype and array.size:
        limits = np.iinfo(dtype)
        _refuse_any((array < limits.min) | (array > limits.max), array, where, "below 2**31")
    with np.errstate(over="ignore"):
        kept = array.astype(dtype, copy=False)
    if dtype == np.float32:
        _refuse_any(~np.isfinite(kept), array, where, "finite and below 3.4e38")
    return kept


def whole_labels(labels: np.ndarray, where: str) -> np.ndarray:
    """Labels, which must be whole numbers.

    Raises:
        DataError: they are something else.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(
            f"the {where} must be a row of whole numbers, got {labels.dtype}{list(labels.shape)}"
        )
    return labels


def _refuse_any(is_wrong: np.ndarray, array: np.ndarray, where: str, needed: str) -> None:
    """Refuse an array some of whose numbers cannot be kept, naming the first of them."""
    if is_wrong.any():
        place = np.unravel_index(int(is_wrong.argmax()), is_wrong.shape)
        raise DataError(
            f"the {where} must be {needed} in size, but at {[int(i) for i in place]} there is "
            f"{array[place]}"
        )
