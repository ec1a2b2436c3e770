# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import pyspin
from pyspin.send import HeapGenerator, ItemGroup, PacketGenerator


def sent(heap):
    """Return the ids of a heap's items, 5 for a descriptor; not padding."""
    (packet,) = PacketGenerator(heap, 1, 9000)
    pointers = [packet[i : i + 8] for i in range(40, 8 + 8 * packet[7], 8)]
    ids = [int.from_bytes(pointer, "big") >> 40 & 0x7FFFFF for pointer in pointers]
    return [id for id in ids if id]


def make_group(cls=ItemGroup):
    group = cls()
    group.add_item(0x1000, "a", "", (20,), np.uint8, value=np.zeros(20, np.uint8))
    group.add_item(0x1001, "b", "", (20,), np.uint8)
    group.add_item(0x1002, "c", "", (), np.uint16, value=4)
    return group


def test_only_what_is_new_is_sent():
    group = make_group()
    assert sent(group.get_heap()) == [5, 0x1000, 5, 5, 0x1002]
    assert sent(group.get_heap()) == []
    group["b"].value = np.ones(20, np.uint8)
    assert sent(group.get_heap()) == [0x1001]
    assert sent(group.get_heap()) == []


def test_all_or_none_can_be_asked_for():
    group = make_group()
    assert sent(group.get_heap(descriptors="none", data="none")) == []
    assert sent(group.get_heap(descriptors="none", data="all")) == [0x1000, 0x1002]
    assert sent(group.get_heap(data="none")) == [5, 5, 5]
    assert sent(group.get_heap(descriptors="all", data="none")) == [5, 5, 5]
    assert sent(group.get_heap()) == []
    with pytest.raises(ValueError, match="descriptors must be"):
        group.get_heap(descriptors="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="data must be"):
        group.get_heap(data="some")  # type: ignore[arg-type]


def test_a_replaced_item_is_new():
    group = make_group()
    group.get_heap()
    value = np.zeros(20, np.uint8)
    group.add_item(0x1000, "a", "another", (20,), np.uint8, value=value)
    assert sent(group.get_heap()) == [5, 0x1000]


def test_descriptors_are_repeated():
    group = pyspin.ItemGroup()
    group.add_item(0x1000, "a", "", (), np.uint64)
    generator = HeapGenerator(group, 3)
    assert [bool(sent(generator.get_heap())) for _ in range(7)] == [1, 0, 0, 1, 0, 0, 1]
    generator = HeapGenerator(group, descriptor_frequency=2)
    modes = ["all", "none", "stale", "stale", "none", "stale", "stale"]
    got = [bool(sent(generator.get_heap(descriptors=mode))) for mode in modes]
    assert got == [1, 0, 1, 0, 0, 1, 0]


def test_add_to_heap_returns_the_heap():
    generator = HeapGenerator(make_group(pyspin.ItemGroup))
    heap = generator.get_start()
    assert generator.add_to_heap(heap) is heap
    assert sent(heap) == [6, 5, 0x1000, 5, 5, 0x1002]


def test_start_and_end_have_the_flavour():
    group = ItemGroup(flavour=pyspin.Flavour(4, 64, 48))
    assert group.get_start().flavour.heap_address_bits == 48
    assert group.get_end().flavour.heap_address_bits == 48
    assert group.get_heap().flavour.heap_address_bits == 48
    assert sent(ItemGroup().get_end()) == [6]


def test_a_value_that_fails_is_still_stale():
    group = ItemGroup()
    item = group.add_item(0x1000, "a", "", (2,), np.uint8, value=[1, 2, 3])
    with pytest.raises(ValueError, match="shape"):
        group.get_heap()
    item.value = [1, 2]
    assert 0x1000 in sent(group.get_heap())


def make_array_group():
    value = np.arange(100, dtype=np.uint8)
    group = ItemGroup()
    return group, group.add_item(0x1000, "a", "", (100,), np.uint8, value=value), value


def payload(heap):
    """Return the payload of a heap of one item in one packet."""
    return b"".join(PacketGenerator(heap, 1, 9000))[48:]


def test_an_unchanged_array_is_sent_as_it_is_then():
    group, item, value = make_array_group()
    for number in range(3):
        value[:] = number
        assert payload(group.get_heap("none", "all")) == bytes([number]) * 100
    item.value = value[::-1].copy()
    value[:] = 7
    assert payload(group.get_heap("none", "all")) == bytes([2]) * 100
    item.value = [9] * 100
    assert payload(group.get_heap("none", "all")) == bytes([9]) * 100
    item.value = value
    assert payload(group.get_heap("none", "all")) == bytes([7]) * 100


def test_heaps_of_the_same_arrays_differ_in_what_is_done_to_them():
    group, _, _ = make_array_group()
    first = group.get_heap("none", "all")
    assert sent(first) == [0x1000]
    first.repeat_pointers = True
    second = group.get_heap("none", "all")
    second.add_end()
    assert sent(group.get_heap("none", "all")) == sent(first) == [0x1000]
    assert sent(second) == [0x1000, 6]
    assert [p[7] for p in PacketGenerator(first, 1, 96)] == [5, 5, 5]
    third = group.get_heap("none", "all")
    assert [p[7] for p in PacketGenerator(third, 1, 96)] == [5, 4]


def test_a_heap_of_another_flavour_is_checked():
    group = pyspin.ItemGroup()
    group.add_item(0x1000, "a", "", (100,), np.uint8, value=np.zeros(100, np.uint8))
    generator = HeapGenerator(group)
    assert sent(generator.get_heap("none", "all")) == [0x1000]
    heap = pyspin.send.Heap(pyspin.Flavour(4, 64, 56))
    with pytest.raises(ValueError, match="id"):
        generator.add_to_heap(heap, "none", "all")


def test_values_of_the_last_heap_alone_are_held():
    group, item, value = make_array_group()
    reference = weakref.ref(value)
    group.get_heap("none", "all")
    del value
    item.value = np.zeros(100, np.uint8)
    group.get_heap("none", "all")
    assert reference() is None


@pytest.mark.parametrize("is_pair", [False, True])
def test_values_of_items_that_left_the_group_are_let_go(is_pair):
    group = pyspin.ItemGroup() if is_pair else ItemGroup()
    generator = HeapGenerator(group) if is_pair else group
    value = np.zeros(100, np.uint8)
    reference = weakref.ref(value)
    group.add_item(0x1000, "mode", "", value.shape, value.dtype, value=value)
    generator.get_heap()
    del value
    # An item of the same name with another identifier puts the old one out.
    group.add_item(0x1001, "mode", "", (1,), np.uint8, value=np.zeros(1, np.uint8))
    generator.get_heap()
    assert reference() is None


def test_a_group_is_no_cycle():
    group = make_group()
    reference = weakref.ref(group)
    gc.disable()
    try:
        del group
        assert reference() is None
    finally:
        gc.enable()
