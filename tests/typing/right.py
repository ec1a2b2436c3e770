# SPDX-License-Identifier: Apache-2.0
"""Everyday use, which must pass the type checker; read by test_typing.py, never run."""

import numpy as np

import pyspin
import pyspin.recv
import pyspin.recv.asyncio
import pyspin.send


async def consume(stream: pyspin.recv.asyncio.Stream) -> int:
    count = 0
    async for heap in stream:
        count += heap.cnt
    return count


def receive() -> None:
    with pyspin.recv.Stream(pyspin.ThreadPool(2, [0, 1]), 0, 4, ring_heaps=8) as stream:
        stream.add_udp_reader(8888, bind_hostname="127.0.0.1")
        stream.add_udp_reader("239.1.2.3", 8888, interface_address="127.0.0.1")
        group = pyspin.ItemGroup()
        for heap in stream:
            if isinstance(heap, pyspin.recv.Heap):
                for name, item in group.update(heap).items():
                    print(name, item.value)
        print(stream.stats.heaps, stream.fd, stream.fileno())


def send() -> None:
    config = pyspin.send.StreamConfig(8972, 1e9)
    stream = pyspin.send.UdpStream(pyspin.ThreadPool(), "127.0.0.1", 8888, config)
    group = pyspin.send.ItemGroup()
    group.add_item(None, "x", "", (4,), np.float32)
    group["x"].value = np.zeros(4, np.float32)
    stream.send_heap(group.get_heap())
