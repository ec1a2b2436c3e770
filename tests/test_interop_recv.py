# SPDX-License-Identifier: Apache-2.0
"""What spead2 4.5.1 sends, received here and by spead2 itself: the same heaps and values."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import packets as p
import pytest
import spead2
import spead2.recv
import spead2.send
from patience import PATIENCE
from receiving import bind, enlarge_buffer, send

import pyspin
import pyspin.recv

HABS = [16, 24, 32, 40, 48, 56]
COUNTERS = ["heaps", "packets", "incomplete_heaps_evicted", "incomplete_heaps_flushed"]

FORMATS: list[tuple[str, Any, Any, Any]] = [
    # name, shape, format, value
    ("u8", (5,), [("u", 8)], [0, 1, 2, 254, 255]),
    ("u12", (3,), [("u", 12)], [0xABC, 0xDEF, 0x123]),
    ("u16", (2, 2), [("u", 16)], [[1, 2], [3, 65535]]),
    ("u24", (2,), [("u", 24)], [1, 2**24 - 1]),
    ("u32", (), [("u", 32)], 2**32 - 1),
    ("u64", (2,), [("u", 64)], [1, 2**64 - 1]),
    ("u100", (2,), [("u", 100)], [5, 2**100 - 1]),
    ("u1", (9,), [("u", 1)], [1, 0, 1, 1, 0, 0, 1, 0, 1]),
    ("i8", (3,), [("i", 8)], [-128, 0, 127]),
    ("i12", (3,), [("i", 12)], [-1348, -529, 291]),
    ("i16", (2,), [("i", 16)], [-32768, 32767]),
    ("i32", (2,), [("i", 32)], [-(2**31), 2**31 - 1]),
    ("i64", (), [("i", 64)], -5),
    ("f32", (2,), [("f", 32)], [1.5, -2.25]),
    ("f64", (2,), [("f", 64)], [np.pi, -1e300]),
    ("b8", (3,), [("b", 8)], [True, False, True]),
    ("b1", (3,), [("b", 1)], [True, False, True]),
    ("c8", (None,), [("c", 8)], "a string"),
    ("c8 fixed", (4,), [("c", 8)], "four"),
    ("variable", (None, 2), [("u", 16)], [[1, 2], [3, 4], [5, 6]]),
    ("variable last", (2, None), [("i", 4)], [[1, 2, -3], [4, 5, -6]]),
    ("mixed", (2,), [("b", 1), ("i", 7), ("c", 8), ("f", 32)], [(True, 17, b"y", 1.0)] * 2),
    ("pairs", (2,), [("u", 16), ("f", 64)], [(1, 2.0), (3, 4.0)]),
]

DTYPES = [
    "?", "i1", "u1", "<i2", ">i2", "<u2", ">u2", "<i4", ">i4", "<u4", ">u4", "<i8", ">i8",
    "<u8", ">u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8", "<c8", ">c8", "<c16", ">c16", "S5",
]  # fmt: skip


def fill(group: Any) -> None:
    """Add to a sending group an item of every format and dtype."""
    for index, (name, shape, format, value) in enumerate(FORMATS):
        group.add_item(0x1000 + index, name, f"about {name}", shape, format=format, value=value)
    generator = np.random.default_rng(1)
    for index, dtype in enumerate(DTYPES):
        raw = generator.integers(0, 100, (2, 3))
        for offset, order in ((0x40, "C"), (0x80, "F")):
            group.add_item(
                0x1000 + offset + index,
                f"{dtype} {order}",
                "",
                (2, 3),
                dtype,
                order,
                value=raw.astype(dtype),
            )
    struct = np.dtype([("re", "<i2"), ("im", ">f4"), ("pad", "u1", (2,))])
    group.add_item(0x10F0, "struct", "", (2,), struct, value=np.zeros(2, struct))


def flavour(hab: int, bug_compat: int = 0) -> Any:
    return spead2.Flavour(4, 64, hab, bug_compat)


def packets_of(heap: Any, cnt: int, size: int) -> list[bytes]:
    return [bytes(packet) for packet in spead2.send.PacketGenerator(heap, cnt, size)]


def small_group_heap(hab: int = 48, bug_compat: int = 0, descriptors: str = "all") -> Any:
    first = 0x1001 if hab <= 48 else 0x41  # identifiers have 63 - hab bits
    group = spead2.send.ItemGroup()
    group.add_item(first, "x", "an array", (7, 9), ">u4", value=np.arange(63).reshape(7, 9))
    group.add_item(first + 1, "n", "a number", (), format=[("u", hab)], value=1234)
    group.add_item(first + 2, "s", "a string", (None,), format=[("c", 8)], value="hello")
    generator = spead2.send.HeapGenerator(group, flavour=flavour(hab, bug_compat))
    return generator.get_heap(descriptors=descriptors, data="all")


def peer(data: bytes, bug_compat: int = 0, max_heaps: int = 4) -> tuple[list[Any], Any]:
    """Return the heaps of spead2's receiver and its counters, under the rules of the contract."""
    config = spead2.recv.StreamConfig(
        bug_compat=bug_compat, max_heaps=max_heaps, allow_out_of_order=True
    )
    ring = spead2.recv.RingStreamConfig(contiguous_only=False, incomplete_keep_payload_ranges=True)
    stream = spead2.recv.Stream(spead2.ThreadPool(), config, ring)
    stream.add_buffer_reader(data)
    heaps = list(stream)
    stream.stop()
    return heaps, stream.stats


