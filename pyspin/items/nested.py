# SPDX-License-Identifier: Apache-2.0
"""The heap inside a DESCRIPTOR item: SPEAD packets, nested in another's payload.

Usually one packet, but the protocol lets it be several, in any order, and
without HEAP_LEN. Nothing here raises: what cannot be decoded is not there, as
everywhere below `ItemGroup.update`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

from . import protocol

MAX_PACKETS = 1024
"""Packets of one descriptor that are looked at, lest a heap of tiny ones stall us."""

_HEADER = struct.Struct(">BBBBHH")
_REQUIRED = (protocol.HEAP_CNT_ID, protocol.PAYLOAD_OFFSET_ID, protocol.PAYLOAD_LENGTH_ID)


@dataclass
class NestedHeap:
    """The items of a whole heap: values of immediates, bytes of the others."""

    heap_address_bits: int
    immediates: dict[int, int]
    addressed: dict[int, bytes]


@dataclass
class _Packet:
    heap_address_bits: int
    special: dict[int, int]
    pointers: list[int]
    payload: bytes
    size: int


def decode(raw: bytes) -> NestedHeap | None:
    """Return the heap in `raw`, or None if there is no whole one."""
    packets: list[_Packet] = []
    position = 0
    while len(packets) < MAX_PACKETS and (packet := _decode_packet(raw, position)) is not None:
        packets.append(packet)
        position += packet.size
    if not packets:
        return None
    return _assemble([p for p in packets if _same_heap(p, packets[0])])


def _same_heap(packet: _Packet, first: _Packet) -> bool:
    return (
        packet.heap_address_bits == first.heap_address_bits
        and packet.special[protocol.HEAP_CNT_ID] == first.special[protocol.HEAP_CNT_ID]
    )


def _is_special(item_id: int) -> bool:
    return protocol.HEAP_CNT_ID <= item_id <= protocol.PAYLOAD_LENGTH_ID


def _decode_packet(raw: bytes, position: int) -> _Packet | None:
    if len(raw) - position < _HEADER.size:
        return None
    magic, version, id_bytes, address_bytes, _, count = _HEADER.unpack_from(raw, position)
    begin = position + _HEADER.size + 8 * count
    if (magic, version) != (protocol.MAGIC, protocol.VERSION) or begin > len(raw):
        return None
    if id_bytes + address_bytes != 8 or not id_bytes or not address_bytes:
        return None
    bits = 8 * address_bytes
    special: dict[int, int] = {}
    pointers: list[int] = []
    for pointer in struct.unpack_from(f">{count}Q", raw, position + _HEADER.size):
        item_id = (pointer >> bits) & ((1 << (63 - bits)) - 1)
        if pointer >> 63 and _is_special(item_id):
            special[item_id] = pointer & ((1 << bits) - 1)
        else:
            pointers.append(pointer)
    if not all(item_id in special for item_id in _REQUIRED):
        return None
    end = begin + special[protocol.PAYLOAD_LENGTH_ID]
    if end > len(raw):
        return None
    return _Packet(bits, special, pointers, raw[begin:end], end - position)


def _assemble(packets: list[_Packet]) -> NestedHeap | None:
    """Put the first whole heap together; what repeats or contradicts a packet is not used."""
    lengths = [
        length for p in packets if (length := p.special.get(protocol.HEAP_LENGTH_ID)) is not None
    ]
    heap_length = lengths[0] if lengths else None
    payload = bytearray()
    pointers: dict[int, None] = {}
    for packet in sorted(packets, key=lambda p: p.special[protocol.PAYLOAD_OFFSET_ID]):
        offset = packet.special[protocol.PAYLOAD_OFFSET_ID]
        if packet.special.get(protocol.HEAP_LENGTH_ID, heap_length) != heap_length:
            continue
        if offset > len(payload):
            return None
        if offset == len(payload):
            payload += packet.payload
            pointers.update(dict.fromkeys(packet.pointers))
    if heap_length is not None and heap_length != len(payload):
        return None
    return _divide(packets[0].heap_address_bits, list(pointers), bytes(payload))


def _divide(bits: int, pointers: list[int], payload: bytes) -> NestedHeap | None:
    """Give every item its value: an addressed one reaches to the next."""
    heap = NestedHeap(bits, {}, {})
    addressed: list[tuple[int, int]] = []
    for pointer in pointers:
        item_id, value = (pointer >> bits) & ((1 << (63 - bits)) - 1), pointer & ((1 << bits) - 1)
        if pointer >> 63:
            heap.immediates[item_id] = value
        else:
            addressed.append((value, item_id))
    addressed.sort(key=lambda item: item[0])
    if addressed and addressed[-1][0] > len(payload):
        return None
    # Addressed, the numbers of the header are no items and end none, as in any heap.
    items = [(address, item_id) for address, item_id in addressed if not _is_special(item_id)]
    for (begin, item_id), (end, _) in pairwise([*items, (len(payload), 0)]):
        if end > begin or item_id not in heap.addressed:
            heap.addressed[item_id] = payload[begin:end]
    return heap


def encode(
    heap_address_bits: int, immediates: dict[int, int], addressed: dict[int, bytes]
) -> bytes:
    """Return one packet with these items in this order, immediates first."""
    bits = heap_address_bits
    length = sum(map(len, addressed.values()))
    specials = {
        protocol.HEAP_CNT_ID: 1,
        protocol.HEAP_LENGTH_ID: length,
        protocol.PAYLOAD_OFFSET_ID: 0,
        protocol.PAYLOAD_LENGTH_ID: length,
    }
    pointers = [
        1 << 63 | item_id << bits | value for item_id, value in {**specials, **immediates}.items()
    ]
    offset = 0
    for item_id, value in addressed.items():
        pointers.append(item_id << bits | offset)
        offset += len(value)
    header = _HEADER.pack(
        protocol.MAGIC, protocol.VERSION, 8 - bits // 8, bits // 8, 0, len(pointers)
    )
    return header + struct.pack(f">{len(pointers)}Q", *pointers) + b"".join(addressed.values())
