# SPDX-License-Identifier: Apache-2.0
"""How a value becomes the bytes of an item."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .descriptor import Descriptor
from .formats import has_buffer, pack


def to_buffer(descriptor: Descriptor, value: Any) -> npt.NDArray[Any] | bytearray:
    """Return the bytes of `value`, an array in C order where it has one.

    `ValueError` when the shape or a number does not fit, `UnicodeEncodeError`
    (which is one) for text that is not ASCII, `TypeError` for what is no value.
    """
    if (
        descriptor._is_plain
        and type(value) is np.ndarray
        and value.shape == descriptor.shape
        and value.dtype == descriptor.wire_dtype
        and value.flags.c_contiguous
    ):
        return value
    try:
        return _convert(descriptor, value)
    except UnicodeEncodeError:
        raise
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"value of item {descriptor.name!r}: {error}") from error


def _convert(descriptor: Descriptor, value: Any) -> npt.NDArray[Any] | bytearray:
    if len(descriptor.shape) == 1 and isinstance(value, str | bytes):
        value = _characters(value)
    array = _as_array(descriptor, value)
    if not descriptor.compatible_shape(array.shape):
        raise ValueError(f"shape must be {descriptor.shape}, not {array.shape}")
    if descriptor.is_packed():
        return pack(descriptor.format or [], array.reshape(-1))
    contiguous = np.asarray(array.T if descriptor.order == "F" else array, order="C")
    return contiguous if has_buffer(contiguous.dtype) else _raw(contiguous)


def _characters(text: str | bytes) -> npt.NDArray[Any]:
    raw = text.encode("ascii") if isinstance(text, str) else bytes(text)
    return np.frombuffer(raw, "S1")


def _as_array(descriptor: Descriptor, value: Any) -> npt.NDArray[Any]:
    format = descriptor.format or []
    if descriptor.is_packed() and len(format) == 1:
        # Numbers keep their type: an array of them is packed without objects.
        return np.asarray(value)
    dtype = descriptor.wire_dtype
    if dtype.kind in "iu" and not isinstance(value, np.ndarray | np.generic):
        _check_range(dtype, np.asarray(value))
    return np.asarray(value, dtype)


def _check_range(dtype: np.dtype[Any], numbers: npt.NDArray[Any]) -> None:
    """Raise `ValueError` for a Python integer out of range; numpy before 2.0 does not."""
    if numbers.size and numbers.dtype.kind in "iu":
        limits = np.iinfo(dtype)
        for extreme in (int(numbers.min()), int(numbers.max())):
            if not limits.min <= extreme <= limits.max:
                raise ValueError(f"{extreme} is out of range for {dtype.name}")


def _raw(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array.reshape(-1).view(np.uint8)
