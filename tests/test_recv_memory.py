# SPDX-License-Identifier: Apache-2.0
"""A stream holds no more memory than was agreed, however long it runs."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import packets as p
import psutil
import pytest
from receiving import InThread, bind

import pyspin
import pyspin.recv
import pyspin.send
from pyspin._ffi import lib

MIB = 1 << 20
MAX_HEAPS = 4
RING_HEAPS = 4
#: Heaps in assembly, one that waits for room in the ring among them, and in the ring.
HELD = MAX_HEAPS + RING_HEAPS
#: With those in the hands of a loop, two for a moment.
IN_LOOP = 2
HEAPS = HELD + IN_LOOP
#: Buffers for heaps that are to begin, if the kernel may write into them: of 1 MiB, and others.
AHEAD, AHEAD_MOST = 1, 4
#: Buffers that the malloc allocator keeps for reuse.
KEPT = 4

CHUNK_HEAPS = 32
#: Sanitizers are slow.
CHUNKS = 4 if "PYSPIN_SANITIZER" in os.environ else 64


def chunk(with_gaps: bool) -> bytes:
    """Return the packets of 32 heaps; every second one of them may lack its last packet.

    One more heap makes a number of whole pages of it.
    """
    parts: list[bytes] = []
    for cnt in range(1, CHUNK_HEAPS + 1):
        heap = p.heap_packets(cnt, bytes([cnt]) * MIB, [p.addressed(0x1000, 0)], size=1 << 16)
        parts += heap[:-1] if with_gaps and cnt % 2 else heap
    size = sum(map(len, parts)) + len(p.data_packet(CHUNK_HEAPS + 1, b"", 0, 0))
    missing = bytes(-size % mmap.PAGESIZE)
    return b"".join([*parts, p.data_packet(CHUNK_HEAPS + 1, missing, 0, len(missing))])


@pytest.fixture(params=[False, True], ids=["whole", "gaps"])
def endless(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Map one chunk again and again, back to back: gigabytes that take 32 MiB."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    data = chunk(request.param)
    size = len(data)
    with os.fdopen(os.memfd_create("chunk"), "wb") as file:
        file.write(data)
        file.flush()
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        base = libc.mmap(None, CHUNKS * size, 0, flags, -1, 0)
        for start in range(base, base + CHUNKS * size, size):
            fixed = mmap.MAP_SHARED | 0x10  # MAP_FIXED
            assert libc.mmap(start, size, mmap.PROT_READ, fixed, file.fileno(), 0) == start
    yield (ctypes.c_char * (CHUNKS * size)).from_address(base)
    libc.munmap(base, CHUNKS * size)


class Peak:
    """The most buffers and bytes that were in use, above those at the start."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._start = lib.spn_buffers_live(), self._anonymous()
        self.buffers = 0
        self.bytes = 0

    def _anonymous(self) -> int:
        memory = self._process.memory_info()
        return int(memory.rss - memory.shared)

    def look(self) -> None:
        self.buffers = max(self.buffers, lib.spn_buffers_live() - self._start[0])
        self.bytes = max(self.bytes, self._anonymous() - self._start[1])


def drain(stream: pyspin.recv.Stream) -> tuple[int, Peak]:
    """Read and drop all heaps, and say how many and what was held meanwhile."""
    peak = Peak()
    count = 0
    for heap in stream:
        count += heap.cnt <= CHUNK_HEAPS
        if count % 8 == 0:
            peak.look()
    return count, peak


def check_bytes(peak: Peak, buffers: int) -> None:
    # Sanitizers remember much of all memory that is touched.
    if "PYSPIN_SANITIZER" not in os.environ:
        assert peak.bytes < (buffers + 4) * MIB


def malloc_holds(buffers: int) -> int:
    """Return what malloc may hold of the system's memory for some buffers.

    Free ones may lie between others, where it cannot give them back.
    """
    return 2 * (buffers + KEPT)


def stream_of(endless: Any, **options: Any) -> pyspin.recv.Stream:
    stream = pyspin.recv.Stream(
        pyspin.ThreadPool(), max_heaps=MAX_HEAPS, ring_heaps=RING_HEAPS, **options
    )
    stream.add_buffer_reader(endless)
    return stream


