# SPDX-License-Identifier: Apache-2.0
"""Fields of any width, packed without gaps, from bytes to integers and back.

A field of `width` bits recurs every `period` bits, most significant bit first.
The elements whose fields begin at the same bit of a byte lie at a constant
distance (every one, or every second, fourth or eighth), so numpy can move all
of them at once; unpacking into single bits would need eight times the memory.
Fields of up to 64 bits go this way. Wider ones are Python integers in any
case, and are converted one by one.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

_SLACK = 16  # so that a load of 8 bytes never leaves the buffer


def padded(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a copy of 1-D `data` that `read_field` may read beyond."""
    copy = np.zeros(len(data) + _SLACK, np.uint8)
    copy[: len(data)] = data
    return copy


def read_field(
    data: npt.NDArray[np.uint8], first: int, width: int, period: int, count: int
) -> npt.NDArray[Any]:
    """Return `count` unsigned fields as uint64, or as int objects above 64 bits.

    `data` comes from `padded` and holds them all; `first` is the first field's bit.
    """
    if width > 64:
        return _read_wide(data, first, width, period, count)
    if width > 56:  # does not fit an aligned 8-byte load: two parts
        high = read_field(data, first, 32, period, count)
        low = read_field(data, first + 32, width - 32, period, count)
        high <<= np.uint64(width - 32)
        high |= low
        return high
    fields = np.empty(count, np.uint64)
    phases = 8 // gcd(period, 8)
    for phase in range(min(phases, count)):
        bit = first + phase * period
        same = fields[phase::phases]
        words: npt.NDArray[Any] = np.ndarray(
            len(same), ">u8", data, bit >> 3, (period * phases >> 3,)
        )
        np.left_shift(words, np.uint64(bit & 7), out=same, dtype=np.uint64)
        same >>= np.uint64(64 - width)
    return fields


def _read_wide(
    data: npt.NDArray[np.uint8], first: int, width: int, period: int, count: int
) -> npt.NDArray[Any]:
    fields = np.empty(count, object)
    raw = data.tobytes()
    mask = (1 << width) - 1
    for i in range(count):
        bit = first + i * period
        end = -(-(bit + width) // 8)
        word = int.from_bytes(raw[bit >> 3 : end], "big")
        fields[i] = (word >> (8 * end - bit - width)) & mask
    return fields


def write_field(
    data: npt.NDArray[np.uint8], first: int, width: int, period: int, fields: npt.NDArray[Any]
) -> None:
    """Put unsigned `fields`, uint64 or int objects above 64 bits, into zeroed `data`."""
    if width > 64:
        return _write_wide(data, first, width, period, fields)
    if width > 56:
        write_field(data, first, 32, period, fields >> np.uint64(width - 32))
        low = fields & np.uint64((1 << (width - 32)) - 1)
        return write_field(data, first + 32, width - 32, period, low)
    phases = 8 // gcd(period, 8)
    for phase in range(min(phases, len(fields))):
        bit = first + phase * period
        words = fields[phase::phases] << np.uint64(64 - width - (bit & 7))
        # Byte by byte: words of neighbours may overlap, equal bytes of them not.
        for byte in range(((bit & 7) + width + 7) // 8):
            place: npt.NDArray[np.uint8] = np.ndarray(
                len(words), np.uint8, data, (bit >> 3) + byte, (period * phases >> 3,)
            )
            place |= (words >> np.uint64(56 - 8 * byte)).astype(np.uint8)
    return None


def _write_wide(
    data: npt.NDArray[np.uint8], first: int, width: int, period: int, fields: npt.NDArray[Any]
) -> None:
    for i, field in enumerate(fields):
        bit = first + i * period
        end = -(-(bit + width) // 8)
        word = (field << (8 * end - bit - width)).to_bytes(end - (bit >> 3), "big")
        data[bit >> 3 : end] |= np.frombuffer(word, np.uint8)
