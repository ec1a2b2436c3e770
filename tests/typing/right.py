# SPDX-License-Identifier: Apache-2.0
"""Everyday use, which must pass the type checker; read by test_typing.py, never run."""

import numpy as np

import pyspin
import pyspin.connections
import pyspin.recv
import pyspin.recv.asyncio
import pyspin.recv.tornado
import pyspin.recv.trio
import pyspin.recv.twisted
import pyspin.send
import pyspin.send.asyncio
from pyspin.messages import EIEIODataMessage, ReadMemory, SDPMessage, WriteMemory


def make_streams(threads: pyspin.ThreadPool) -> list[pyspin.recv.Stream]:
    return [
        pyspin.recv.asyncio.Stream(threads, 0, 4, 4, False, loop=None, ring_heaps=8),
        pyspin.recv.tornado.Stream(thread_pool=threads, ring=pyspin.recv.tornado.Ring(8), tag=3),
        pyspin.recv.trio.Stream(threads, max_heaps=2, allocator=pyspin.MmapAllocator()),
        pyspin.recv.twisted.Stream(threads, reactor=None, contiguous_only=False),
    ]


async def transmit(threads: pyspin.ThreadPool, heap: pyspin.send.Heap) -> int:
    config = pyspin.send.StreamConfig()
    stream = pyspin.send.asyncio.UdpStream(threads, "239.1.2.3", 8888, config, 0, 1, "127.0.0.1")
    other = pyspin.send.asyncio.UdpStream(threads, [("127.0.0.1", 8888)], config=config, loop=None)
    await other.async_flush()
    await stream.async_send_heaps([heap])
    return await stream.async_send_heap(heap)


async def consume(stream: pyspin.recv.asyncio.Stream) -> int:
    count = 0
    async for heap in stream:
        count += heap.cnt
    for heap in await stream.get_many(8):
        count += heap.cnt
    return count + (await stream.get()).cnt


def share(threads: pyspin.ThreadPool) -> list[int]:
    ring = pyspin.recv.Ring(16)
    for tag in (1, 2):
        pyspin.recv.Stream(threads, ring=ring, tag=tag).add_udp_reader(8888, reuse_port=True)
    return [heap.tag for heap in ring]


def receive() -> None:
    with pyspin.recv.Stream(pyspin.ThreadPool(2, [0, 1]), 0, 4, ring_heaps=8) as stream:
        stream.add_udp_reader(8888, bind_hostname="127.0.0.1")
        stream.add_udp_reader("239.1.2.3", 8888, interface_address="127.0.0.1")
        stream.add_udp_reader("ff12::8888", 8888, interface_index=1, gro=False)
        stream.add_udp_reader("ff12::8888", 8888, 9200, 0, 1)
        stream.add_buffer_reader(np.zeros(8, np.uint8))
        print(stream.get(timeout=1.0).cnt, len(stream.get_many(8)))
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
    both = [pyspin.send.HeapReference(group.get_heap(), cnt=cnt) for cnt in (3, 5)]
    print(stream.send_heaps(both, pyspin.send.GroupMode.ROUND_ROBIN) + 1)


def show(message: SDPMessage) -> None:
    print(message.sdp_header.source_chip_x, message.payload)


def listen() -> None:
    with (
        pyspin.connections.SDPConnection(local_port=17894) as connection,
        pyspin.connections.ConnectionListener(connection, 2, timeout=0.5) as listener,
    ):
        listener.add_callback(show)
        listener.start()


def request(connection: pyspin.connections.SCAMPConnection) -> bytes:
    connection.send_scp_request(WriteMemory(0, 0, 0x60000000, b"data", cpu=1))
    read = ReadMemory((0, 0, 1), 0x60000000, 4)
    connection.send_scp_request(read)
    _, _, data, offset = connection.receive_scp_response()
    response = read.get_scp_response()
    response.read_bytestring(data, offset)
    return response.payload


def spikes(connection: pyspin.connections.EIEIOConnection) -> int:
    message = connection.receive_eieio_message(timeout=1.0)
    return int(message.keys.sum()) if isinstance(message, EIEIODataMessage) else 0
