# SPDX-License-Identifier: Apache-2.0
"""Streams fed from memory: the contract of `pyspin.recv.Stream`."""

from __future__ import annotations

import array
import gc
import time

import numpy as np
import packets as p
import pytest
from receiving import InThread, heaps_of, small_heaps, stream_of, wait_until

import pyspin
import pyspin.recv
from pyspin._ffi import lib


@pytest.fixture
def stream() -> pyspin.recv.Stream:
    return pyspin.recv.Stream(pyspin.ThreadPool())


def cnts(heaps: list[pyspin.recv.Heap]) -> list[int]:
    return [heap.cnt for heap in heaps]


def test_iteration_ends_with_the_stream_and_stays_ended() -> None:
    stream = stream_of(small_heaps(10))
    assert cnts(list(stream)) == list(range(1, 11))
    assert iter(stream) is stream
    with pytest.raises(StopIteration):
        next(stream)
    with pytest.raises(StopIteration):
        next(stream)


def test_get_gives_what_was_queued_and_then_stopped() -> None:
    stream = stream_of(small_heaps(2))
    assert cnts([stream.get(), stream.get()]) == [1, 2]
    for _ in range(2):
        with pytest.raises(pyspin.Stopped):
            stream.get()
        with pytest.raises(pyspin.Stopped):
            stream.get_nowait()


def test_get_nowait_of_an_idle_stream_is_empty(stream: pyspin.recv.Stream) -> None:
    with pytest.raises(pyspin.Empty):
        stream.get_nowait()
    with pytest.raises(pyspin.Empty):
        stream.get_many_nowait(5)