def ours(data: bytes, bug_compat: int = 0, max_heaps: int = 4) -> tuple[list[Any], Any]:
    stream = pyspin.recv.Stream(pyspin.ThreadPool(), bug_compat, max_heaps, 4, False, True)
    stream.add_buffer_reader(data)
    return list(stream), stream.stats


def look(heap: Any) -> dict[str, Any]:
    """Return what both libraries tell of a heap."""
    seen = {
        "cnt": heap.cnt,
        "hab": heap.flavour.heap_address_bits,
        "bug_compat": heap.flavour.bug_compat,
        "start": heap.is_start_of_stream(),
        "end": heap.is_end_of_stream(),
        "items": [
            (item.id, item.is_immediate, bytes(memoryview(item))) for item in heap.get_items()
        ],
    }
    if "Incomplete" in type(heap).__name__:
        seen["lengths"] = (heap.heap_length, heap.received_length)
        seen["ranges"] = list(heap.payload_ranges)
    else:
        seen["descriptors"] = [
            (raw.id, bytes(raw.name), bytes(raw.description), bytes(raw.numpy_header))
            for raw in heap.get_descriptors()
        ]
    return seen


def assert_same_value(left: Any, right: Any) -> None:
    if isinstance(left, np.ndarray):
        assert isinstance(right, np.ndarray)
        # Where fields are packed without regard to bytes the peer leaves floats as on the wire.
        assert left.dtype == right.dtype.newbyteorder("=")
        assert left.shape == right.shape
        assert repr(left.tolist()) == repr(right.tolist())
    else:
        assert type(left) is type(right)
        assert left == right


def assert_same_values(left: list[Any], right: list[Any]) -> None:
    """Feed the complete heaps to the item groups of both libraries and compare."""
    left_group, right_group = pyspin.ItemGroup(), spead2.ItemGroup()
    for left_heap, right_heap in zip(left, right, strict=True):
        if "Incomplete" in type(right_heap).__name__:
            continue
        left_new, right_new = left_group.update(left_heap), right_group.update(right_heap)
        assert sorted(left_new) == sorted(right_new)
        for name, item in left_new.items():
            assert_same_value(item.value, right_new[name].value)
            assert (item.id, item.description) == (right_new[name].id, right_new[name].description)


