# SPDX-License-Identifier: Apache-2.0
"""The short cut from a C heap to items, on heaps that are made by hand."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

import pyspin
from pyspin import _ffi
from pyspin.items import item_group

ITEM = 0x1000
ffi: Any = _ffi.ffi


class Heap:
    """A heap of (id, value) with addressed bytes or an immediate int."""

    def __init__(self, *items: tuple[int, bytes | int], mask: int = 0, hab: int = 40) -> None:
        self.flavour = pyspin.Flavour(4, 64, hab, mask)
        payload = b"".join(value for _, value in items if isinstance(value, bytes))
        self.payload = np.frombuffer(bytearray(payload), np.uint8)
        self._table = ffi.new("spn_item[]", len(items))
        offset = 0
        for entry, (id, value) in zip(self._table, items, strict=True):
            entry.id, entry.is_immediate = id, isinstance(value, int)
            entry.value = value if isinstance(value, int) else offset
            entry.length = 0 if isinstance(value, int) else len(value)
            offset += entry.length
        self._heap = ffi.new("spn_heap *")
        self._heap.items, self._heap.item_count = self._table, len(items)
        self._heap.heap_address_bits = hab
        self.asked = 0

    def _memory(self) -> Any:
        self.asked += 1
        return self.payload


def group(*types: dict[str, Any]) -> pyspin.ItemGroup:
    made = pyspin.ItemGroup()
    for i, fields in enumerate(types):
        made.add_item(ITEM + i, f"item{i}", "", **fields)
    return made


def test_a_row_of_the_table_is_an_item_of_the_heap() -> None:
    assert item_group._ROW.size == ffi.sizeof("spn_item")
    offsets = [ffi.offsetof("spn_item", name) for name in ("id", "value", "length", "is_immediate")]
    assert offsets == [0, 8, 16, 16 + struct.calcsize("N")]


def test_values_are_views_made_when_they_are_read() -> None:
    items = group({"shape": (4,), "dtype": "=u2"}, {"shape": (None,), "format": [("u", 8)]})
    heap = Heap((ITEM, bytes(8)), (ITEM + 1, b"abc"))
    updated = items.update(heap)
    assert list(updated) == ["item0", "item1"]
    assert heap.asked == 0
    value = items["item0"].value
    assert value is items["item0"].value
    assert np.shares_memory(value, heap.payload)
    assert value.flags.writeable
    value[0] = 0x0101
    assert heap.payload[:2].tolist() == [1, 1]
    assert items["item1"].value.tolist() == [97, 98, 99]


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ({"dtype": ">u4"}, np.uint32),
        ({"dtype": "?"}, np.bool_),
        ({"dtype": "<c8"}, np.complex64),
        ({"dtype": "S2"}, np.bytes_),
        ({"dtype": "<U1"}, np.str_),
        ({"dtype": "<M8[s]"}, np.datetime64),
        ({"dtype": [("a", "<u2"), ("b", "<i2")]}, np.void),
        ({"format": [("f", 32)]}, np.float32),
        ({"format": [("u", 12)]}, int),
        ({"format": [("b", 1)]}, bool),
    ],
    ids=str,
)
def test_a_value_without_dimensions_is_no_array(type_: dict[str, Any], kind: type[Any]) -> None:
    items = group({"shape": (), **type_})
    for value in (bytes(8), 0) if items["item0"].itemsize_bits <= 40 else (bytes(8),):
        assert type(items.update(Heap((ITEM, value)))["item0"].value) is kind


def test_values_of_foreign_order_are_copies() -> None:
    items = group({"shape": (2,), "dtype": ">u2"})
    heap = Heap((ITEM, b"\0\1\0\2"))
    value = items.update(heap)["item0"].value
    assert value.dtype == np.dtype("=u2")
    assert value.tolist() == [1, 2]
    assert not np.shares_memory(value, heap.payload)
    assert np.shares_memory(items.update(heap, "|")["item0"].value, heap.payload)


def test_immediates_are_read_from_the_pointer() -> None:
    items = group({"shape": (), "format": [("u", 16)]}, {"shape": (), "dtype": "<f4"})
    one = int.from_bytes(np.array(1, "<f4").tobytes(), "big")
    items.update(Heap((ITEM, 0x1234), (ITEM + 1, one)))
    assert items["item0"].value == 0x1234
    assert items["item1"].value == 1.0


def test_errors_are_raised_by_update() -> None:
    short = group({"shape": (4,), "dtype": "u4"})
    with pytest.raises(ValueError, match="'item0' needs 16 bytes, but only 15"):
        short.update(Heap((ITEM, bytes(15))))
    text = group({"shape": (None,), "format": [("c", 8)]})
    with pytest.raises(ValueError, match="ascii"):
        text.update(Heap((ITEM, b"\xff")))
    beyond = group({"shape": (1,), "dtype": "<U1"})
    with pytest.raises(ValueError, match="beyond Unicode"):
        beyond.update(Heap((ITEM, b"\0\0\0\xff")))
    wide = group({"shape": (), "dtype": "u8"})
    with pytest.raises(ValueError, match="needs 8 bytes, but only 5"):
        wide.update(Heap((ITEM, 1)))


@pytest.mark.parametrize("mask", range(8))
def test_descriptors_are_taken_before_values(mask: int) -> None:
    flavour = pyspin.Flavour(4, 64, 40, mask)
    descriptor = pyspin.Descriptor(ITEM, "late", "", (2, None), format=[("u", 12)])
    raw = descriptor.to_raw(flavour).encode(flavour)
    items = pyspin.ItemGroup()
    items.update(Heap((ITEM, b"\x12\x34\x56"), (pyspin.DESCRIPTOR_ID, raw), mask=mask))
    assert items["late"].value.tolist() == [[0x123], [0x456]]


def test_a_descriptor_item_that_holds_none_is_passed_over() -> None:
    items = group({"shape": (4,), "dtype": "=u2"})
    assert list(items.update(Heap((5, b"nothing"), (ITEM, bytes(8))))) == ["item0"]


def test_a_descriptor_that_comes_again_changes_nothing() -> None:
    flavour = pyspin.Flavour()
    raw = [
        pyspin.Descriptor(ITEM, "item", text, (), "u1").to_raw(flavour).encode(flavour)
        for text in ("one", "two")
    ]
    items = pyspin.ItemGroup()
    items.update(Heap((pyspin.DESCRIPTOR_ID, raw[0]), (ITEM, b"a")))
    item, version = items["item"], items["item"].version
    items.update(Heap((pyspin.DESCRIPTOR_ID, raw[0])))
    assert items["item"] is item
    assert (item.version, item.value) == (version, ord("a"))
    items.update(Heap((pyspin.DESCRIPTOR_ID, raw[1])))
    assert items["item"] is not item
    assert items["item"].value is None
    assert items["item"].version > version


def test_descriptors_are_remembered_within_bounds() -> None:
    items = pyspin.ItemGroup()
    for number in range(item_group._MAX_KNOWN + 10):
        text = pyspin.Descriptor(ITEM, "item", f"{number}", (), "u1")
        raw = text.to_raw(pyspin.Flavour()).encode(pyspin.Flavour())
        items.update(Heap((5, raw)))
        assert len(items._known) <= item_group._MAX_KNOWN
    assert items[ITEM].description == f"{number}"


def test_the_protocols_own_items_are_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    items = group()
    assert items.update(Heap((pyspin.STREAM_CTRL_ID, 2), (pyspin.DESCRIPTOR_ID, 0))) == {}
    assert items.update(Heap()) == {}
    assert not caplog.records
    assert items.update(Heap((0x2345, b"x"))) == {}
    assert "0x2345" in caplog.text


def test_unknown_items_are_told_once_a_heap(caplog: pytest.LogCaptureFixture) -> None:
    assert group().update(Heap(*[(0x2000 + i, i) for i in range(1000)], (6, 0))) == {}
    assert [record.getMessage() for record in caplog.records] == [
        "item with id 0x2000 received but there is no descriptor (nor for 999 others)"
    ]


def test_every_update_raises_the_version() -> None:
    items = group({"shape": (), "dtype": "u1"})
    versions = [items["item0"].version]
    for _ in range(3):
        items.update(Heap((ITEM, b"x")))
        versions.append(items["item0"].version)
    assert versions == sorted(set(versions))
