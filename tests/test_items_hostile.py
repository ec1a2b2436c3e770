# SPDX-License-Identifier: Apache-2.0
"""Malformed descriptors and values: `ValueError` from `ItemGroup.update`, or nothing."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pyspin
from pyspin.items import nested, numpy_header

ITEM = 0x1000


class RawItem:
    """An item of a heap, as the public face of heaps shows it."""

    def __new__(cls, id: int, value: bytes | int, hab: int = 40) -> Any:
        immediate = isinstance(value, int)
        raw = value.to_bytes(hab // 8, "big") if isinstance(value, int) else value
        array = np.frombuffer(bytearray(raw), np.uint8).view(_Array)
        array.id, array.is_immediate = id, immediate
        array.immediate_value = value if immediate else None
        return array


class _Array(np.ndarray[Any, Any]):
    id: int
    is_immediate: bool
    immediate_value: Any


class FakeHeap:
    """A heap of these DESCRIPTOR values and items."""

    def __init__(self, descriptors: list[bytes], items: list[Any], mask: int = 0) -> None:
        self.flavour = pyspin.Flavour(4, 64, 40, mask)
        self._descriptors, self._items = descriptors, items

    def get_descriptors(self) -> list[Any]:
        decoded = (
            pyspin.RawDescriptor.decode(d, self.flavour.bug_compat) for d in self._descriptors
        )
        return [raw for raw in decoded if raw is not None]

    def get_items(self) -> list[Any]:
        return self._items


def packet(
    pointers: list[tuple[int, int, int]],
    payload: bytes = b"",
    *,
    cnt: int = 1,
    offset: int = 0,
    length: int | None = None,
    hab: int = 40,
) -> bytes:
    """Return a packet; a pointer is (immediate, id, value), HEAP_LEN absent without `length`."""
    special = [(1, 1, cnt), (1, 3, offset), (1, 4, len(payload))]
    if length is not None:
        special.insert(1, (1, 2, length))
    words = [mode << 63 | id << hab | value for mode, id, value in special + pointers]
    header = struct.pack(">BBBBHH", 0x53, 4, 8 - hab // 8, hab // 8, 0, len(words))
    return header + struct.pack(f">{len(words)}Q", *words) + payload


def descriptor(
    format: bytes = b"u\0\0\x08",
    shape: bytes = b"",
    header: bytes = b"",
    id: int | None = ITEM,
    name: bytes = b"name",
    text: bytes = b"",
) -> bytes:
    pointers = [] if id is None else [(1, 0x14, id)]
    payload = b""
    for field, value in ((0x10, name), (0x11, text), (0x13, format), (0x12, shape), (0x15, header)):
        if value:
            pointers.append((0, field, len(payload)))
        payload += value
    return packet(pointers, payload, length=len(payload))


def update(descriptor: bytes, value: bytes | int = b"", mask: int = 0) -> dict[str, pyspin.Item]:
    items = [RawItem(ITEM, value)] if value != b"" else []
    return pyspin.ItemGroup().update(FakeHeap([descriptor], items, mask))


def header_of(descr: str = "'<f4'", order: str = "False", shape: str = "(3,)") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}".encode()


def test_a_good_header_is_understood() -> None:
    value = update(descriptor(header=header_of()), np.arange(3, dtype="<f4").tobytes())[
        "name"
    ].value
    assert value.tolist() == [0, 1, 2]
    padded = header_of("[('a', '|u1'), ('', '|V3'), ('b', '<f4')]", shape="()")
    value = update(descriptor(header=padded), bytes([1, 9, 9, 9, 0, 0, 128, 63]))["name"].value
    assert value.tolist() == (1, 1.0)
    assert update(descriptor(header=header_of("'|a3'", shape="()")), b"abc")["name"].value == b"abc"


@pytest.mark.parametrize(
    "header",
    [
        b"3",
        b"{",
        b"[]",
        b"\xff",
        b"{1: 2}",
        b"{[]: 2}",
        b"{'descr': '<f4', 'fortran_order': False}",
        header_of() + b"#" * (1 << 16),
        header_of(shape="[3]"),
        header_of(shape="3"),
        header_of(shape="(-1,)"),
        header_of(shape="(None,)"),
        header_of(shape="(True,)"),
        header_of(shape="(1.0,)"),
        header_of(shape="(3L,)"),
        header_of(shape="(1or 2,)"),
        header_of(shape=f"({'1,' * 40})"),
        header_of(shape=f"({'9' * 5000},)"),
        header_of(shape="(" * 500 + ")" * 500),
        header_of(shape="-" * 5000 + "1"),
        header_of(shape="1" + "+1" * 5000),
        header_of(shape="(0, 4611686018427387904, 4)"),
        header_of(order="0"),
        header_of(order="None"),
        header_of("5"),
        header_of("None"),
        header_of("'bogus'"),
        header_of("'O'"),
        header_of("'T'"),
        header_of("'a'"),
        header_of("'f4,i4'"),
        header_of("'|S0'"),
        header_of("'(2,)<f4'"),
        header_of("'<f4\\d'"),
        header_of("'f4,,'"),
        header_of("['<f4']"),
        header_of("{'names': ['a'], 'formats': ['f4']}"),
        header_of("[('a', 'O')]"),
        header_of("[('a',)]"),
        header_of("[(1, '<f4')]"),
        header_of("[('a', '<f4'), ('a', '<f4')]"),
        header_of("[('a', '<f4', -1)]"),
        header_of("[('a', '<f4', (4611686018427387904, 4))]"),
        header_of("[" * 40 + "]" * 40),
        header_of("[('a', " * 30 + "'<f4'" + ")]" * 30 + "]"),
    ],
    ids=lambda raw: raw[:40].hex(),
)
def test_a_malformed_numpy_header_is_a_value_error(header: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        update(descriptor(header=header), bytes(64))


@pytest.mark.parametrize("text", ["'a\\", "'\\'", "\"'", "'", "[' ", "'a\\x41"])
def test_the_end_of_a_string_is_looked_for_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token, begins = numpy_header._TOKEN, []

    class Watched:
        def match(self, string: str, position: int) -> Any:
            begins.append(position)
            return token.match(string, position)

    monkeypatch.setattr(numpy_header, "_TOKEN", Watched())
    header = (text * numpy_header.MAX_LENGTH)[: numpy_header.MAX_LENGTH]
    with pytest.raises(ValueError, match="numpy header"):
        numpy_header.parse_header(header.encode())
    assert begins == sorted(set(begins))
    assert all(token.match(header, begin) for begin in begins[:-1])


@pytest.mark.parametrize(
    "fields",
    [
        {"format": b""},
        {"format": b"\xff\0\0\x08"},
        {"format": b"0\0\0\x08"},
        {"format": b"u\0\0\0"},
        {"format": b"f\0\0\x10"},
        {"shape": 2 * (b"\x01" + bytes(5))},
        {"shape": 33 * (b"\0" + bytes(5))},
        {"shape": bytes(6) + 2 * (b"\0" + b"\xff" * 5)},
        {"name": b"\xff"},
        {"text": b"\xff"},
    ],
)
def test_a_malformed_descriptor_is_a_value_error(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        update(descriptor(**fields))


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"format": b"u\0\0\x20", "shape": bytes(5) + b"\2"}, b"seven b"),
        ({"format": b"u\0\0\x40"}, 5),
        ({"format": b"u\0\0\x0c", "shape": bytes(5) + b"\3"}, b"four"),
        ({"shape": b"\0" + b"\xff" * 5}, b"abc"),
        ({"format": b"c\0\0\x08", "shape": b"\1" + bytes(5)}, b"ab\xff"),
        ({"header": header_of("'<U1'", shape="()")}, b"\xff\xff\xff\xff"),
    ],
)
def test_a_malformed_value_is_a_value_error(fields: dict[str, Any], value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        update(descriptor(**fields), value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello world",
        bytes(64),
        descriptor(id=None),
        descriptor(id=0),
        descriptor()[:-1],
        descriptor().replace(b"S\x04", b"S\x03"),
        b"\x53\x04\x00\x08" + descriptor()[4:],
        b"\x53\x04\x03\x05\x00\x00\xff\xff" + descriptor()[8:],
        packet([(1, 0x14, ITEM)], b"abc", length=4),
        packet([(1, 0x14, ITEM)], b"abc", offset=1),
        packet([(1, 0x14, ITEM), (0, 0x10, 9)], b"abc"),
        packet([(0, 0x14, 0)], b"abc"),
        packet([(1, 0x14, ITEM), (0, 2, 4)], b"abc"),
    ],
    ids=lambda raw: raw[:40].hex(),
)
def test_what_is_no_descriptor_is_not_there(raw: bytes) -> None:
    group = pyspin.ItemGroup()
    assert group.update(FakeHeap([raw], [])) == {}
    assert len(group) == 0


def test_a_descriptor_may_come_in_several_packets_in_any_order() -> None:
    pointers = [(1, 0x14, ITEM), (0, 0x10, 0), (0, 0x13, 4)]
    payload = b"nameu\0\0\x10"
    first = packet(pointers, payload[:5])
    second = packet(pointers, payload[5:], offset=5)
    for raw in (first + second, second + first, first + first + second):
        assert update(raw, b"\1\2")["name"].value == 0x0102


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_an_addressed_number_of_the_header_ends_no_item(number: int) -> None:
    raw = packet([(1, 0x14, ITEM), (0, 0x10, 0), (0, number, 2), (0, 0x13, 4)], b"nameu\0\0\x10")
    assert update(raw, b"\1\2")["name"].value == 0x0102


@pytest.mark.parametrize("second", [descriptor(id=ITEM + 1), descriptor(b"u\0\0\x08i\0\0\x08")])
def test_of_two_descriptors_in_one_item_the_first_counts(second: bytes) -> None:
    assert update(descriptor(b"u\0\0\x08") + second, b"\5")["name"].value == 5


def test_a_packet_of_another_heap_is_not_part_of_a_descriptor() -> None:
    first = packet([(1, 0x14, ITEM), (0, 0x10, 0)], b"name")
    for other in (packet([], b"x", offset=4, cnt=2), packet([], b"x", offset=4, hab=48)):
        raw = pyspin.RawDescriptor.decode(first + other)
        assert raw is not None
        assert raw.name == b"name"


def test_tiny_packets_without_end_are_not_all_looked_at() -> None:
    name = [(1, 0x14, ITEM), (0, 0x10, 0)]
    tiny = b"".join(packet(name, b"x", offset=i) for i in range(nested.MAX_PACKETS + 5))
    raw = pyspin.RawDescriptor.decode(tiny)
    assert raw is not None
    assert len(raw.name) == nested.MAX_PACKETS


def test_a_trailing_part_of_a_field_is_dropped() -> None:
    assert update(descriptor(b"u\0\0\x08u"), 5)["name"].value == 5
    assert update(descriptor(shape=b"\0\0\0\0\0\2\0"), b"ab")["name"].value.tolist() == [97, 98]


def test_surplus_bytes_are_ignored() -> None:
    raw = descriptor(b"u\0\0\x10", bytes(5) + b"\2")
    assert update(raw, b"abcdefg")["name"].value.tolist() == [0x6162, 0x6364]


def test_the_leading_bytes_of_an_immediate_are_padding() -> None:
    variable = b"\1" + bytes(5)
    assert update(descriptor(), 0x01_02_03_04_05)["name"].value == 5
    values = update(descriptor(b"u\0\0\x10", variable), 0x01_02_03_04_05)["name"].value
    assert values.tolist() == [0x0203, 0x0405]
    assert update(descriptor(b"c\0\0\x08", bytes(5) + b"\2"), 0x6162)["name"].value == "ab"
    assert update(descriptor(shape=bytes(6)), 5)["name"].value.shape == (0,)
    values = update(descriptor(shape=bytes(5) + b"\3"), 0x01_02_03_04_05)["name"].value
    assert values.tolist() == [3, 4, 5]
    assert values.flags.writeable


def test_an_item_without_descriptor_is_skipped_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unknown = [RawItem(0x2345, b"x"), RawItem(0x2346, 1), RawItem(6, 1)]
    assert pyspin.ItemGroup().update(FakeHeap([], unknown)) == {}
    [record] = caplog.records
    assert "0x2345" in record.getMessage()


def test_reserved_items_have_no_values() -> None:
    heap = FakeHeap([descriptor(id=6)], [RawItem(6, 2)])
    group = pyspin.ItemGroup()
    assert group.update(heap) == {}
    assert list(group.ids()) == [6]


def test_what_came_before_an_error_has_been_taken() -> None:
    group = pyspin.ItemGroup()
    group.add_item(ITEM, "a", "", (), format=[("u", 8)])
    group.add_item(ITEM + 1, "b", "", (9,), format=[("u", 8)])
    with pytest.raises(ValueError, match="'b' needs 9 bytes"):
        group.update(FakeHeap([], [RawItem(ITEM, b"x"), RawItem(ITEM + 1, b"x")]))
    assert group["a"].value == ord("x")
    assert group["b"].value is None


def test_the_last_of_two_values_wins() -> None:
    heap = FakeHeap([descriptor()], [RawItem(ITEM, 1), RawItem(ITEM, 2)])
    assert pyspin.ItemGroup().update(heap)["name"].value == 2


def test_new_order_decides_the_byte_order() -> None:
    raw = descriptor(header=header_of("'>u2'"))
    for order, expected in (("=", "=u2"), ("|", ">u2"), (">", ">u2"), ("<", "<u2")):
        heap = FakeHeap([raw], [RawItem(ITEM, bytes(range(6)))])
        value = pyspin.ItemGroup().update(heap, order)["name"].value
        assert value.dtype == np.dtype(expected)
        assert value.tolist() == [0x0001, 0x0203, 0x0405]


def test_an_incomplete_heap_is_refused() -> None:
    class Incomplete:
        flavour = pyspin.Flavour()

        def get_items(self) -> list[Any]:
            return []

    for heap in (Incomplete(), None):
        with pytest.raises(AttributeError, match=r"heap must have get_descriptors.*(Incomp|None)"):
            pyspin.ItemGroup().update(heap)


fields = st.binary(max_size=24)


@settings(max_examples=100)
@given(fields, fields, st.binary(max_size=40), fields, st.integers(0, 7), st.binary(max_size=40))
def test_arbitrary_fields_raise_nothing_else(
    format: bytes, shape: bytes, header: bytes, name: bytes, mask: int, value: bytes
) -> None:
    raw = descriptor(format, shape, header, name=name)
    try:
        for item in update(raw, value, mask).values():
            repr(item.value)
    except ValueError:
        pass


@settings(max_examples=150)
@given(st.data())
def test_a_damaged_descriptor_raises_nothing_else(data: st.DataObject) -> None:
    good = [descriptor(shape=b"\1" + bytes(5)), descriptor(header=header_of())]
    raw = bytearray(data.draw(st.sampled_from(good)))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        for item in update(bytes(raw), bytes(range(16))).values():
            repr(item.value)
    except ValueError:
        pass


TOKENS = ["{", "}", "(", ")", "[", "]", ",", ":", "'descr'", "'fortran_order'", "'shape'"]
TOKENS += [
    "False",
    "True",
    "None",
    "0",
    "3",
    "-",
    "'<f4'",
    "'a'",
    "'V3'",
    "'|O'",
    " ",
    "\n",
    "b",
    "\\",
]


@settings(max_examples=150)
@given(st.lists(st.sampled_from(TOKENS), max_size=30).map("".join), st.sampled_from(["d", "s", ""]))
def test_headers_of_likely_tokens_raise_nothing_else(text: str, where: str) -> None:
    header = {"d": header_of(text), "s": header_of(shape=text), "": text.encode()}[where]
    try:
        for item in update(descriptor(header=header), bytes(64)).values():
            repr(item.value)
    except ValueError:
        pass
