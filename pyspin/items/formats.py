# SPDX-License-Identifier: Apache-2.0
"""SPEAD format strings: fields of a code and a width in bits.

Codes (SPEAD Protocol Document, item descriptors): `u` unsigned, `i` signed
two's complement, `f` IEEE float of 32 or 64 bits, `c` an ASCII character of 8
bits, `b` a boolean of any width. On the wire all are big-endian and packed
without gaps, the last byte padded with zero bits.

A format whose fields all have a numpy type of the same size *is* that dtype.
Otherwise the fields without such a type are Python objects in numpy arrays.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .bits import padded, read_field, write_field

Format = list[tuple[str, int]]

MAX_FIELDS = 1 << 14
"""More fields than this in one format are refused, lest a datagram stall us."""

_NATIVE = {
    **{("u", 8 * size): f"u{size}" for size in (1, 2, 4, 8)},
    **{("i", 8 * size): f"i{size}" for size in (1, 2, 4, 8)},
    ("f", 32): "f4",
    ("f", 64): "f8",
    ("b", 8): "?",
    ("c", 8): "S1",
}


def checked_format(format: Iterable[tuple[str, int]]) -> Format:
    """Return `format` as a list of pairs, or raise `ValueError`."""
    fields: Format = []
    try:
        pairs = [(code, operator.index(bits)) for code, bits in format]
    except (TypeError, ValueError):
        raise TypeError(f"format must be pairs of code and bits, not {format!r}") from None
    for code, bits in pairs:
        legal = code in ("u", "i", "b") or (code, bits) in _NATIVE
        if bits <= 0:
            raise ValueError(f"format has field {code}{bits} without bits (bug_compat mismatch?)")
        if not legal:
            raise ValueError(f"format has illegal field {code}{bits}")
        fields.append((code, bits))
    if not fields:
        raise ValueError("format must have at least one field")
    if len(fields) > MAX_FIELDS:
        raise ValueError(f"format must have at most {MAX_FIELDS} fields, not {len(fields)}")
    return fields


def format_bits(format: Format) -> int:
    """Return the bits of one element."""
    return sum(bits for _, bits in format)


def is_native(format: Format) -> bool:
    """Return whether every field has a numpy type of its size."""
    return all(field in _NATIVE for field in format)


def has_buffer(dtype: np.dtype[Any]) -> bool:
    """Return whether numpy lends the memory of such an array; not of dates and times."""
    if dtype.fields is not None:
        return all(has_buffer(field[0]) for field in dtype.fields.values())
    return dtype.base.kind not in "mM"


def format_dtype(format: Format, order: str) -> np.dtype[Any]:
    """Return the dtype of elements, byte order `order`; object where there is none."""
    types: list[np.dtype[Any]] = [
        np.dtype(_NATIVE.get(field, "O")).newbyteorder(cast("Any", order)) for field in format
    ]
    if len(types) == 1:
        return types[0]
    return np.dtype([(f"f{i}", type_) for i, type_ in enumerate(types)])


def unpack(format: Format, data: npt.NDArray[np.uint8], count: int) -> npt.NDArray[Any]:
    """Return `count` elements from the start of 1-D `data`, as a 1-D array."""
    period = format_bits(format)
    source = padded(data[: -(-count * period // 8)])
    elements = np.empty(count, format_dtype(format, "="))
    first = 0
    for i, (code, bits) in enumerate(format):
        fields = read_field(source, first, bits, period, count)
        column = elements if len(format) == 1 else elements[f"f{i}"]
        column[...] = _from_unsigned(code, bits, fields)
        first += bits
    return elements


def _from_unsigned(code: str, bits: int, fields: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if code == "b":
        fields = fields != 0
    elif code == "c":
        fields = fields.astype(np.uint8).view("S1")
    elif code == "f":
        fields = fields.astype(f"u{bits // 8}").view(f"f{bits // 8}")
    elif code == "i" and bits > 64:
        fields = fields - ((fields >> (bits - 1)) << bits)
    elif code == "i":
        fields = (fields << np.uint64(64 - bits)).view(np.int64) >> np.int64(64 - bits)
    return fields


def pack(format: Format, elements: npt.NDArray[Any]) -> bytearray:
    """Return the bytes of 1-D `elements`, of the dtype of `format_dtype` or one to convert.

    `ValueError` when an integer does not fit its field.
    """
    period = format_bits(format)
    packed = bytearray(-(-len(elements) * period // 8))
    target = np.frombuffer(packed, np.uint8)
    first = 0
    for i, (code, bits) in enumerate(format):
        column = elements if len(format) == 1 else elements[f"f{i}"]
        write_field(target, first, bits, period, _to_unsigned(code, bits, column))
        first += bits
    return packed


def _to_unsigned(code: str, bits: int, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if code == "b":
        fields = column.astype(bool).astype(np.uint64)
        return fields.astype(object) if bits > 64 else fields
    if code == "c":
        return column.astype("S1").view(np.uint8).astype(np.uint64)
    if code == "f":
        return column.astype(f"f{bits // 8}").view(f"u{bits // 8}").astype(np.uint64)
    return _fit(code, bits, _whole(column))


_whole_number = np.frompyfunc(int, 1, 1)


def _whole(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return numbers as an integer or object array, fractions cut off."""
    if column.dtype.kind in "iu":
        return column
    if column.dtype.kind == "b":
        return column.astype(np.uint8)
    whole: npt.NDArray[Any] = np.asarray(_whole_number(column), object).reshape(column.shape)
    return whole


def _fit(code: str, bits: int, whole: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return integers as unsigned ones of `bits` bits; `ValueError` if one does not fit."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if code == "i" else (0, (1 << bits) - 1)
    if len(whole):
        for extreme in (int(whole.min()), int(whole.max())):
            if not low <= extreme <= high:
                raise ValueError(f"{extreme} is out of range for {code}{bits}")
    fields: npt.NDArray[Any]
    if bits > 64:
        fields = whole.astype(object) & ((1 << bits) - 1)
    elif code == "i":
        fields = whole.astype(np.int64).view(np.uint64) & np.uint64((1 << bits) - 1)
    else:
        fields = whole.astype(np.uint64)
    return fields
