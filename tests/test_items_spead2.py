# SPDX-License-Identifier: Apache-2.0
"""Items against spead2: each side reads what the other has written."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import spead2
import spead2.recv
import spead2.send

import pyspin
import pyspin.recv
import pyspin.send

HEAP_ADDRESS_BITS = range(16, 57, 8)
MASKS = range(8)
THREADS = pyspin.ThreadPool()


def spead2_packets(items: list[dict[str, Any]], flavour: Any) -> bytes:
    """Return a heap with descriptors and values of `items`, as spead2 sends it."""
    group = spead2.send.ItemGroup()
    for item in items:
        group.add_item(**item)
    stream = spead2.send.BytesStream(
        spead2.ThreadPool(), spead2.send.StreamConfig(max_packet_size=9000)
    )
    stream.send_heap(spead2.send.HeapGenerator(group, flavour=flavour).get_heap())
    return bytes(stream.getvalue())


def spead2_heap(packets: bytes, bug_compat: int = 0) -> Any:
    config = spead2.recv.StreamConfig(bug_compat=bug_compat)
    stream = spead2.recv.Stream(spead2.ThreadPool(), config)
    stream.add_buffer_reader(packets)
    return stream.get()


def pyspin_heap(packets: bytes, bug_compat: int = 0) -> Any:
    stream = pyspin.recv.Stream(THREADS, bug_compat)
    stream.add_buffer_reader(packets)
    return stream.get()


def assert_same(ours: Any, theirs: Any) -> None:
    """Compare values, and that they are what the contract calls them."""
    if isinstance(theirs, np.ndarray | np.generic):
        assert isinstance(ours, np.ndarray) == isinstance(theirs, np.ndarray)
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype.newbyteorder("=")
        assert repr(ours.tolist()) == repr(theirs.tolist())
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


def check_both_ways(shape: Any, value: Any, *, bits: int = 40, mask: int = 0, **type_: Any) -> None:
    """Send with both, compare all bytes, and read with pyspin what spead2 sent."""
    fields = {"id": 0x55, "name": "name", "description": "text", "shape": shape, **type_}
    flavour = spead2.Flavour(4, 64, bits, mask)
    packets = spead2_packets([{**fields, "value": value}], flavour)

    theirs = spead2.ItemGroup().update(spead2_heap(packets, mask))
    ours = pyspin.ItemGroup().update(pyspin_heap(packets, mask))
    through_peer = pyspin.ItemGroup().update(spead2_heap(packets, mask))
    assert ours.keys() == through_peer.keys() == theirs.keys()
    for name, item in ours.items():
        assert_same(through_peer[name].value, theirs[name].value)
        assert_same(item.value, theirs[name].value)
        assert item.shape == theirs[name].shape
        assert item.dtype == theirs[name].dtype
        assert item.order == theirs[name].order
        assert item.format == theirs[name].format

    group = pyspin.send.ItemGroup()
    item = group.add_item(**fields, value=value)
    sender = pyspin.send.BytesStream(THREADS, pyspin.send.StreamConfig(max_packet_size=9000))
    ours_flavour = pyspin.Flavour(4, 64, bits, mask)
    sender.send_heap(pyspin.send.HeapGenerator(group, flavour=ours_flavour).get_heap())
    assert sender.getvalue() == packets

    peer = spead2.Item(**fields, value=value)
    assert np.asarray(item.to_buffer()).tobytes() == np.asarray(peer.to_buffer()).tobytes()


SCALARS: dict[str, Any] = {"u": 1, "i": -1, "f": -1.5, "b": True, "c": "x"}
FORMATS = [
    *[("u", n) for n in (1, 2, 7, 8, 9, 12, 16, 24, 31, 32, 33, 48, 56, 57, 63, 64, 65, 100, 128)],
    *[("i", n) for n in (1, 2, 7, 8, 9, 12, 16, 24, 31, 32, 33, 48, 56, 57, 63, 64, 65, 100, 128)],
    *[("b", n) for n in (1, 3, 8, 16, 60, 72)],
    ("f", 32),
    ("f", 64),
    ("c", 8),
]


@pytest.mark.parametrize("field", FORMATS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (None,), (2, None)])
def test_every_format_code(field: tuple[str, int], shape: Any) -> None:
    actual = tuple(4 if size is None else size for size in shape)
    value = np.full(actual, SCALARS[field[0]], object).tolist()
    if field[0] == "c" and len(shape) == 1:
        value = "wxyz"[: actual[0]]
    if field in (("i", 24), ("i", 48), ("i", 56)) and not shape:
        value = 1  # spead2 cannot send negative ones
    check_both_ways(shape, value, format=[field])


@pytest.mark.parametrize(
    ("format", "value"),
    [
        ([("b", 1), ("i", 7), ("c", 8), ("f", 32)], (True, 17, "y", 1.0)),
        ([("u", 8), ("f", 32)], (200, 1.5)),
        ([("c", 8), ("c", 8)], ("a", "b")),
        ([("u", 12), ("c", 8), ("f", 64), ("u", 3)], (4095, "z", 1e300, 5)),
        ([("f", 32), ("i", 100), ("b", 2)], (1.5, -(1 << 99), False)),
    ],
)
@pytest.mark.parametrize("shape", [(), (1,), (3, 2), (None,)])
def test_formats_of_several_fields(format: Any, value: Any, shape: Any) -> None:
    actual = tuple(9 if size is None else size for size in shape)
    values = np.empty(actual, object)
    values.fill(value)
    check_both_ways(shape, values.tolist() if shape else value, format=format)


DTYPES = [
    "?", "b", "B", "h", "H", "i", "I", "q", "Q", "e", "f", "d", "F", "D", "S1", "S5", "U3", "V7",
    "<u2", ">u2", "<f4", ">f4", ">f8", ">c8", ">U2",
    "f4,i2",
    [("a", ">u2"), ("b", "<f8")],
    [("a", ">u2", (3,)), ("b", [("c", "<f8"), ("d", "S2")])],
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_every_dtype(dtype: Any, order: str, shape: Any) -> None:
    raw = bytes(range(1, 13)) * np.dtype(dtype).itemsize
    if "?" in str(dtype):
        raw = bytes([0, 1, 1, 0]) * 3
    if "U" in str(dtype):
        raw = np.full(36, ord("x"), dtype[:1].replace("U", "=") + "u4").tobytes()
    value = np.frombuffer(raw, dtype, 6)[: int(np.prod(shape))].reshape(shape)
    with np.errstate(all="ignore"):
        value = np.nan_to_num(value) if np.dtype(dtype).kind in "fc" else value
        check_both_ways(shape, value if shape else value[()], dtype=dtype, order=order)


@pytest.mark.parametrize("bits", HEAP_ADDRESS_BITS)
@pytest.mark.parametrize("mask", MASKS)
def test_every_flavour_and_mask(bits: int, mask: int) -> None:
    check_both_ways((2, 3), np.arange(6.0).reshape(2, 3), dtype="<f4", bits=bits, mask=mask)
    check_both_ways((2, None), [[1, 2, 3], [4, 5, 6]], format=[("u", 12)], bits=bits, mask=mask)
    check_both_ways((), -5, format=[("i", 16)], bits=bits, mask=mask)
    check_both_ways((None,), "hello", format=[("c", 8)], bits=bits, mask=mask)
