# SPDX-License-Identifier: Apache-2.0
"""A heap to be sent: items by reference, cut into packets when it is needed."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NoReturn, final

from .._ffi import check, ffi, lib, own
from ..arguments import instance
from ..items import (
    CTRL_STREAM_START,
    CTRL_STREAM_STOP,
    DESCRIPTOR_ID,
    PAYLOAD_LENGTH_ID,
    STREAM_CTRL_ID,
    Descriptor,
    Flavour,
    Item,
)

if TYPE_CHECKING:
    from .._core import spn_packets

MIN_PACKET_SIZE = 56
"""The five numbers of a header, one item pointer and 8 bytes of payload."""


Entry = tuple[int, int, Any, int, bool]
"""The fields of a `spn_send_item`; the third keeps the bytes of an addressed one."""


@final
class Heap:
    """Items, descriptors and control messages that go out together.

    Values are referenced, not copied: an array that is in C order and in the byte order of its
    item is sent from its own memory, with the bytes that it has when the packets go. It must
    not be resized, nor given another dtype or shape in place, and is held as long as the heap.
    Values that are sent inside their item pointers are taken at once.

    A heap may be sent any number of times, also by several streams at once, and costs nothing
    to prepare after the first. It is not for several threads while items are being added.
    """

    __slots__ = ("__weakref__", "_borrows", "_cut", "_entries", "_flavour", "_repeat_pointers")

    def __init__(self, flavour: Flavour = Flavour()) -> None:  # noqa: B008 (immutable)
        if type(flavour) is not Flavour:
            instance("flavour", flavour, Flavour)
        self._flavour = flavour
        self._entries: list[Entry] = []
        self._borrows = True  # whether all its memory is that of the items' values
        self._repeat_pointers = False
        self._cut: tuple[int, spn_packets] | None = None

    @property
    def flavour(self) -> Flavour:
        """The flavour of its packets."""
        return self._flavour

    @property
    def repeat_pointers(self) -> bool:
        """Whether each packet carries all item pointers, so that any one may be lost.

        They must then fit a packet, or sending is a `ValueError`.
        """
        return self._repeat_pointers

    @repeat_pointers.setter
    def repeat_pointers(self, value: bool) -> None:
        self._repeat_pointers = bool(value)
        self._cut = None

    def add_item(self, item: Item) -> None:
        """Add an item with its value.

        `ValueError` if it has none, the value does not fit the item, or the identifier is one
        of those in every packet's header (0 to 4) or does not fit the flavour.
        """
        instance("item", item, Item)
        self._add_value(item)

    def _add_value(self, item: Item) -> tuple[Any, Entry] | tuple[None, None]:
        """Add a value; if it is an array and sent from its own memory, return it and its entry."""
        id = item.id
        bits = self._flavour.heap_address_bits
        if not PAYLOAD_LENGTH_ID < id < 1 << (63 - bits):
            most = (1 << (63 - bits)) - 1
            raise ValueError(f"id must be in {PAYLOAD_LENGTH_ID + 1}..{most}, not {id}")
        buffer = item.to_buffer()
        memory = ffi.from_buffer(buffer)
        length = len(memory)
        # SPEAD leaves the place of fewer bytes open; they go to the low-order end.
        if length <= bits >> 3 and item.allow_immediate():
            self._add(_immediate(id, int.from_bytes(ffi.buffer(memory)[:], "big")))
            return None, None
        entry = (id, 0, memory, length, False)
        self._add(entry)
        if buffer is item.value:
            return buffer, entry
        self._borrows = False
        return None, None

    def add_descriptor(self, descriptor: Descriptor) -> None:
        """Add the description of an item.

        `ValueError` if the flavour has no room for one of its numbers, or its name or
        description is not ASCII.
        """
        instance("descriptor", descriptor, Descriptor)
        raw = descriptor.to_raw(self._flavour).encode(self._flavour)
        self._add((DESCRIPTOR_ID, 0, ffi.from_buffer(raw), len(raw), False))
        self._borrows = False

    def add_start(self) -> None:
        """Add the message that a stream starts."""
        self._add(_immediate(STREAM_CTRL_ID, CTRL_STREAM_START))

    def add_end(self) -> None:
        """Add the message that the stream ends; receivers stop at it."""
        self._add(_immediate(STREAM_CTRL_ID, CTRL_STREAM_STOP))

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._cut = None

    def _packets(self, max_packet_size: int) -> spn_packets:
        """Return the heap cut into packets of at most so many bytes.

        Whoever sends them holds the heap too, as it holds the values.
        """
        cut = self._cut
        if cut is None or cut[0] != max_packet_size:
            cut = self._cut_to(max_packet_size)
        return cut[1]

    def _cut_to(self, max_packet_size: int) -> tuple[int, spn_packets]:
        cut = self._cut = (max_packet_size, self._make_packets(max_packet_size))
        return cut

    def _make_packets(self, max_packet_size: int) -> spn_packets:
        if max_packet_size < MIN_PACKET_SIZE:
            raise ValueError(
                f"max_packet_size must be at least {MIN_PACKET_SIZE}, not {max_packet_size}"
            )
        entries = self._entries
        items = ffi.new("spn_send_item[]", entries)
        out = ffi.new("spn_packets **")
        bits = self._flavour.heap_address_bits
        code = lib.spn_packets_new(
            items, len(entries), bits, max_packet_size, self._repeat_pointers, out
        )
        if code < 0:
            self._refuse(code, max_packet_size)
        return own(out[0], lib.spn_packets_unref)

    def _refuse(self, code: int, max_packet_size: int) -> NoReturn:
        bits = self._flavour.heap_address_bits
        if code == -errno.E2BIG:
            raise ValueError(
                f"max_packet_size {max_packet_size} is too small to repeat "
                f"{len(self._entries)} item pointers"
            )
        if code == -errno.EOVERFLOW:
            raise ValueError(f"the heap is too long for heap_address_bits {bits}")
        check(code)
        raise AssertionError(code)

    def __repr__(self) -> str:
        return f"<Heap with {len(self._entries)} items, {self._flavour}>"


def _immediate(id: int, value: int) -> Entry:
    return (id, value, ffi.NULL, 0, True)
