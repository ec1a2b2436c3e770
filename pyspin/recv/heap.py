# SPDX-License-Identifier: Apache-2.0
"""Heaps as they are received: thin owners of a reference-counted heap of the C library.

Nothing is copied and nothing is parsed before it is asked for. The items are numpy arrays
over one buffer that owns the heap; every slice of them keeps it, so the memory returns to
its allocator with the last view.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np

from .._ffi import ffi, lib
from ..items import DESCRIPTOR_ID, Flavour, RawDescriptor

_BYTE = np.dtype(np.uint8)
_gc = ffi.gc
_buffer: Any = ffi.buffer
_unref = lib.spn_heap_unref
_new: Any = object.__new__


class RawItem(np.ndarray[tuple[int], np.dtype[np.uint8]]):
    """An item as it was sent: a one-dimensional uint8 array that also has an identifier.

    An addressed item is a writable view of the heap's payload and keeps the heap; an
    immediate one holds the big-endian bytes of its value, as wide as the heap's addresses
    (SPEAD protocol document, "Item pointers").
    """

    # Of the class: what an array has that was made of an item, such as a slice.
    id: int = 0
    is_immediate: bool = False
    _value: int = 0

    @property
    def immediate_value(self) -> int:
        """The value of an immediate item; ValueError for an addressed one."""
        if not self.is_immediate:
            raise ValueError(f"item {self.id:#x} is not immediate")
        return self._value


@lru_cache(maxsize=64)
def _flavour(heap_address_bits: int, bug_compat: int) -> Flavour:
    return Flavour(4, 64, heap_address_bits, bug_compat)


class _AnyHeap:
    """What complete and incomplete heaps have in common. Any thread may read one."""

    __slots__ = ("__weakref__", "_buffer", "_heap", "_owner")

    _buffer: Any
    _heap: Any
    _owner: Any

    def __init__(self) -> None:
        """Refuse: only `wrap` makes heaps, and it does not call this."""
        raise TypeError(f"a {type(self).__name__} is taken from a stream, not made")

    @property
    def cnt(self) -> int:
        """Heap identifier (HEAP_CNT)."""
        return int(self._heap.cnt)

    @property
    def flavour(self) -> Flavour:
        """The flavour that the heap was encoded in, with the stream's `bug_compat`."""
        heap = self._heap
        return _flavour(heap.heap_address_bits, heap.bug_compat)

    @property
    def tag(self) -> int:
        """The `tag` of the stream that the heap came through."""
        return int(self._heap.tag)

    @property
    def received_length(self) -> int:
        """Bytes of payload that arrived."""
        return int(self._heap.received_length)

    @property
    def heap_length(self) -> int:
        """Bytes of payload that the sender announced (HEAP_LENGTH), or -1."""
        return int(self._heap.heap_length)

    @property
    def last_packet_time(self) -> float:
        """When the last packet was read: seconds on the clock of `time.monotonic`."""
        return float(self._heap.last_packet_ns) * 1e-9

    def is_start_of_stream(self) -> bool:
        """Say whether a stream control item announces the start of a stream."""
        return bool(self._heap.is_start_of_stream)

    def is_end_of_stream(self) -> bool:
        """Say whether a stream control item announces the end of the stream."""
        return bool(self._heap.is_end_of_stream)

    def _immediate(self, item: Any) -> RawItem:
        width = self._heap.heap_address_bits // 8
        value = item.value
        raw: RawItem = RawItem((width,), _BYTE, bytearray(value.to_bytes(width, "big")))
        raw.id = item.id
        raw.is_immediate = True
        raw._value = value
        return raw

    def __repr__(self) -> str:
        return (
            f"<pyspin.recv.{type(self).__name__} {self.cnt}: "
            f"{self.received_length} bytes, {self.flavour}>"
        )


class Heap(_AnyHeap):
    """A heap without gaps: its items can be read.

    Usually it is passed to `pyspin.ItemGroup.update`. Any thread may use it.
    """

    __slots__ = ()

    def _memory(self) -> Any:
        """Return the memory of the whole payload, a writable buffer that keeps the heap."""
        memory = self._buffer
        if memory is None:
            heap = self._heap
            if heap.payload:
                # The buffer holds a pointer, and the pointer its destructor, which is bound to
                # the heap's owner. To be called as a destructor it must take the pointer and do
                # nothing that matters; a comparison costs less than any function of our own.
                pointer = _gc(heap.payload, self._owner.__ne__)
                memory = _buffer(pointer, heap.payload_length)
            else:
                memory = bytearray()
            self._buffer = memory
        return memory

    def get_items(self) -> list[RawItem]:
        """Return the items but for descriptors: addressed ones by address, then immediates.

        Items of no bytes are left out. The addressed ones are views of the payload.
        """
        heap = self._heap
        items = heap.items
        return [
            self._immediate(item) if item.is_immediate else self._addressed(item)
            for item in map(items.__getitem__, range(heap.item_count))
            if item.id != DESCRIPTOR_ID
        ]

    def get_descriptors(self) -> list[RawDescriptor]:
        """Return the descriptors that the heap carries, in the order of their addresses.

        What is malformed in one is found by `Descriptor.from_raw`, not here.
        """
        heap = self._heap
        items = (heap.items[i] for i in range(heap.item_count))
        found = [
            RawDescriptor.decode(self._addressed(item).tobytes(), heap.bug_compat)
            for item in items
            if item.id == DESCRIPTOR_ID and not item.is_immediate
        ]
        return [descriptor for descriptor in found if descriptor is not None]

    def _addressed(self, item: Any) -> RawItem:
        raw: RawItem = RawItem((item.length,), _BYTE, self._memory(), item.value)
        raw.id = item.id
        return raw


class IncompleteHeap(_AnyHeap):
    """A heap of which packets are missing; only streams with contiguous_only=False give it.

    Its payload cannot be read, so `get_items` gives the immediate items alone and there are
    no descriptors: `ItemGroup.update` refuses it. Any thread may use it.
    """

    __slots__ = ()

    @property
    def payload_ranges(self) -> list[tuple[int, int]]:
        """The parts of the payload that arrived: (begin, end) sorted, touching ones joined.

        Empty unless the stream was made with incomplete_keep_payload_ranges=True.
        """
        heap = self._heap
        pairs = (heap.ranges[i] for i in range(heap.range_count))
        return [(pair.begin, pair.end) for pair in pairs]

    def get_items(self) -> list[RawItem]:
        """Return the immediate items."""
        heap = self._heap
        items = (heap.items[i] for i in range(heap.item_count))
        return [
            self._immediate(item)
            for item in items
            if item.is_immediate and item.id != DESCRIPTOR_ID
        ]


def own_heaps(pointers: list[Any]) -> Iterator[Any]:
    """Return the owners of references that the C library has handed over.

    Running through it runs no Python, so no signal handler.
    """
    return map(_gc, pointers, repeat(_unref))


def wrap(heap: Any, owner: Any) -> Heap | IncompleteHeap:
    """Return the Python face of a C heap, which lives as long as `owner`."""
    wrapped: Heap | IncompleteHeap = _new(Heap if heap.is_contiguous else IncompleteHeap)
    wrapped._heap = heap
    wrapped._owner = owner
    wrapped._buffer = None
    return wrapped
