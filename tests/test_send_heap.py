# SPDX-License-Identifier: Apache-2.0
"""Heaps and their packets, against bytes written from the protocol."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import packets
import pytest

from pyspin import Descriptor, Flavour, Item
from pyspin.send import BytesStream, Heap, PacketGenerator, StreamConfig


def make_item(value, id=0x1000, **kwargs):
    value = np.asarray(value)
    return Item(id, "name", "", value.shape, value.dtype, value=value, **kwargs)


def generate(heap, cnt=1, max_packet_size=1472):
    return list(PacketGenerator(heap, cnt, max_packet_size))


def test_an_empty_heap_has_one_byte_of_padding():
    expected = packets.data_packet(7, b"\0", 0, 1, [packets.addressed(0, 0)])
    assert [sorted_prefix(p) for p in generate(Heap(), 7)] == [sorted_prefix(expected)]


def sorted_prefix(packet):
    """Return the packet with its four mandatory pointers sorted, as their order is free."""
    pointers = sorted(packet[8 + 8 * i : 16 + 8 * i] for i in range(4))
    return packet[:8] + b"".join(pointers) + packet[40:]


def test_a_large_item_fills_packets():
    value = np.arange(3000, dtype=np.uint8)
    heap = Heap()
    heap.add_item(make_item(value))
    got = generate(heap, 5, 1000)
    payload = value.tobytes()
    first = packets.data_packet(5, payload[:952], 0, 3000, [packets.addressed(0x1000, 0)])
    second = packets.data_packet(5, payload[952:1912], 952, 3000)
    assert [len(p) for p in got] == [1000, 1000, 1000, 168]
    assert sorted_prefix(got[0]) == sorted_prefix(first)
    assert sorted_prefix(got[1]) == sorted_prefix(second)


def test_a_small_value_goes_inside_its_pointer():
    heap = Heap()
    heap.add_item(make_item(np.array(1.0, "<f4")))
    (packet,) = generate(heap)
    assert packet[40:48] == packets.immediate(0x1000, 0x0000803F)


def test_a_value_of_variable_size_never_does():
    heap = Heap()
    heap.add_item(Item(0x1000, "n", "", (None,), format=[("u", 8)], value=[1, 2]))
    (packet,) = generate(heap)
    assert packet[40:48] == packets.addressed(0x1000, 0)
    assert packet.endswith(b"\1\2")


@pytest.mark.parametrize(("end", "value"), [(False, 0), (True, 2)])
def test_control_messages(end, value):
    heap = Heap(Flavour(4, 64, 48))
    heap.add_end() if end else heap.add_start()
    (packet,) = generate(heap)
    assert len(packet) == 57
    assert packet[40:48] == packets.immediate(6, value, 48)


def test_a_descriptor_is_a_nested_packet():
    heap = Heap()
    heap.add_descriptor(Descriptor(0x1000, "abc", "def", (3, None), format=[("u", 12)]))
    (packet,) = generate(heap)
    nested = packets.descriptor(0x1000, "abc", "def", (3, None), [("u", 12)])
    assert packet[40:48] == packets.addressed(5, 0)
    assert sorted_prefix(packet[48:]) == sorted_prefix(nested)


def test_values_are_sent_from_their_own_memory():
    value = np.zeros(100, np.uint8)
    heap = Heap()
    heap.add_item(make_item(value))
    before = generate(heap)
    value[:] = 7
    (after,) = generate(heap)
    assert before[0] != after
    assert after.endswith(b"\7" * 100)


def test_the_heap_holds_its_values():
    value = np.ones(1000, np.uint8)
    reference = weakref.ref(value)
    heap = Heap()
    heap.add_item(make_item(value))
    del value
    gc.collect()
    assert reference() is not None
    assert generate(heap)[0].endswith(b"\1" * 1000)
    del heap
    gc.collect()
    assert reference() is None


def test_a_generator_holds_the_heap():
    heap = Heap()
    heap.add_item(make_item(np.ones(1000, np.uint8)))
    generator = PacketGenerator(heap, 1, 1472)
    del heap
    gc.collect()
    assert next(generator).endswith(b"\1" * 1000)
    with pytest.raises(StopIteration):
        next(generator)
    with pytest.raises(StopIteration):
        next(generator)


def test_items_added_later_are_sent_later():
    heap = Heap()
    heap.add_item(make_item(np.ones(10, np.uint8)))
    first = generate(heap)
    heap.add_item(make_item(np.ones(10, np.uint8), id=0x1001))
    assert len(generate(heap)[0]) == len(first[0]) + 18


def test_pointers_can_be_repeated():
    heap = Heap()
    heap.add_item(make_item(np.arange(200, dtype=np.uint8)))
    assert not heap.repeat_pointers
    heap.repeat_pointers = True
    got = generate(heap, 1, 128)
    assert len(got) == 3
    assert all(packet[40:48] == packets.addressed(0x1000, 0) for packet in got)
    for i in range(10):
        heap.add_item(make_item(np.arange(8, dtype=np.uint8), id=0x1001 + i))
    with pytest.raises(ValueError, match="too small to repeat"):
        generate(heap, 1, 128)


def test_what_cannot_be_sent_is_refused():
    heap = Heap(Flavour(4, 64, 48))
    with pytest.raises(ValueError, match="id must be in"):
        heap.add_item(make_item(np.zeros(9, np.uint8), id=1 << 15))
    with pytest.raises(ValueError, match=r"id must be in 5\.\.32767, not 4"):
        heap.add_item(make_item(np.zeros(9, np.uint8), id=4))
    with pytest.raises(ValueError, match="no value"):
        heap.add_item(Item(0x1000, "n", "", (), np.uint8))
    with pytest.raises(ValueError, match="max_packet_size must be at least 56, not 55"):
        generate(heap, 1, 55)
    with pytest.raises(ValueError, match="cnt must be in"):
        generate(heap, 1 << 48)
    with pytest.raises(ValueError, match="cnt must be in"):
        generate(heap, -1)
    with pytest.raises(TypeError, match="flavour"):
        Heap("64-40")  # type: ignore[arg-type]


def test_a_heap_too_long_for_its_flavour_is_refused():
    heap = Heap(Flavour(4, 64, 8))
    heap.add_item(Item(5000, "n", "", (256,), np.uint8, value=np.zeros(256, np.uint8)))
    with pytest.raises(ValueError, match="too long for heap_address_bits 8"):
        generate(heap)


def test_bytes_stream_collects_packets():
    heap = Heap()
    heap.add_item(make_item(np.arange(3000, dtype=np.uint16)))
    stream = BytesStream(None, StreamConfig(max_packet_size=1000))
    first = stream.send_heap(heap)
    assert first == len(stream.getvalue())
    stream.send_heap(heap, 77)
    stream.send_heap(heap)
    stream.flush()
    expected = [packet for cnt in (1, 77, 2) for packet in generate(heap, cnt, 1000)]
    assert stream.getvalue() == b"".join(expected)


def test_bytes_stream_counts_in_sequence():
    heap = Heap(Flavour(4, 64, 16))
    stream = BytesStream(None)
    stream.set_cnt_sequence(0xFFFF, 2)
    stream.send_heap(heap)
    stream.send_heap(heap)
    expected = [packet for cnt in (0xFFFF, 1) for packet in generate(heap, cnt)]
    assert stream.getvalue() == b"".join(expected)
    with pytest.raises(ValueError, match="step"):
        stream.set_cnt_sequence(1, 0)


def test_bytes_stream_refuses_what_does_not_fit(caplog):
    stream = BytesStream(None)
    with pytest.raises(OSError, match="Invalid argument: cnt 65536 does not fit"):
        stream.send_heap(Heap(Flavour(4, 64, 16)), 1 << 16)
    assert "heap not sent: cnt 65536" in caplog.text
    with pytest.raises(OSError, match="Invalid argument: there is no substream 1"):
        stream.send_heap(Heap(), substream_index=1)
    with pytest.raises(TypeError, match="heap must be a Heap"):
        stream.send_heap(b"")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_packet_size"):
        BytesStream(None, StreamConfig(max_packet_size=20)).send_heap(Heap())
    with pytest.raises(TypeError, match="config"):
        BytesStream(None, 5)  # type: ignore[arg-type]
    assert stream.getvalue() == b""