def test_get_gives_up_after_a_timeout(stream: pyspin.recv.Stream) -> None:
    begin = time.monotonic()
    with pytest.raises(pyspin.Empty):
        stream.get(timeout=0.01)
    with pytest.raises(pyspin.Empty):
        stream.get_many(3, timeout=0)
    assert time.monotonic() - begin >= 0.01


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_timeout_must_be_a_time(stream: pyspin.recv.Stream, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must be at least 0"):
        stream.get(timeout=timeout)


def test_timeout_may_be_long() -> None:
    assert stream_of(small_heaps(1)).get(timeout=1e12).cnt == 1


def test_get_many_takes_what_is_there() -> None:
    stream = stream_of(small_heaps(10), ring_heaps=16)
    wait_until(lambda: stream.stopped, "end of the stream")
    assert cnts(stream.get_many(4)) == [1, 2, 3, 4]
    assert cnts(stream.get_many_nowait(4)) == [5, 6, 7, 8]
    assert cnts(stream.get_many(4, timeout=1)) == [9, 10]
    with pytest.raises(pyspin.Stopped):
        stream.get_many(4)


@pytest.mark.parametrize("count", [0, -1, 2**31])
def test_get_many_wants_a_count(stream: pyspin.recv.Stream, count: int) -> None:
    with pytest.raises(ValueError, match="max_count"):
        stream.get_many(count)


def test_more_heaps_than_the_ring_holds_arrive() -> None:
    stream = stream_of(small_heaps(1000), ring_heaps=1)
    assert cnts(list(stream)) == list(range(1, 1001))
    assert stream.stats.worker_blocked > 0
    assert stream.stats.ring_high_water == 1


def test_stats_are_final_when_iteration_ends() -> None:
    stream = stream_of([*small_heaps(3), *p.heap_packets(9, bytes(100), size=10)])
    assert len(list(stream)) == 4
    stats = stream.stats
    assert (stats.heaps, stats.packets, stats.max_batch) == (4, 13, 1)
    assert (stats.incomplete_heaps_evicted, stats.incomplete_heaps_flushed) == (0, 0)
    assert stats.worker_blocked in (0, 1)


def test_stats_of_a_stream_without_packets(stream: pyspin.recv.Stream) -> None:
    stats = stream.stats
    assert (stats.heaps, stats.packets, stats.max_batch, stats.datagrams) == (0, 0, 0, 0)
    with pytest.raises(AttributeError):
        stats.heaps = 1  # type: ignore[misc]


def test_incomplete_heaps_are_dropped_with_a_count() -> None:
    stream = stream_of(p.heap_packets(1, bytes(64), size=16)[1:])
    assert list(stream) == []
    stats = stream.stats
    assert (stats.heaps, stats.incomplete_heaps_flushed) == (1, 1)
    assert stats.heaps_dropped_incomplete == 1


def test_each_new_heap_evicts_the_one_max_heaps_before() -> None:
    begun = [p.data_packet(cnt, b"ab", 0, 4) for cnt in range(1, 6)]
    stream = stream_of(begun, max_heaps=3, contiguous_only=False)
    assert cnts(list(stream)) == [1, 2, 3, 4, 5]
    assert stream.stats.incomplete_heaps_evicted == 2
    assert stream.stats.incomplete_heaps_flushed == 3


def test_stop_item_ends_the_stream_and_is_not_delivered() -> None:
    data = [*small_heaps(2), p.stop_packet(3), *small_heaps(2, first=4)]
    stream = stream_of(data)
    assert cnts(list(stream)) == [1, 2]
    assert stream.stats.heaps == 2
    assert stream.stats.packets == 3


def test_stop_item_can_be_an_ordinary_heap() -> None:
    data = [*small_heaps(1), p.stop_packet(2), *small_heaps(1, first=3)]
    stream = pyspin.recv.Stream(pyspin.ThreadPool())
    assert stream.stop_on_stop_item is True
    stream.stop_on_stop_item = False
    assert stream.stop_on_stop_item is False
    stream.add_buffer_reader(b"".join(data))
    heaps = list(stream)
    assert [heap.is_end_of_stream() for heap in heaps] == [False, True, False]


def test_stop_wakes_every_waiter(stream: pyspin.recv.Stream) -> None:
    waiters = [InThread(stream.get) for _ in range(3)] + [InThread(stream.get_many, 3)]
    stream.stop()
    for waiter in waiters:
        with pytest.raises(pyspin.Stopped):
            waiter.result()
    stream.stop()


def test_stop_with_a_full_ring_and_no_reader() -> None:
    stream = stream_of(small_heaps(10), ring_heaps=4)
    wait_until(lambda: stream.stats.worker_blocked == 1, "full ring")
    InThread(stream.stop).result()
    assert cnts(list(stream)) == [1, 2, 3, 4]


def test_leaving_the_block_stops(stream: pyspin.recv.Stream) -> None:
    with stream as entered:
        assert entered is stream
        assert not stream.stopped
    assert stream.stopped
    with pytest.raises(pyspin.Stopped):
        stream.get()


def test_readers_after_stop_are_ignored(stream: pyspin.recv.Stream) -> None:
    stream.stop()
    stream.add_buffer_reader(small_heaps(1)[0])
    stream.add_udp_reader(1)
    assert stream.stats.packets == 0


def test_an_empty_buffer_stops_at_once() -> None:
    assert heaps_of(b"") == []


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        bytearray,
        memoryview,
        lambda data: array.array("B", data),
        lambda data: np.frombuffer(data, np.uint8),
        lambda data: np.frombuffer(data, ">u8").reshape(2, -1),
        lambda data: np.frombuffer(data, "M8[s]"),
    ],
)
def test_buffers_of_every_kind(make: object, stream: pyspin.recv.Stream) -> None:
    data = b"".join(small_heaps(2))
    assert len(data) % 16 == 0
    stream.add_buffer_reader(make(data))  # type: ignore[operator]
    assert cnts(list(stream)) == [1, 2]


def test_buffers_must_be_buffers_and_contiguous(stream: pyspin.recv.Stream) -> None:
    with pytest.raises(TypeError):
        stream.add_buffer_reader("text")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="C-contiguous"):
        stream.add_buffer_reader(memoryview(bytes(16))[::2])
    with pytest.raises(ValueError, match="C-contiguous"):
        stream.add_buffer_reader(np.zeros((4, 4), order="F")[1:])


def test_a_buffer_is_held_until_stop(stream: pyspin.recv.Stream) -> None:
    data = bytearray(b"".join(small_heaps(2)))
    stream.add_buffer_reader(data)
    assert len(list(stream)) == 2
    with pytest.raises(BufferError):
        data.clear()
    stream.stop()
    data.clear()


def test_a_stopped_stream_holds_no_buffer(stream: pyspin.recv.Stream) -> None:
    data = bytearray(b"".join(small_heaps(2)))
    stream.stop()
    stream.add_buffer_reader(data)
    data.clear()


def test_the_last_reference_stops_and_frees() -> None:
    def fill_a_ring() -> None:
        stream = stream_of(small_heaps(100), ring_heaps=2)
        wait_until(lambda: stream.stats.worker_blocked == 1, "full ring")
        assert lib.spn_heaps_live() >= 2

    fill_a_ring()
    gc.collect()
    assert lib.spn_heaps_live() == 0


