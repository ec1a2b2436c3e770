# SPDX-License-Identifier: Apache-2.0
"""The benchmark's jobs done with spead2 (4.x); `with_pyspin` has the same functions."""

from __future__ import annotations

import numpy as np
import spead2
import spead2.recv
import spead2.recv.asyncio
import spead2.send

NAME = "spead2"


def _pool(size: int, buffers: int) -> spead2.MemoryPool:
    return spead2.MemoryPool(size, size + size // 8, buffers, buffers)


def receiver(
    cpu: int | None, heap_size: int, ring_heaps: int, cls: type = spead2.recv.Stream, **options
):
    """Return a stream with a pool, its thread on processor `cpu`."""
    threads = spead2.ThreadPool(1, [] if cpu is None else [cpu])
    max_heaps = options.pop("max_heaps", 4)
    config = spead2.recv.StreamConfig(
        max_heaps=max_heaps,
        memory_allocator=_pool(heap_size, 4 * ring_heaps + max_heaps),
        **options,
    )
    return cls(threads, config, spead2.recv.RingStreamConfig(heaps=ring_heaps))


async_class = spead2.recv.asyncio.Stream


def add_udp(stream, port: int, max_size: int) -> None:
    stream.add_udp_reader(port, max_size=max_size, buffer_size=8 << 20, bind_hostname="127.0.0.1")


def add_buffer(stream, buffer) -> None:
    stream.add_buffer_reader(buffer)


def item_group():
    return spead2.ItemGroup()


def stats(stream) -> dict:
    value = stream.stats
    return {"heaps": value.heaps, "packets": value.packets, "max_batch": value.max_batch}


def sender(port: int, packet_size: int, heap_size: int):
    """Return a stream to send with, and a group of one item."""
    threads = spead2.ThreadPool()
    config = spead2.send.StreamConfig(max_packet_size=packet_size, max_heaps=64)
    stream = spead2.send.UdpStream(threads, [("127.0.0.1", port)], config, 4 << 20)
    group = spead2.send.ItemGroup()
    group.add_item(0x1000, "data", "", (heap_size,), np.uint8, value=np.ones(heap_size, np.uint8))
    return stream, group
