# SPDX-License-Identifier: Apache-2.0
"""Heaps as the packets that a stream would send, in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .._ffi import check, ffi, lib
from ..arguments import instance, integer
from .config import StreamConfig
from .heap import Heap
from .references import GroupMode, HeapReference, prepare, prepare_group

if TYPE_CHECKING:
    from ..threads import ThreadPool
    from .references import Row

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
        row = prepare(heap, cnt, substream_index, self._config.max_packet_size, 1)
        return self._append([(heap, row)], GroupMode.SERIAL)

    def send_heaps(
        self, heaps: Iterable[HeapReference | Heap], mode: GroupMode = GroupMode.SERIAL
    ) -> int:
        """Append the packets of several heaps in the order that `mode` says; return their bytes.

        All or, with the errors of `send_heap`, or EINVAL when `heaps` is empty, none.
        """
        held, rows = prepare_group(heaps, mode, self._config.max_packet_size, 1)
        return self._append(list(zip(held, rows, strict=True)), mode)

    def _append(self, heaps: list[tuple[Heap, Row]], mode: GroupMode) -> int:
        written = bytearray(sum(lib.spn_packets_total(row[0]) for _, row in heaps))
        with self._lock:
            rows = [
                (packets, self._take_cnt(heap) if cnt == -1 else cnt, substream_index)
                for heap, (packets, cnt, substream_index) in heaps
            ]
            references = ffi.new("spn_heap_reference[]", rows)
            out = ffi.from_buffer(written)
            check(lib.spn_group_write(references, len(rows), mode.value, out))
            self._bytes += written
        return len(written)

    def _take_cnt(self, heap: Heap) -> int:
        cnt = self._next_cnt & ((1 << heap.flavour.heap_address_bits) - 1)
        self._next_cnt += self._step
        return cnt

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
