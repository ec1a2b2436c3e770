# SPDX-License-Identifier: Apache-2.0
"""SPEAD packets in memory for the benchmarks, made from the protocol with numpy.

Flavour SPEAD-64-40, one item 0x1000 of bytes; the first heap may carry its descriptor. Shares
nothing with the libraries under test.
"""

from __future__ import annotations

import struct

import numpy as np

ITEM = 0x1000


def _immediate(item: int, value: int) -> int:
    return 1 << 63 | item << 40 | value


def _descriptor(size: int) -> bytes:
    """Return the nested packet that describes item 0x1000 as uint8[size], name 'data'."""
    header = str({"descr": "|u1", "fortran_order": False, "shape": (size,)}).encode()
    fields = [b"data", b"", b"", b"", header]
    payload = b"".join(fields)
    offsets = np.cumsum([0] + [len(field) for field in fields])
    pointers = [
        _immediate(1, 1),
        _immediate(2, len(payload)),
        _immediate(3, 0),
        _immediate(4, len(payload)),
        _immediate(0x14, ITEM),
    ]
    ids = (0x10, 0x11, 0x13, 0x12, 0x15)
    pointers += [item << 40 | int(offset) for item, offset in zip(ids, offsets, strict=False)]
    start = struct.pack(">BBBBHH", 0x53, 4, 3, 5, 0, len(pointers))
    return start + struct.pack(f">{len(pointers)}Q", *pointers) + payload


def descriptor_heap(cnt: int, size: int) -> bytes:
    """Return one packet that is a whole heap with the descriptor alone."""
    payload = _descriptor(size)
    pointers = [
        _immediate(1, cnt),
        _immediate(2, len(payload)),
        _immediate(3, 0),
        _immediate(4, len(payload)),
        5 << 40,
    ]
    return struct.pack(">BBBBHH5Q", 0x53, 4, 3, 5, 0, 5, *pointers) + payload


def heaps(count: int, heap_size: int, payload: int, first: int = 2) -> np.ndarray:
    """Return `count` heaps of `heap_size` bytes in packets of `payload` bytes, back to back."""
    per_heap = -(-heap_size // payload)
    offsets = np.tile(np.arange(per_heap, dtype=np.uint64) * payload, count)
    lengths = np.minimum(payload, heap_size - offsets)
    cnts = np.repeat(np.arange(first, first + count, dtype=np.uint64), per_heap)
    if heap_size % payload == 0:
        out = np.zeros((count * per_heap, 48 + payload), np.uint8)
        _write_headers(out[:, :48], cnts, heap_size, offsets, lengths)
        out[:, 48:] = np.arange(payload) * 7
        return out.reshape(-1)
    parts = np.zeros(int(48 * len(offsets) + lengths.sum()), np.uint8)
    header = np.zeros((len(offsets), 48), np.uint8)
    _write_headers(header, cnts, heap_size, offsets, lengths)
    starts = np.concatenate([[0], np.cumsum(48 + lengths.astype(np.int64))])[:-1]
    for row, start in zip(header, starts, strict=True):
        parts[start : start + 48] = row
    return parts


def _write_headers(
    out: np.ndarray, cnts: np.ndarray, size: int, offsets: np.ndarray, lengths: np.ndarray
) -> None:
    words = np.zeros((len(cnts), 6), ">u8")
    words[:, 0] = 0x5304_0305_0000_0005
    words[:, 1] = _immediate(1, 0) | cnts
    words[:, 2] = _immediate(2, size)
    words[:, 3] = _immediate(3, 0) | offsets
    words[:, 4] = _immediate(4, 0) | lengths
    words[:, 5] = ITEM << 40
    out[:] = words.view(np.uint8).reshape(len(cnts), 48)
