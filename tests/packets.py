# SPDX-License-Identifier: Apache-2.0
"""SPEAD packets written from the protocol document, sharing nothing with pyspin.

A pointer is made by `immediate` or `addressed`, a packet from pointers and payload by
`packet`; `heap_packets` cuts a payload into the packets of one heap. Every field can be
given a wrong value.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

HEAP_CNT = 1
HEAP_LENGTH = 2
PAYLOAD_OFFSET = 3
PAYLOAD_LENGTH = 4
DESCRIPTOR = 5
STREAM_CTRL = 6
STREAM_START = 0
STREAM_STOP = 2
NAME = 0x10
DESCRIPTION = 0x11
SHAPE = 0x12
FORMAT = 0x13
DESCRIPTOR_ID = 0x14
DTYPE = 0x15


def immediate(id: int, value: int, hab: int = 40) -> bytes:
    """Return an item pointer that holds its value."""
    return struct.pack(">Q", 1 << 63 | id << hab | value)


def addressed(id: int, offset: int, hab: int = 40) -> bytes:
    """Return an item pointer to a place in the payload of the heap."""
    return struct.pack(">Q", id << hab | offset)


def header(
    pointers: int, hab: int = 40, magic: int = 0x53, version: int = 4, widths: bytes | None = None
) -> bytes:
    """Return the eight bytes in front of the item pointers."""
    sizes = bytes([(64 - hab) // 8, hab // 8]) if widths is None else widths
    return struct.pack(">BB2sHH", magic, version, sizes, 0, pointers)


def packet(pointers: Sequence[bytes], payload: bytes = b"", hab: int = 40) -> bytes:
    """Return a packet of exactly these pointers."""
    return header(len(pointers), hab) + b"".join(pointers) + payload


def data_packet(
    cnt: int,
    payload: bytes,
    offset: int = 0,
    heap_length: int | None = None,
    pointers: Sequence[bytes] = (),
    hab: int = 40,
) -> bytes:
    """Return a packet with the mandatory pointers and then `pointers`."""
    first = [
        immediate(HEAP_CNT, cnt, hab),
        immediate(PAYLOAD_OFFSET, offset, hab),
        immediate(PAYLOAD_LENGTH, len(payload), hab),
    ]
    if heap_length is not None:
        first.insert(1, immediate(HEAP_LENGTH, heap_length, hab))
    return packet([*first, *pointers], payload, hab)


def heap_packets(
    cnt: int,
    payload: bytes,
    pointers: Sequence[bytes] = (),
    size: int = 1024,
    hab: int = 40,
    sized: bool = True,
    repeat: bool = False,
) -> list[bytes]:
    """Cut a heap into packets of `size` bytes of payload, the pointers in the first of them."""
    starts = range(0, max(len(payload), 1), size)
    length = len(payload) if sized else None
    return [
        data_packet(
            cnt,
            payload[start : start + size],
            start,
            length,
            pointers if repeat or start == 0 else (),
            hab,
        )
        for start in starts
    ]


def stop_packet(cnt: int, hab: int = 40) -> bytes:
    """Return the packet that ends a stream."""
    return data_packet(cnt, b"", 0, 0, [immediate(STREAM_CTRL, STREAM_STOP, hab)], hab)


def start_packet(cnt: int, hab: int = 40) -> bytes:
    """Return the packet that announces a stream."""
    return data_packet(cnt, b"", 0, 0, [immediate(STREAM_CTRL, STREAM_START, hab)], hab)


def shape_field(shape: Sequence[int | None], hab: int = 40, flag: int = 1) -> bytes:
    """Return the shape of a descriptor; None is the variable dimension."""
    return b"".join(
        bytes([flag if size is None else 0]) + (size or 0).to_bytes(hab // 8, "big")
        for size in shape
    )


def format_field(fields: Sequence[tuple[str, int]], hab: int = 40) -> bytes:
    """Return the format of a descriptor from its (code, bits)."""
    return b"".join(code.encode() + bits.to_bytes(8 - hab // 8, "big") for code, bits in fields)


def descriptor(
    id: int,
    name: str = "",
    description: str = "",
    shape: Sequence[int | None] = (),
    format: Sequence[tuple[str, int]] = (),
    dtype: str | None = None,
    hab: int = 40,
) -> bytes:
    """Return the nested packet that is the value of a DESCRIPTOR item."""
    fields = [
        (NAME, name.encode()),
        (DESCRIPTION, description.encode()),
        (FORMAT, format_field(format, hab)),
        (SHAPE, shape_field(shape, hab)),
    ]
    if dtype is not None:
        fields.append((DTYPE, dtype.encode()))
    pointers = [immediate(DESCRIPTOR_ID, id, hab)]
    payload = b""
    for field, content in fields:
        pointers.append(addressed(field, len(payload), hab))
        payload += content
    return data_packet(1, payload, 0, len(payload), pointers, hab)


def described_heap(cnt: int, id: int, value: bytes, hab: int = 40, **fields: object) -> list[bytes]:
    """Return the packets of a heap with one item and its descriptor."""
    nested = descriptor(id, hab=hab, **fields)  # type: ignore[arg-type]
    pointers = [addressed(DESCRIPTOR, 0, hab), addressed(id, len(nested), hab)]
    return heap_packets(cnt, nested + value, pointers, hab=hab)
