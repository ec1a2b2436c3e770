# SPDX-License-Identifier: Apache-2.0
"""Flavours, descriptors, items and groups, without a network."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
import weakref
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

import pyspin
from pyspin import Descriptor, Flavour, Item, ItemGroup

MASK_NAMES = ["DESCRIPTOR_WIDTHS", "SHAPE_BIT_1", "SWAP_ENDIAN", "PYSPEAD_0_5_2"]


def test_flavour_has_the_documented_defaults() -> None:
    flavour = Flavour()
    assert (flavour.version, flavour.item_pointer_bits) == (4, 64)
    assert (flavour.heap_address_bits, flavour.bug_compat) == (40, 0)


def test_flavours_compare_by_address_bits_and_bug_compat() -> None:
    assert Flavour(4, 64, 48, 2) == Flavour(4, 64, 48, bug_compat=2)
    assert Flavour(4, 64, 48) != Flavour(4, 64, 40)
    assert Flavour(4, 64, 48, 1) != Flavour(4, 64, 48)
    assert Flavour() != "SPEAD-64-40"
    assert len({Flavour(), Flavour(4, 64, 40, 0)}) == 1
    assert eval(repr(Flavour(4, 64, 48, 7))) == Flavour(4, 64, 48, 7)


@pytest.mark.parametrize(
    "arguments",
    [(3, 64, 40), (4, 32, 16), (4, 64, 0), (4, 64, 64), (4, 64, 41), (4, 64, -8), (4, 64, 40, -1)],
)
def test_impossible_flavours_are_refused(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Flavour(*arguments)


def test_flavour_wants_numbers() -> None:
    with pytest.raises(TypeError, match="version"):
        Flavour("4")  # type: ignore[arg-type]


def test_flavour_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Flavour().bug_compat = 1  # type: ignore[misc]


def test_the_whole_pyspead_mask_is_the_three_faults() -> None:
    *single, whole = [getattr(pyspin, f"BUG_COMPAT_{name}") for name in MASK_NAMES]
    assert single == [1, 2, 4]
    assert whole == 7


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"shape": (None, None), "format": [("u", 8)]}, "shape"),
        ({"shape": (-1,), "format": [("u", 8)]}, "shape"),
        ({"shape": (1,) * 40, "format": [("u", 8)]}, "shape"),
        ({"shape": (0, 1 << 62), "dtype": "f8"}, "shape"),
        ({"shape": ()}, "dtype and format"),
        ({"shape": (), "dtype": "f4", "format": [("u", 8)]}, "dtype and format"),
        ({"shape": (None,), "dtype": "f4"}, "shape"),
        ({"shape": (), "dtype": "O"}, "dtype"),
        ({"shape": (), "dtype": [("a", "O")]}, "dtype"),
        ({"shape": (), "dtype": "S0"}, "dtype"),
        ({"shape": (), "dtype": ("f4", (2,))}, "dtype"),
        ({"shape": (), "dtype": "f4", "order": "X"}, "order"),
        ({"shape": (), "format": [("u", 8)], "order": "F"}, "order"),
        ({"shape": (), "format": []}, "format"),
        ({"shape": (), "format": [("0", 8)]}, "format"),
        ({"shape": (), "format": [("f", 16)]}, "format"),
        ({"shape": (), "format": [("c", 16)]}, "format"),
        ({"shape": (), "format": [("u", 0)]}, "format"),
        ({"shape": (), "format": [("u", -8)]}, "format"),
        ({"shape": (), "format": [("u", 8)] * 20000}, "format"),
    ],
)
def test_impossible_descriptors_are_refused(arguments: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Descriptor(0x1000, "name", "", **arguments)


def test_an_unknown_dtype_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        Descriptor(0x1000, "name", "", (), "bogus")


def test_names_are_text_and_identifiers_numbers() -> None:
    with pytest.raises(TypeError, match="name must be a str, not 5"):
        Descriptor(1, 5, "", (), "f4")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="description must be a str, not None"):
        Descriptor(1, "n", None, (), "f4")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Descriptor("1", "n", "", (), "f4")  # type: ignore[arg-type]
    assert Descriptor(np.uint16(7), "n", "", (), "f4").id == 7


def test_descriptor_tells_of_its_shape() -> None:
    fixed = Descriptor(0x1000, "name", "", (2, 3), "f4")
    variable = Descriptor(0x1000, "name", "", [2, None], format=[("u", 12), ("c", 8)])
    assert fixed.shape == (2, 3)
    assert not fixed.is_variable_size()
    assert variable.is_variable_size()
    assert fixed.itemsize_bits == 32
    assert variable.itemsize_bits == 20
    assert variable.dynamic_shape(17) == (2, 8)
    assert Descriptor(1, "n", "", (0, None), format=[("u", 8)]).dynamic_shape(17) == (0, 0)
    assert variable.compatible_shape((2, 9))
    assert not variable.compatible_shape((3, 9))
    assert not variable.compatible_shape((2,))
    assert fixed.allow_immediate()
    assert not variable.allow_immediate()
    assert not Descriptor(1, "n", "", (2,), format=[("u", 12)]).allow_immediate()


@pytest.mark.parametrize(
    "descriptor",
    [
        Descriptor(0x55, "name", "text", (2, 3), ">f4", "F"),
        Descriptor(0x55, "name", "", (), np.dtype([("a", "u1"), ("b", "f4")], align=True)),
        Descriptor(0x55, "", "text", (2, None), format=[("u", 12), ("c", 8)]),
    ],
)
@pytest.mark.parametrize("bits", range(16, 57, 8))
@pytest.mark.parametrize("mask", range(8))
def test_descriptors_survive_the_wire(descriptor: Descriptor, bits: int, mask: int) -> None:
    flavour = Flavour(4, 64, bits, mask)
    encoded = descriptor.to_raw(flavour).encode(flavour)
    raw = pyspin.RawDescriptor.decode(encoded, mask)
    assert raw is not None
    assert Descriptor.from_raw(raw, flavour).identity() == descriptor.identity()


def test_what_does_not_fit_the_flavour_is_refused() -> None:
    narrow, wide = Flavour(4, 64, 16), Flavour(4, 64, 56)
    large = Descriptor(1, "n", "", (1 << 16,), format=[("u", 8)])
    with pytest.raises(ValueError, match="dimension"):
        large.to_raw(narrow).encode(narrow)
    broad = Descriptor(1, "n", "", (), format=[("u", 256)])
    with pytest.raises(ValueError, match="field"):
        broad.to_raw(wide).encode(wide)
    for number in (0, 1 << 23):
        with pytest.raises(ValueError, match="id"):
            Descriptor(number, "n", "", (), "f4").to_raw(Flavour()).encode(Flavour())
    with pytest.raises(ValueError, match="id 65536 does not fit an immediate of 16 bits"):
        Descriptor(1 << 16, "n", "", (), "f4").to_raw(narrow).encode(narrow)


def test_names_on_the_wire_are_ascii() -> None:
    with pytest.raises(UnicodeEncodeError):
        Descriptor(1, "é", "", (), "f4").to_raw(Flavour())
    with pytest.raises(UnicodeEncodeError):
        Descriptor(1, "e", "é", (), "f4").to_raw(Flavour())


def test_assignment_raises_the_version() -> None:
    item = Item(0x1000, "name", "", (), "f4", value=3)
    assert (item.version, item.value) == (1, 3)
    item.value = 4
    assert (item.version, item.value) == (2, 4)


def test_none_is_no_value() -> None:
    item = Item(0x1000, "name", "", (), "f4")
    with pytest.raises(ValueError, match="None"):
        item.value = None
    with pytest.raises(ValueError, match="no value"):
        item.to_buffer()


@pytest.mark.parametrize(
    ("fields", "value", "wire"),
    [
        ({"shape": (3,), "format": [("u", 12)]}, [0xABC, 0xDEF, 0x123], "abcdef1230"),
        ({"shape": (3,), "format": [("i", 12)]}, [-1348, -529, 291], "abcdef1230"),
        ({"shape": (3,), "format": [("i", 12)]}, np.array([-1348, -529, 291], ">i2"), "abcdef1230"),
        (
            {"shape": (), "format": [("b", 1), ("i", 7), ("c", 8), ("f", 32)]},
            (True, 17, "y", 1.0),
            "91793f800000",
        ),
        ({"shape": (2,), "format": [("u", 16)]}, [1, 2], "00010002"),
        ({"shape": (2,), "format": [("u", 8)]}, np.array([3.5, 1]), "0301"),
        ({"shape": (2,), "format": [("u", 4)]}, [3.5, 1], "31"),
        ({"shape": (2,), "format": [("u", 4)]}, [True, False], "10"),
        ({"shape": (3,), "format": [("b", 12)]}, [5, 0, True], "0010000010"),
        ({"shape": (None,), "format": [("c", 8)]}, "abc", "616263"),
        ({"shape": (None,), "format": [("c", 8)]}, b"abc", "616263"),
        ({"shape": (3,), "dtype": "S1"}, "abc", "616263"),
        ({"shape": (2,), "dtype": ">U1"}, "ab", "0000006100000062"),
        ({"shape": (2, 2), "dtype": "u1", "order": "F"}, [[1, 2], [3, 4]], "01030204"),
        ({"shape": (0,), "dtype": "f4"}, [], ""),
        ({"shape": (None,), "format": [("u", 12)]}, [], ""),
        ({"shape": (), "dtype": ">M8[s]"}, np.datetime64(1, "s"), "0000000000000001"),
        ({"shape": (1,), "dtype": [("t", ">M8[s]")]}, [(1,)], "0000000000000001"),
    ],
)
def test_values_become_these_bytes(fields: dict[str, Any], value: Any, wire: str) -> None:
    item = Item(0x1000, "name", "", value=value, **fields)
    assert np.asarray(item.to_buffer()).tobytes().hex() == wire


@pytest.mark.parametrize(
    ("fields", "value", "message"),
    [
        ({"shape": (), "format": [("u", 12)]}, 4096, "4096 is out of range for u12"),
        ({"shape": (), "format": [("u", 12)]}, -1, "-1 is out of range for u12"),
        ({"shape": (2,), "format": [("i", 12)]}, [0, 2048], "2048 is out of range for i12"),
        ({"shape": (2,), "format": [("i", 100)]}, [0, 1 << 99], "out of range for i100"),
        ({"shape": (1,), "format": [("u", 4), ("u", 4)]}, [(0, 16)], "16 is out of range for u4"),
        ({"shape": (), "format": [("u", 8)]}, 256, "256 is out of range for uint8"),
        ({"shape": (2,), "dtype": "u1"}, [256, 0], "256"),
        ({"shape": (2,), "dtype": "u1"}, [1, 2, 3], "shape"),
        ({"shape": (2,), "format": [("u", 12)]}, [1, 2, 3], "shape"),
        ({"shape": (), "dtype": "f4"}, [1], "shape"),
        ({"shape": (2,), "format": [("c", 8)]}, "abc", "shape"),
        ({"shape": (1,), "format": [("f", 32), ("u", 4)]}, [[1, 2]], "shape"),
        ({"shape": (), "format": [("u", 12)]}, "x", "invalid literal"),
        ({"shape": (), "format": [("u", 12)]}, float("inf"), "infinity"),
        ({"shape": (), "dtype": "u1"}, float("nan"), "NaN"),
        ({"shape": (), "dtype": "f4"}, "x", "convert"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    fields: dict[str, Any], value: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^value of item 'name': .*{message}"):
        Item(0x1000, "name", "", value=value, **fields).to_buffer()


def test_text_that_is_not_ascii_is_refused_as_such() -> None:
    with pytest.raises(UnicodeEncodeError):
        Item(1, "name", "", (None,), format=[("c", 8)], value="é").to_buffer()


def test_what_is_no_value_is_a_type_error() -> None:
    for fields in ({"dtype": "u1"}, {"format": [("u", 12)]}):
        with pytest.raises(TypeError, match=r"^value of item 'name': "):
            Item(1, "name", "", (), value=object(), **fields).to_buffer()


def test_an_array_that_is_right_is_not_copied() -> None:
    value = np.arange(6, dtype=">u4").reshape(2, 3)
    assert Item(1, "n", "", (2, 3), value.dtype, value=value).to_buffer() is value
    assert np.shares_memory(
        np.asarray(Item(1, "n", "", (2, 3), format=[("u", 32)], value=value).to_buffer()), value
    )
    turned = Item(1, "n", "", (3, 2), ">u4", "F", value=value.T).to_buffer()
    assert np.shares_memory(np.asarray(turned), value)


def test_group_is_indexed_by_name_and_identifier() -> None:
    group = ItemGroup()
    item = group.add_item(0x55, "name", "", (), "f4", value=1)
    assert group["name"] is item
    assert group[0x55] is item
    assert "name" in group
    assert 0x55 in group
    assert "other" not in group
    assert None not in group
    assert len(group) == 1
    assert list(group) == ["name"]
    assert list(group.keys()) == ["name"]
    assert list(group.ids()) == [0x55]
    assert list(group.values()) == [item]
    assert list(group.items()) == [("name", item)]
    for missing in ("other", 5):
        with pytest.raises(KeyError):
            group[missing]


def test_free_identifiers_are_given_from_0x1000() -> None:
    group = ItemGroup()
    group.add_item(0x1001, "b", "", (), "f4")
    assert group.add_item(None, "a", "", (), "f4").id == 0x1000
    assert group.add_item(None, "c", "", (), "f4").id == 0x1002


def test_an_identical_descriptor_keeps_the_item() -> None:
    group = ItemGroup()
    item = group.add_item(0x1000, "a", "", (), "f4", value=3)
    assert group.add_item(0x1000, "a", "", (), "f4") is item
    assert (item.version, item.value) == (1, 3)
    assert group.add_item(0x1000, "a", "", (), "f4", value=4) is item
    assert (item.version, item.value) == (2, 4)


def test_a_different_descriptor_removes_both_that_clash() -> None:
    group = ItemGroup()
    group.add_item(0x1000, "a", "", (), "f4", value=1).version = 5
    group.add_item(0x1001, "b", "", (), "f4", value=2).version = 9
    item = group.add_item(0x1000, "b", "", (), "f4")
    assert list(group.values()) == [item]
    assert list(group.ids()) == [0x1000]
    assert item.value is None
    assert item.version > 9


class _Payload:
    """Stands for a heap whose memory can be asked for."""

    def __init__(self, size: int) -> None:
        self.array = np.zeros(size, np.uint8)
        self.asked = 0

    def _memory(self) -> Any:
        self.asked += 1
        return self.array


def test_a_received_value_is_made_once_for_all_threads() -> None:
    item = Item(0x1000, "name", "", (4,), "u1")
    heap = _Payload(4)
    load = item.reading().load
    together = threading.Barrier(4)

    def load_together(*arguments: Any) -> Any:
        value = load(*arguments)
        together.wait(PATIENCE)
        return value

    values: list[Any] = []
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            values.clear()
            item._cell = [load_together, heap, 0, 4]
            threads = [threading.Thread(target=lambda: values.append(item.value)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            assert len(values) == 4
            assert all(value is item.value for value in values)
            assert np.shares_memory(item.value, heap.array)
    finally:
        sys.setswitchinterval(interval)


def test_an_item_goes_with_its_last_reference() -> None:
    gc.disable()
    try:
        group = ItemGroup()
        item = weakref.ref(group.add_item(None, "name", "", (4,), "u1", value=[1, 2, 3, 4]))
        del group
        assert item() is None
    finally:
        gc.enable()


def test_items_can_be_pickled_and_copied() -> None:
    item = Item(0x1000, "name", "text", (None,), format=[("u", 12)], value=[1, 2])
    item.value = [3, 4]
    item.reading()
    for twin in (pickle.loads(pickle.dumps(item)), copy.copy(item), copy.deepcopy(item)):
        assert twin.identity() == item.identity()
        assert (twin.version, twin.value) == (2, [3, 4])
    group = pickle.loads(pickle.dumps(ItemGroup()))
    assert len(group) == 0
