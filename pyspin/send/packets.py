# SPDX-License-Identifier: Apache-2.0
"""The packets of a heap, one by one, without a stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from .._ffi import ffi, lib
from ..arguments import index, instance, integer
from ..items import Flavour
from .heap import MIN_PACKET_SIZE, Heap

_SIZE_MAX = 2**63 - 1


def check_cnt(cnt: int, flavour: Flavour) -> int:
    """Return `cnt`, or raise `ValueError` if the flavour has no room for it."""
    cnt = index("cnt", cnt)
    most = (1 << flavour.heap_address_bits) - 1
    if not 0 <= cnt <= most:
        raise ValueError(f"cnt must be in 0..{most}, not {cnt}")
    return cnt


@final
class PacketGenerator(Iterator[bytes]):
    """Iterate over the packets of `heap` as `bytes`, with heap count `cnt`.

    `max_packet_size` is in bytes and rounded down to a multiple of 8. `ValueError` if it is
    below 56 or `cnt` does not fit the flavour.
    """

    __slots__ = ("_cnt", "_count", "_heap", "_index", "_packets")

    def __init__(self, heap: Heap, cnt: int, max_packet_size: int) -> None:
        instance("heap", heap, Heap)
        self._heap = heap  # holds the values
        self._cnt = check_cnt(cnt, heap.flavour)
        size = integer("max_packet_size", max_packet_size, MIN_PACKET_SIZE, _SIZE_MAX)
        self._packets = heap._packets(size)
        self._count = lib.spn_packets_count(self._packets)
        self._index = 0

    def __iter__(self) -> PacketGenerator:
        return self

    def __next__(self) -> bytes:
        if self._index == self._count:
            raise StopIteration
        packet = bytearray(lib.spn_packets_length(self._packets, self._index))
        lib.spn_packets_write(self._packets, self._index, self._cnt, ffi.from_buffer(packet))
        self._index += 1
        return bytes(packet)
