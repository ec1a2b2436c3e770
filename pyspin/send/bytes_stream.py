# SPDX-License-Identifier: Apache-2.0
"""Heaps as the packets that a stream would send, in memory."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING

from .._ffi import ffi, lib
from ..arguments import index, instance, integer
from .config import StreamConfig
from .heap import Heap
from .refusal import refusal

if TYPE_CHECKING:
    from ..threads import ThreadPool

_MAX_CNT = (1 << 64) - 1


class BytesStream:
    """Collect packets, one behind the other, as `recv.Stream.add_buffer_reader` takes them.

    `thread_pool` is not used, and of `config` only `max_packet_size`: there is nobody to be
    slow for. Any thread may call any method.
    """

    def __init__(
        self,
        thread_pool: ThreadPool,
        config: StreamConfig = StreamConfig(),  # noqa: B008 (copied)
    ) -> None:
        instance("config", config, StreamConfig)
        self._config = config.copy()
        self._lock = threading.Lock()
        self._bytes = bytearray()
        self._next_cnt = 1
        self._step = 1

    @property
    def config(self) -> StreamConfig:
        """A copy of the stream's settings."""
        return self._config.copy()

    @property
    def num_substreams(self) -> int:
        """The number of destinations: one."""
        return 1

    def getvalue(self) -> bytes:
        """Return all packets so far."""
        with self._lock:
            return bytes(self._bytes)

    def send_heap(self, heap: Heap, cnt: int = -1, *, substream_index: int = 0) -> int:
        """Append the packets of a heap and return their bytes, headers included.

        `cnt` -1 is the next of the sequence; another leaves the sequence as it is.
        `ValueError` if the heap cannot be cut into packets; `OSError` with EINVAL, and a
        warning, when cnt does not fit the flavour or `substream_index` is not 0.
        """
        instance("heap", heap, Heap)
        cnt, substream_index = index("cnt", cnt), index("substream_index", substream_index)
        packets = heap._packets(self._config.max_packet_size)
        mask = (1 << heap.flavour.heap_address_bits) - 1
        if substream_index != 0:
            raise refusal(errno.EINVAL, f"there is no substream {substream_index}")
        if not -1 <= cnt <= mask:
            raise refusal(errno.EINVAL, f"cnt {cnt} does not fit the flavour")
        written = bytearray(lib.spn_packets_total(packets))
        with self._lock:
            if cnt == -1:
                cnt = self._next_cnt & mask
                self._next_cnt += self._step
            lib.spn_packets_write_all(packets, cnt, ffi.from_buffer(written))
            self._bytes += written
        return len(written)

    def set_cnt_sequence(self, next: int, step: int) -> None:
        """Give the next heap without a cnt of its own `next`, the one after it `next + step`.

        It starts as (1, 1); counts wrap to the width of the flavour. `ValueError` for a step
        of 0 or numbers outside 64 bits.
        """
        next, step = integer("next", next, 0, _MAX_CNT), integer("step", step, 1, _MAX_CNT)
        with self._lock:
            self._next_cnt, self._step = next, step

    def flush(self) -> None:
        """Do nothing: all heaps have been written."""