def assert_same(data: bytes, bug_compat: int = 0, max_heaps: int = 4) -> int:
    """Compare all that both receivers make of the data; return the number of heaps."""
    left, left_stats = ours(data, bug_compat, max_heaps)
    right, right_stats = peer(data, bug_compat, max_heaps)
    assert list(map(look, left)) == list(map(look, right))
    assert {name: getattr(left_stats, name) for name in COUNTERS} == {
        name: getattr(right_stats, name) for name in COUNTERS
    }
    assert_same_values(left, right)
    return len(left)


@pytest.mark.parametrize("size", [56, 64, 200, 1472, 9000, 65507])
@pytest.mark.parametrize("hab", HABS)
def test_every_flavour_and_packet_size(hab: int, size: int) -> None:
    data = packets_of(small_group_heap(hab), 1, size) + packets_of(small_group_heap(hab), 2, size)
    assert assert_same(b"".join(data)) == 2


@pytest.mark.parametrize("bug_compat", range(8))
@pytest.mark.parametrize("hab", [40, 48])
def test_every_bug(hab: int, bug_compat: int) -> None:
    data = packets_of(small_group_heap(hab, bug_compat), 1, 1472)
    assert assert_same(b"".join(data), bug_compat) == 1


@pytest.mark.parametrize("bug_compat", range(8))
def test_every_format_and_dtype(bug_compat: int) -> None:
    group = spead2.send.ItemGroup()
    fill(group)
    generator = spead2.send.HeapGenerator(group, flavour=flavour(40, bug_compat))
    data = packets_of(generator.get_heap(), 1, 1472)
    data += packets_of(generator.get_heap(descriptors="none", data="all"), 2, 9000)
    assert assert_same(b"".join(data), bug_compat) == 2


def test_values_are_those_that_were_sent() -> None:
    group = spead2.send.ItemGroup()
    fill(group)
    heaps, _ = ours(b"".join(packets_of(group_heap(group), 1, 1472)))
    received = pyspin.ItemGroup()
    received.update(heaps[0])
    for name, item in group.items():
        if item.format is None:
            np.testing.assert_array_equal(received[name].value, item.value)


def group_heap(group: Any) -> Any:
    return spead2.send.HeapGenerator(group).get_heap(descriptors="all", data="all")


@pytest.mark.parametrize("count", [0, 1, 2, 176, 177, 178, 179, 356, 357, 1000])
def test_many_items(count: int) -> None:
    # At 1472 bytes a packet holds 178 pointers.
    heap = spead2.send.Heap(flavour(48))
    for index in range(count):
        value = np.arange(index % 5 + 1, dtype=np.uint8)
        heap.add_item(spead2.Item(0x1000 + index, f"i{index}", "", value.shape, "u1", value=value))
    assert assert_same(b"".join(packets_of(heap, 1, 1472))) == 1


def test_start_stop_and_what_follows() -> None:
    heap = spead2.send.Heap(flavour(40))
    heap.add_start()
    data = packets_of(heap, 1, 1472) + packets_of(small_group_heap(40), 2, 1472)
    stop = spead2.send.Heap(flavour(40))
    stop.add_end()
    data += packets_of(stop, 3, 1472) + packets_of(small_group_heap(40), 4, 1472)
    assert assert_same(b"".join(data)) == 2


def test_descriptors_that_come_again_change_nothing() -> None:
    group = spead2.send.ItemGroup()
    item = group.add_item(None, "x", "", (3,), "<f4", value=np.zeros(3, "<f4"))
    generator = spead2.send.HeapGenerator(group, descriptor_frequency=2)
    data = b""
    for cnt in range(1, 8):
        item.value = np.full(3, cnt, "<f4")
        data += b"".join(packets_of(generator.get_heap(), cnt, 1472))
    received = pyspin.ItemGroup()
    objects = set()
    for cnt, heap in enumerate(ours(data)[0], 1):
        assert list(received.update(heap)) == ["x"]
        np.testing.assert_array_equal(received["x"].value, [cnt] * 3)
        objects.add(id(received["x"]))
    assert len(objects) == 1
    assert assert_same(data) == 7


