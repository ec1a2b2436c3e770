# SPDX-License-Identifier: Apache-2.0
"""A model of receiving SPEAD from memory: what heaps a sequence of bytes makes.

Written for clearness, from the rules and not from the library: decoding, assembly, eviction,
stopping, and the counters. `run` returns all that can be seen of a stream.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field

NULL, HEAP_CNT, HEAP_LENGTH, PAYLOAD_OFFSET, PAYLOAD_LENGTH, DESCRIPTOR, STREAM_CTRL = range(7)
STOP = 2

# How far an offset may claim memory, and how many times what has arrived (docs/design.md).
TRUSTED = 64 << 20
FACTOR = 8


@dataclass
class Packet:
    """A decoded packet."""

    hab: int
    pointers: list[int]
    special: dict[int, int]
    payload: bytes
    size: int

    @property
    def offset(self) -> int:
        return self.special[PAYLOAD_OFFSET]

    @property
    def heap_length(self) -> int | None:
        return self.special.get(HEAP_LENGTH)


def decode(data: bytes) -> Packet | str:
    """Return the packet that `data` begins with, or the reason why there is none."""
    if len(data) < 8:
        return "rejected_short"
    magic, version, id_bytes, address_bytes, _, count = struct.unpack_from(">BBBBHH", data)
    if (magic, version) != (0x53, 4):
        return "rejected_magic"
    if id_bytes + address_bytes != 8 or not id_bytes or not address_bytes:
        return "rejected_widths"
    begin = 8 + 8 * count
    if begin > len(data):
        return "rejected_header"
    hab = 8 * address_bytes
    pointers = list(struct.unpack_from(f">{count}Q", data, 8))
    special = {}
    for pointer in pointers:
        id, value = (pointer & ~(1 << 63)) >> hab, pointer & ((1 << hab) - 1)
        if pointer >> 63 and id in (HEAP_CNT, HEAP_LENGTH, PAYLOAD_OFFSET, PAYLOAD_LENGTH):
            special[id] = value
    if not {HEAP_CNT, PAYLOAD_OFFSET, PAYLOAD_LENGTH} <= special.keys():
        return "rejected_missing"
    end = begin + special[PAYLOAD_LENGTH]
    if end > len(data):
        return "rejected_truncated"
    packet = Packet(hab, pointers, special, data[begin:end], end)
    if packet.heap_length is not None and packet.offset + end - begin > packet.heap_length:
        return "rejected_heap_length"
    return packet


@dataclass
class Heap:
    """A heap being received."""

    cnt: int
    hab: int
    heap_length: int = -1
    min_length: int = 0
    received: int = 0
    memory: dict[int, bytes] = field(default_factory=dict)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    pointers: list[int] = field(default_factory=list)

    def add(self, packet: Packet) -> str | None:
        """Join a packet, or return the reason why not."""
        if packet.heap_length is not None and (
            packet.heap_length < self.min_length or self.heap_length not in (-1, packet.heap_length)
        ):
            return "refused_heap_length"
        if packet.hab != self.hab:
            return "refused_flavour"
        begin, end = packet.offset, packet.offset + len(packet.payload)
        if any(begin < start < end for start, _ in self.ranges):
            return "refused_overlap"
        if any(start <= begin < stop for start, stop in self.ranges):
            return "refused_duplicate"
        if packet.payload and end > max(TRUSTED, FACTOR * (self.received + end - begin)):
            return "refused_memory"
        if packet.heap_length is not None:
            self.heap_length = packet.heap_length
            self.min_length = max(self.min_length, packet.heap_length)
        self._add_payload(begin, end, packet.payload)
        self._add_pointers(packet)
        return None

    def _add_payload(self, begin: int, end: int, payload: bytes) -> None:
        self.min_length = max(self.min_length, end)
        self.received += end - begin
        self.memory[begin] = payload
        self.ranges = sorted([*self.ranges, (begin, end)])
        joined = self.ranges[:1]
        for start, stop in self.ranges[1:]:
            if start == joined[-1][1]:
                joined[-1] = joined[-1][0], stop
            else:
                joined.append((start, stop))
        self.ranges = joined

    def _add_pointers(self, packet: Packet) -> None:
        for pointer in packet.pointers:
            is_immediate, id, value = self.split(pointer)
            if not is_immediate:
                self.min_length = max(self.min_length, value)
            special = HEAP_CNT <= id <= PAYLOAD_LENGTH or (is_immediate and id == NULL)
            if not special and pointer not in self.pointers:
                self.pointers.append(pointer)

    def split(self, pointer: int) -> tuple[bool, int, int]:
        """Return mode, identifier and value."""
        id = (pointer & ~(1 << 63)) >> self.hab
        return bool(pointer >> 63), id, pointer & ((1 << self.hab) - 1)

    def controls(self) -> set[int]:
        parts = map(self.split, self.pointers)
        return {value for is_immediate, id, value in parts if is_immediate and id == STREAM_CTRL}

    @property
    def is_complete(self) -> bool:
        return self.received == self.heap_length == self.min_length

    @property
    def is_contiguous(self) -> bool:
        return self.received == self.min_length

    def seen(self) -> tuple[object, ...]:
        """Return all that a consumer can see."""
        parts = [self.split(pointer) for pointer in self.pointers]
        immediates = sorted(
            ((value, id) for is_immediate, id, value in parts if is_immediate),
            key=lambda item: item[0],
        )
        shown: list[tuple[int, bytes | int]] = []
        if self.is_contiguous:
            shown += self._addressed(parts)
        shown += [(id, value) for value, id in immediates if id != DESCRIPTOR]
        ranges = None if self.is_contiguous else self.ranges
        return (self.cnt, self.hab, self.controls() & {0, STOP}, ranges, self._lengths(), shown)

    def _lengths(self) -> tuple[int, int] | None:
        return None if self.is_contiguous else (self.heap_length, self.received)

    def _addressed(self, parts: list[tuple[bool, int, int]]) -> list[tuple[int, bytes | int]]:
        payload = b"".join(content for _, content in sorted(self.memory.items()))
        places = [(value, id) for is_immediate, id, value in parts if not is_immediate]
        places.sort(key=lambda item: item[0])
        ends = [value for value, _ in places[1:]] + [self.min_length]
        items = [(id, payload[start:end]) for (start, id), end in zip(places, ends, strict=False)]
        return [item for item in items if item[1] and item[0] not in (NULL, DESCRIPTOR)]


class Stream:
    """The heaps in assembly, and what came of the others."""

    def __init__(self, max_heaps: int, stop_on_stop_item: bool = True) -> None:
        self.slots: list[Heap | None] = [None] * max_heaps
        self.head = 0
        self.stop_on_stop_item = stop_on_stop_item
        self.stats: Counter[str] = Counter()
        self.out: list[tuple[object, ...]] = []

    def run(self, data: bytes) -> None:
        """Take the packets of `data` until it ends, one is undecodable, or one says stop."""
        while data:
            packet = decode(data)
            if isinstance(packet, str):
                self.stats[packet] += 1
                break
            data = data[packet.size :]
            if self.add(packet):
                break
        for _ in self.slots:
            self.advance("incomplete_heaps_flushed")

    def add(self, packet: Packet) -> bool:
        """Take a packet; True if the stream ends with it."""
        self.stats["packets"] += 1
        cnt = packet.special[HEAP_CNT]
        heap = next((heap for heap in self.slots if heap and heap.cnt == cnt), None)
        if heap is None:
            self.advance("incomplete_heaps_evicted")
            heap = self.slots[self.head] = Heap(cnt, packet.hab)
        refused = heap.add(packet)
        if refused:
            self.stats[refused] += 1
            if not heap.ranges:
                self.slots[self.head] = None  # it was never begun
            return False
        stop = self.stop_on_stop_item and STOP in heap.controls()
        if heap.is_complete:
            self.slots[self.slots.index(heap)] = None
            if not stop:
                self.deliver(heap)
        return stop

    def advance(self, counter: str) -> None:
        """Go to the next slot and put out what is in it."""
        self.head = (self.head + 1) % len(self.slots)
        heap = self.slots[self.head]
        if heap is not None:
            self.slots[self.head] = None
            self.stats[counter] += 1
            self.deliver(heap)

    def deliver(self, heap: Heap) -> None:
        self.stats["heaps"] += 1
        self.out.append(heap.seen())