def test_a_heap_outlives_its_stream() -> None:
    [heap] = heaps_of(p.heap_packets(1, b"payload", [p.addressed(0x1000, 0)]))
    gc.collect()
    assert bytes(heap.get_items()[0]) == b"payload"


@pytest.mark.parametrize("name", ["max_heaps", "ring_heaps"])
def test_sizes_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        pyspin.recv.Stream(pyspin.ThreadPool(), **{name: 0})


@pytest.mark.parametrize(
    ("name", "value"),
    [("bug_compat", 8), ("bug_compat", -1), ("max_latency", -1.0), ("tag", -1), ("tag", 2**64)],
)
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        pyspin.recv.Stream(pyspin.ThreadPool(), **{name: value})


def test_settings_of_the_wrong_type() -> None:
    with pytest.raises(TypeError, match="thread_pool"):
        pyspin.recv.Stream(None)  # type: ignore[arg-type]
    for name in ("max_heaps", "allocator", "ring"):
        with pytest.raises(TypeError, match=name):
            pyspin.recv.Stream(pyspin.ThreadPool(), **{name: "4"})


def test_the_documented_positions_hold() -> None:
    stream = pyspin.recv.Stream(pyspin.ThreadPool(), 0, 4, 4, False, True)
    stream.add_buffer_reader(p.data_packet(1, b"ab", 4, 8))
    assert stream.get().payload_ranges == [(4, 6)]
    assert (stream.DEFAULT_MAX_HEAPS, stream.DEFAULT_RING_HEAPS) == (4, 4)
    assert (stream.DEFAULT_UDP_MAX_SIZE, stream.DEFAULT_UDP_BUFFER_SIZE) == (9200, 8388608)


def test_a_stopped_pool_takes_no_streams() -> None:
    pool = pyspin.ThreadPool()
    pool.stop()
    with pytest.raises(pyspin.Stopped):
        pyspin.recv.Stream(pool)


def test_payloads_come_from_the_allocator() -> None:
    pool = pyspin.MemoryPool(1, 4096, 8, 8)
    [heap] = heaps_of(p.heap_packets(1, bytes(100)), allocator=pool)
    assert heap.received_length == 100
    with pyspin.recv.Stream(pyspin.ThreadPool()) as stream:
        stream.set_memory_allocator(pyspin.MmapAllocator())
        stream.add_buffer_reader(p.heap_packets(2, b"x" * 100, [p.addressed(0x1000, 0)])[0])
        assert bytes(stream.get().get_items()[0]) == b"x" * 100
    with pytest.raises(TypeError, match="allocator"):
        stream.set_memory_allocator(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("id", [pyspin.MEMCPY_STD, pyspin.MEMCPY_NONTEMPORAL])
def test_both_copies_copy(id: int, stream: pyspin.recv.Stream) -> None:
    payload = bytes(range(256)) * 40
    data = p.heap_packets(1, payload, [p.addressed(0x1000, 0)], size=1001)
    stream.set_memcpy(id)
    stream.add_buffer_reader(b"".join(data))
    assert bytes(stream.get().get_items()[0]) == payload


def test_an_unknown_copy_is_refused(stream: pyspin.recv.Stream) -> None:
    with pytest.raises(ValueError, match="not 17"):
        stream.set_memcpy(17)


def test_several_threads_share_a_stream() -> None:
    stream = stream_of(small_heaps(2000), ring_heaps=8)
    threads = [InThread(lambda: [heap.cnt for heap in stream]) for _ in range(4)]
    shares = [thread.result() for thread in threads]
    assert sorted(cnt for share in shares for cnt in share) == list(range(1, 2001))
    assert all(share == sorted(share) for share in shares)


def test_memory_of_a_stream_that_is_read_is_bounded() -> None:
    payload = bytes(1 << 16)
    data = b"".join(
        packet for cnt in range(200) for packet in p.heap_packets(cnt, payload, size=1 << 14)
    )
    stream = stream_of(data, max_heaps=2, ring_heaps=2)
    most = 0
    for heap in stream:
        del heap
        most = max(most, lib.spn_heaps_live())
    assert most <= 2 + 2 + 1


def test_a_length_that_an_item_contradicts_is_refused_in_every_packet() -> None:
    beyond = [p.addressed(0x1000, 16)]
    data = [p.data_packet(1, bytes(4), offset, 13, beyond) for offset in (0, 4, 8)]
    stream = stream_of(data, contiguous_only=False)
    assert next(stream).received_length == 4
    assert stream.stats.refused_heap_length == 2