def test_heaps_that_are_dropped_hold_no_memory(endless: Any) -> None:
    with stream_of(endless) as stream:
        count, peak = InThread(drain, stream).result()
        stats = stream.stats
    assert count + stats.heaps_dropped_incomplete >= CHUNKS * CHUNK_HEAPS
    assert peak.buffers <= HELD + 1  # the one that has just been taken
    check_bytes(peak, malloc_holds(HEAPS))


@pytest.mark.parametrize("endless", [True], ids=["gaps"], indirect=True)
def test_incomplete_heaps_that_are_dropped_hold_no_memory(endless: Any) -> None:
    with stream_of(endless, contiguous_only=False, incomplete_keep_payload_ranges=True) as stream:
        count, peak = InThread(drain, stream).result()
    assert count == CHUNKS * CHUNK_HEAPS
    assert peak.buffers <= HELD + 1
    check_bytes(peak, malloc_holds(HEAPS))


def test_a_pool_of_the_bound_never_runs_dry(endless: Any) -> None:
    pool = pyspin.MemoryPool(MIB, MIB, HEAPS, HEAPS)
    with stream_of(endless, allocator=pool) as stream:
        count, peak = InThread(drain, stream).result()
        stats = stream.stats
    assert count + stats.heaps_dropped_incomplete >= CHUNKS * CHUNK_HEAPS
    assert pool.stats.misses == 0
    assert pool.stats.hits >= CHUNKS * CHUNK_HEAPS
    assert pool.stats.free == HEAPS
    check_bytes(peak, 0)  # all there was to take had been taken


@pytest.mark.parametrize("scatter", [False, True])
def test_heaps_from_a_socket_that_are_dropped_hold_no_memory(scatter: bool) -> None:
    threads = pyspin.ThreadPool(2)
    group = pyspin.send.ItemGroup()
    group.add_item(0x1000, "x", "", (MIB,), np.uint8, value=np.zeros(MIB, np.uint8))
    with pyspin.recv.Stream(
        threads, max_heaps=MAX_HEAPS, ring_heaps=RING_HEAPS, scatter=scatter
    ) as stream:
        port = bind(stream)
        sender = pyspin.send.UdpStream(
            threads, "127.0.0.1", port, pyspin.send.StreamConfig(max_packet_size=8972)
        )
        reader = InThread(drain, stream)
        heap = group.get_heap(data="all")
        for _ in range(300):
            sender.send_heap(heap)
        while not stream.stopped:
            sender.send_heap(group.get_end())
        _, peak = reader.result()
    ahead = AHEAD if scatter else 0
    assert peak.buffers <= HELD + 1 + ahead
    check_bytes(peak, malloc_holds(HEAPS + ahead))


@pytest.mark.parametrize(
    ("size", "ahead"), [(20_000, AHEAD_MOST), (100_000, AHEAD_MOST), (MIB, AHEAD)]
)
@pytest.mark.parametrize("most", [1, 4])
def test_a_pool_of_the_bound_never_runs_dry_under_a_socket(
    size: int, ahead: int, most: int
) -> None:
    threads = pyspin.ThreadPool(2)
    bound = most + most + IN_LOOP + ahead
    pool = pyspin.MemoryPool(1, size + 4096, bound, bound)
    group = pyspin.send.ItemGroup()
    group.add_item(0x1000, "x", "", (size,), np.uint8, value=np.zeros(size, np.uint8))
    config = pyspin.send.StreamConfig(max_packet_size=8972, rate=400e6)
    with pyspin.recv.Stream(threads, 0, most, most, allocator=pool) as stream:
        sender = pyspin.send.UdpStream(threads, "127.0.0.1", bind(stream), config)
        reader = InThread(drain, stream)
        heap = group.get_heap(data="all")
        for _ in range(100):
            sender.send_heap(heap)
        while not stream.stopped:
            sender.send_heap(group.get_end())
        reader.result()
    assert pool.stats.hits > 0
    assert pool.stats.misses == 0