@pytest.mark.parametrize("repeat", [False, True])
def test_unsized_heaps(repeat: bool) -> None:
    data = [
        packet
        for cnt in range(1, 9)
        for packet in p.heap_packets(
            cnt, bytes(range(100)), [p.addressed(0x1000, 0)], 16, sized=False, repeat=repeat
        )
    ]
    assert assert_same(b"".join(data)) == 8


def shuffle_near(packets: list[bytes], generator: random.Random) -> list[bytes]:
    keys = [(index + generator.uniform(0, 20), packet) for index, packet in enumerate(packets)]
    return [packet for _, packet in sorted(keys, key=lambda pair: pair[0])]


def disturbances(generator: random.Random) -> list[Callable[[list[bytes]], list[bytes]]]:
    return [
        lambda packets: shuffle_near(packets, generator),
        lambda packets: generator.sample(packets, len(packets)),
        lambda packets: [packet for packet in packets if generator.random() > 0.1],
        lambda packets: [q for q in packets for _ in range(generator.choice([1, 1, 1, 2]))],
    ]


@pytest.mark.parametrize("seed", range(40))
def test_packets_shuffled_dropped_and_repeated(seed: int) -> None:
    generator = random.Random(seed)
    size = generator.choice([56, 72, 200, 1472])
    hab = generator.choice(HABS)
    packets = [q for cnt in range(1, 8) for q in packets_of(small_group_heap(hab), cnt, size)]
    for disturb in generator.sample(disturbances(generator), generator.randint(1, 3)):
        packets = disturb(packets)
    assert_same(b"".join(packets), 0, generator.choice([1, 2, 4, 8]))


def has_large_buffers() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        return enlarge_buffer(own) >= 1 << 20


# The smallest packets are 900, for each of which the kernel charges 768 bytes.
small = pytest.param(
    56, marks=pytest.mark.skipif(not has_large_buffers(), reason="net.core.rmem_max is small")
)


@pytest.mark.parametrize("size", [small, 1000, 1472, 9000, 65507])
@pytest.mark.parametrize("gro", [True, False])
def test_over_udp(size: int, gro: bool) -> None:
    group = spead2.send.ItemGroup()
    fill(group)
    # Of packets that fit in any socket's buffer: the sender does not wait for us.
    big = np.arange(20_000 if size > 56 else 100, dtype=np.uint32)
    item = group.add_item(0x2000, "big", "", big.shape, big.dtype, value=big)
    generator = spead2.send.HeapGenerator(group)
    with pyspin.recv.Stream(pyspin.ThreadPool(), ring_heaps=8) as stream:
        port = bind(stream, max_size=65507, gro=gro)
        sender = spead2.send.UdpStream(
            spead2.ThreadPool(),
            [("127.0.0.1", port)],
            spead2.send.StreamConfig(max_packet_size=size, rate=200e6),
        )
        received = pyspin.ItemGroup()
        for _ in range(3):
            item.value = item.value + 1
            sender.send_heap(generator.get_heap(data="all"))
            updated = received.update(stream.get(timeout=PATIENCE))
            assert sorted(updated) == sorted(group.keys())
            np.testing.assert_array_equal(received["big"].value, item.value)
        sender.send_heap(generator.get_end())
        assert list(stream) == []
        # 56 bytes do not hold the last byte of the stop heap, so that is partial and counts.
        assert stream.stats.heaps == 3 + (size == 56)


def test_the_peers_receiver_agrees_over_udp() -> None:
    data = packets_of(small_group_heap(), 1, 200)
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        send(data, bind(stream))
        [right], _ = peer(b"".join(data))
        left = stream.get(timeout=PATIENCE)
        assert look(left) == look(right)
        assert_same_values([left], [right])
