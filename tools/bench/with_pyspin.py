# SPDX-License-Identifier: Apache-2.0
"""The benchmark's jobs done with pyspin; `with_spead2` has the same functions."""

from __future__ import annotations

import dataclasses

import numpy as np

import pyspin
import pyspin.recv
import pyspin.recv.asyncio
import pyspin.send

NAME = "pyspin"


def _pool(size: int, buffers: int) -> pyspin.MemoryPool:
    return pyspin.MemoryPool(size, size + size // 8, buffers, buffers)


def receiver(
    cpu: int | None, heap_size: int, ring_heaps: int, cls: type = pyspin.recv.Stream, **options
):
    """Return a stream with a pool, its thread on processor `cpu`."""
    threads = pyspin.ThreadPool(1, [] if cpu is None else [cpu])
    max_heaps = options.pop("max_heaps", 4)
    stream = cls(threads, max_heaps=max_heaps, ring_heaps=ring_heaps, **options)
    stream.set_memory_allocator(_pool(heap_size, 4 * ring_heaps + max_heaps))
    return stream


async_class = pyspin.recv.asyncio.Stream


def add_udp(stream, port: int, max_size: int) -> None:
    stream.add_udp_reader(port, max_size=max_size, bind_hostname="127.0.0.1")


def add_packet_ring(stream, port: int) -> None:
    stream.add_packet_ring_reader("lo", port, address="127.0.0.1")


def add_buffer(stream, buffer) -> None:
    stream.add_buffer_reader(buffer)


def get_many(stream, count: int):
    return stream.get_many(count)


def item_group():
    return pyspin.ItemGroup()


def stats(stream) -> dict:
    value = stream.stats
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    return {name: getattr(value, name) for name in dir(value) if not name.startswith("_")}


def sender(port: int, packet_size: int, heap_size: int):
    """Return a stream to send with, and a group of one item."""
    threads = pyspin.ThreadPool()
    config = pyspin.send.StreamConfig(max_packet_size=packet_size, max_heaps=64)
    stream = pyspin.send.UdpStream(threads, "127.0.0.1", port, config, 4 << 20)
    group = pyspin.send.ItemGroup()
    group.add_item(0x1000, "data", "", (heap_size,), np.uint8, value=np.ones(heap_size, np.uint8))
    return stream, group
