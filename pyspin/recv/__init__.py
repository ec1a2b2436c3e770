# SPDX-License-Identifier: Apache-2.0
"""Receiving SPEAD streams.

`Stream` blocks; `pyspin.recv.asyncio`, `.twisted`, `.tornado` and `.trio` have a `Stream`
for their loop, and any other loop can watch `Stream.fd`.
"""

from .heap import Heap, IncompleteHeap, RawItem
from .ring import Ring
from .stats import StreamStats
from .stream import Stream

__all__ = ["Heap", "IncompleteHeap", "RawItem", "Ring", "Stream", "StreamStats"]
