# SPDX-License-Identifier: Apache-2.0
"""Items by name and identifier, kept up to date from heaps."""

from __future__ import annotations

import logging
import struct
from collections.abc import ItemsView, Iterable, Iterator, KeysView, ValuesView
from typing import Any

import numpy.typing as npt

from .._ffi import ffi
from . import protocol
from .descriptor import Descriptor, Order
from .flavour import Flavour
from .item import Item, fill
from .raw_descriptor import RawDescriptor
from .reading import Memory

_logger = logging.getLogger("pyspin")

# A heap's items are read as one table: an attribute of a C struct costs as much
# as a row. Id, value, length, whether immediate; padded as the struct is.
_ROW = struct.Struct("@QQN?0Q")
_ROW_ID = struct.Struct(f"@Q{_ROW.size - 8}x")

_MAX_KNOWN = 1024
_MAX_KNOWN_BYTES = 1 << 14
"""Descriptors remembered by their bytes, so that resent ones cost one look-up,
and the size of the largest: a sender must not fill our memory with them."""


class ItemGroup:
    """A collection of items, indexed by name or by identifier.

    When a descriptor comes again unchanged, its item stays as it is. When it
    differs, all items with its name or identifier go (there may be two), and
    the new one starts without a value and with a version above theirs, so that
    who looks only at versions sees the change.

    Not for several threads at once, except that items' values may be read.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, Item] = {}
        self._by_name: dict[str, Item] = {}
        self._known: dict[tuple[bytes, int], Descriptor] = {}

    def add_item(
        self,
        id: int | None,
        name: str,
        description: str,
        shape: Iterable[int | None],
        dtype: npt.DTypeLike | None = None,
        order: Order = "C",
        format: Iterable[tuple[str, int]] | None = None,
        value: Any = None,
    ) -> Item:
        """Add an item and return it; an identical one stays and takes `value`.

        `id` None: the lowest free one from 0x1000. Errors as of `Descriptor`.
        """
        if id is None:
            id = protocol.FIRST_FREE_ID
            while id in self._by_id:
                id += 1
        return self._add(Item(id, name, description, shape, dtype, order, format, value))

    def _add(self, item: Item) -> Item:
        old = self._by_id.get(item.id)
        if old is not None and old.identity() == item.identity():
            if item.value is not None:
                old.value = item.value
            return old
        for clash in (old, self._by_name.get(item.name)):
            if clash is not None:
                item.version = max(item.version, clash.version + 1)
                self._by_id.pop(clash.id, None)
                self._by_name.pop(clash.name, None)
        self._by_id[item.id] = item
        self._by_name[item.name] = item
        return item

    def __getitem__(self, key: int | str) -> Item:
        """Return the item of this identifier or name; `KeyError` if there is none."""
        return self._by_name[key] if isinstance(key, str) else self._by_id[key]

    def __contains__(self, key: object) -> bool:
        """Return whether there is an item of this identifier or name."""
        return key in (self._by_name if isinstance(key, str) else self._by_id)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, as a dict over its keys."""
        return iter(self._by_name)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._by_name)

    def keys(self) -> KeysView[str]:
        """Return the names."""
        return self._by_name.keys()

    def ids(self) -> KeysView[int]:
        """Return the identifiers."""
        return self._by_id.keys()

    def values(self) -> ValuesView[Item]:
        """Return the items."""
        return self._by_name.values()

    def items(self) -> ItemsView[str, Item]:
        """Return pairs of name and item."""
        return self._by_name.items()

    def update(self, heap: Any, new_order: str = "=") -> dict[str, Item]:
        """Take descriptors and values from `heap`; return the items with new values by name.

        Numbers get byte order `new_order` (see `numpy.dtype.newbyteorder`; "|"
        keeps that of the wire). Values are made when they are first read.
        Items without descriptor are skipped with a warning.

        `ValueError`, and nothing else, for a malformed descriptor or value; what
        came before it in the heap has been taken. `heap` may also be one of
        spead2's: anything with `get_items()` and `get_descriptors()`.
        """
        try:
            raw, _ = heap._heap, heap._memory  # incomplete heaps have no memory
        except AttributeError:
            return self._update_from_items(heap, new_order)
        count = raw.item_count
        if not count:
            return {}
        table = ffi.buffer(raw.items, count * _ROW.size)
        if (protocol.DESCRIPTOR_ID,) in _ROW_ID.iter_unpack(table):
            self._take_descriptors(heap, table)
        updated: dict[str, Item] = {}
        unknown: list[int] = []
        by_id = self._by_id
        width = 0
        for item_id, value, length, is_immediate in _ROW.iter_unpack(table):
            item = by_id.get(item_id)
            if item is None or item_id <= protocol.STREAM_CTRL_ID:
                unknown.append(item_id)
                continue
            reading = item._readings.get(new_order) or item.reading(new_order)
            if is_immediate:
                length = width = width or raw.heap_address_bits >> 3
                cell = [reading.load_immediate, None, value, width]
            else:
                cell = [reading.load, heap, value, length]
            if length < reading.minimum:
                raise reading.too_short(length)
            if not reading.is_lazy:
                fill(cell)
            item._cell = cell
            item.version += 1
            updated[item.name] = item
        if unknown:
            _warn_unknown(unknown)
        return updated

    def _update_from_items(self, heap: Any, new_order: str) -> dict[str, Item]:
        """Do the same through the public face of a heap."""
        try:
            get_descriptors = heap.get_descriptors
        except AttributeError:
            raise AttributeError(f"heap must have get_descriptors(), unlike {heap!r}") from None
        for raw_descriptor in get_descriptors():
            self._add_received(Descriptor.from_raw(raw_descriptor, heap.flavour))
        updated: dict[str, Item] = {}
        unknown: list[int] = []
        for raw_item in heap.get_items():
            item = self._by_id.get(raw_item.id)
            if item is None or raw_item.id <= protocol.STREAM_CTRL_ID:
                unknown.append(raw_item.id)
                continue
            item.set_from_raw(raw_item, new_order)
            updated[item.name] = item
        _warn_unknown(unknown)
        return updated

    def _take_descriptors(self, heap: Any, table: Any) -> None:
        for item_id, offset, length, is_immediate in _ROW.iter_unpack(table):
            if item_id == protocol.DESCRIPTOR_ID and not is_immediate:
                self._take_descriptor(heap._memory(), offset, length, heap.flavour)

    def _take_descriptor(self, memory: Memory, offset: int, length: int, flavour: Flavour) -> None:
        key = (bytes(memory[offset : offset + length]), flavour.bug_compat)
        descriptor = self._known.get(key)
        if descriptor is None:
            raw = RawDescriptor.decode(*key)
            if raw is None:
                return
            descriptor = Descriptor.from_raw(raw, flavour)
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            if length <= _MAX_KNOWN_BYTES:
                self._known[key] = descriptor
        self._add_received(descriptor)

    def _add_received(self, descriptor: Descriptor) -> None:
        old = self._by_id.get(descriptor.id)
        if old is None or not old.is_described_by(descriptor):
            self._add(Item.from_descriptor(descriptor))


def _warn_unknown(item_ids: list[int]) -> None:
    """Say once a heap that there are no descriptors, but for the protocol's own items."""
    unknown = [item_id for item_id in item_ids if item_id > protocol.STREAM_CTRL_ID]
    if unknown:
        others = f" (nor for {len(unknown) - 1} others)" if len(unknown) > 1 else ""
        _logger.warning(
            "item with id %#x received but there is no descriptor%s", unknown[0], others
        )
