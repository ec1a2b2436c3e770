# SPDX-License-Identifier: Apache-2.0
"""Heaps with what has changed in an item group since the last one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from .. import items
from ..arguments import instance, integer
from ..items import Flavour, Item
from .heap import Heap

Which = Literal["stale", "all", "none"]

_MODES = ("stale", "all", "none")


@dataclass(slots=True)
class _Sent:
    """What of an item has been sent."""

    item: Item
    version: int | None = None  # of the value
    descriptor: int | None = None  # the number of the heap that had it
    array: Any = None  # the value, if it was sent from its own memory
    entry: Any = None  # the `Entry` of that array


class HeapGenerator:
    """Make heaps of those items of `item_group` that are *stale*.

    A descriptor is stale when it was never put into a heap, or when that was
    `descriptor_frequency` heaps ago (None: once is enough). A value is stale when it was never
    put into a heap, or its item's version has changed since. An item that has been replaced in
    the group counts as new. Items without a value have their descriptors sent only.

    `flavour` is that of the heaps that it makes. Not for several threads at once.
    """

    def __init__(
        self,
        item_group: items.ItemGroup,
        descriptor_frequency: int | None = None,
        flavour: Flavour = Flavour(),  # noqa: B008 (immutable)
    ) -> None:
        instance("item_group", item_group, items.ItemGroup)
        if descriptor_frequency is not None:
            integer("descriptor_frequency", descriptor_frequency, 0)
        instance("flavour", flavour, Flavour)
        self._item_group: items.ItemGroup | None = item_group
        self._descriptor_frequency = descriptor_frequency
        self._flavour = flavour
        self._sent: dict[int, _Sent] = {}
        self._heaps = 0
        self._last: Heap | None = None  # if another may be cut as it was

    def add_to_heap(self, heap: Heap, descriptors: Which = "stale", data: Which = "stale") -> Heap:
        """Add stale descriptors and values, all, or none of them, to `heap`; return it.

        `TypeError` if `heap` is none, `ValueError` if `descriptors` or `data` is none of
        these words, or what `Heap.add_item` and `Heap.add_descriptor` raise.
        """
        if type(heap) is not Heap:
            instance("heap", heap, Heap)
        if descriptors not in _MODES or data not in _MODES:
            _refuse_mode(descriptors, data)
        items = self._items()
        is_own = heap._flavour is self._flavour  # so entries of before will do
        for item in items:
            sent = self._sent.get(item.id)
            if sent is None or sent.item is not item:
                sent = self._sent[item.id] = _Sent(item)
            if descriptors != "none" and self._wants_descriptor(sent, descriptors):
                heap.add_descriptor(item)
                sent.descriptor = self._heaps
            version = item.version
            if data == "all" or (data == "stale" and sent.version != version):
                value = item.value
                if value is None:
                    continue
                if value is sent.array and is_own:
                    heap._add(sent.entry)
                else:
                    sent.array, sent.entry = heap._add_value(item)
                sent.version = version
        if len(self._sent) > len(items):  # some have left the group; their values may go
            self._sent = {item.id: self._sent[item.id] for item in items}
        self._heaps += 1
        return heap

    def _items(self) -> Collection[Item]:
        return () if self._item_group is None else self._item_group.values()

    def _wants_descriptor(self, sent: _Sent, which: Which) -> bool:
        if which == "all":
            return True
        if sent.descriptor is None:
            return True
        frequency = self._descriptor_frequency
        return frequency is not None and self._heaps - sent.descriptor >= frequency

    def get_heap(self, descriptors: Which = "stale", data: Which = "stale") -> Heap:
        """Return a new heap with what `add_to_heap` adds."""
        heap = self.add_to_heap(Heap(self._flavour), descriptors, data)
        last = self._last
        if last is not None and last._entries == heap._entries and not last._repeat_pointers:
            heap._cut = last._cut  # the same memory, so cut alike
        self._last = heap if heap._borrows else None
        return heap

    def get_start(self) -> Heap:
        """Return a heap that says only that the stream starts."""
        heap = Heap(self._flavour)
        heap.add_start()
        return heap

    def get_end(self) -> Heap:
        """Return a heap that says only that the stream ends."""
        heap = Heap(self._flavour)
        heap.add_end()
        return heap


class ItemGroup(items.ItemGroup, HeapGenerator):
    """An item group that makes heaps of its own stale items.

    >>> import numpy as np
    >>> group = ItemGroup()
    >>> item = group.add_item(None, "gain", "of one antenna", (2,), np.float32)
    >>> item.value = np.ones(2, np.float32)
    >>> group.get_heap()
    <Heap with 2 items, Flavour(4, 64, 40, 0)>
    """

    def __init__(
        self,
        descriptor_frequency: int | None = None,
        flavour: Flavour = Flavour(),  # noqa: B008 (immutable)
    ) -> None:
        items.ItemGroup.__init__(self)
        HeapGenerator.__init__(self, self, descriptor_frequency, flavour)
        self._item_group = None  # a cycle would hold its arrays

    def _items(self) -> Collection[Item]:
        return self._by_name.values()


def _refuse_mode(descriptors: Which, data: Which) -> NoReturn:
    name, which = ("data", data) if descriptors in _MODES else ("descriptors", descriptors)
    raise ValueError(f"{name} must be 'stale', 'all' or 'none', not {which!r}")
