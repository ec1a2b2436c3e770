# SPDX-License-Identifier: Apache-2.0
"""Send SPEAD heaps: over UDP, or as bytes.

Make a `Heap`, or let an `ItemGroup` make one of what has changed, and hand it to a `UdpStream`;
`pyspin.send.asyncio` has one to await.
"""

from __future__ import annotations

from .bytes_stream import BytesStream
from .config import StreamConfig
from .generator import HeapGenerator, ItemGroup
from .heap import Heap
from .packets import PacketGenerator
from .references import GroupMode, HeapReference
from .stats import SenderStats
from .udp import UdpStream

__all__ = [
    "BytesStream",
    "GroupMode",
    "Heap",
    "HeapGenerator",
    "HeapReference",
    "ItemGroup",
    "PacketGenerator",
    "SenderStats",
    "StreamConfig",
    "UdpStream",
]
