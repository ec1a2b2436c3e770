# SPDX-License-Identifier: Apache-2.0
"""Mistakes that the types must catch; read by test_typing.py, never run."""

import pyspin
import pyspin.connections
import pyspin.recv
import pyspin.recv.asyncio
import pyspin.recv.tornado
import pyspin.recv.trio
import pyspin.recv.twisted
import pyspin.send
import pyspin.send.asyncio
from pyspin.messages import GetVersion, ReadMemory, SDPMessage

threads = pyspin.ThreadPool("two")  # error: arg-type
stream = pyspin.recv.Stream()  # error: call-arg
heap = pyspin.recv.Stream(threads).get()
heap.cnt = 3  # error: misc
pyspin.MmapAllocator(prefer_hugee=True)  # error: call-arg
pyspin.send.StreamConfig(rate="fast")  # error: arg-type
pyspin.recv.asyncio.Stream(threads, max_heeps=4)  # error: call-arg
pyspin.recv.tornado.Stream(3)  # error: arg-type
pyspin.recv.trio.Stream(threads, ring=pyspin.recv.Ring())  # error: arg-type
pyspin.recv.twisted.Stream(threads, tag="x")  # error: arg-type
pyspin.send.asyncio.UdpStream(threads, "localhost", port="x")  # error: arg-type
pyspin.send.HeapReference(pyspin.send.Heap(), 5)  # error: call-arg
pyspin.send.UdpStream(threads, "localhost", 1).send_heaps([1])  # error: list-item


def on_sdp(message: SDPMessage) -> None: ...


eieio = pyspin.connections.EIEIOConnection()
listener = pyspin.connections.ConnectionListener(eieio)
listener.add_callback(on_sdp)  # error: arg-type
pyspin.connections.ConnectionListener(3)  # error: arg-type
ReadMemory((0, 0), 0, 4)  # error: arg-type
info = GetVersion(0, 0, 0).get_scp_response().chip_info  # error: attr-defined
