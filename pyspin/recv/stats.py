# SPDX-License-Identifier: Apache-2.0
"""What a stream has counted."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class StreamStats:
    """A snapshot of a stream's counters: totals since the stream was made.

    What is lost is counted where it is lost: of what UDP readers bring, `datagrams` less
    all that is `rejected_...` is `packets`, as long as the stream has not been stopped.
    """

    heaps: int
    """Heaps put into the stream, incomplete ones too, but not the complete stop heap."""
    incomplete_heaps_evicted: int
    """Heaps put out before their end to make room for newer ones."""
    incomplete_heaps_flushed: int
    """Heaps that were still partial when the stream stopped."""
    packets: int
    """Packets that were decoded, the one with the stop item too."""
    worker_blocked: int
    """How often a full ring suspended the readers: the stream is not read fast enough."""
    max_batch: int
    """Most packets received as a unit."""

    bytes: int
    """Bytes of those packets, headers too."""
    datagrams: int
    """Datagrams that arrived, whatever became of them. Memory readers have none."""
    messages: int
    """Messages as the kernel handed them over; UDP_GRO puts many datagrams into one."""
    calls: int
    """Receiving system calls that returned messages."""
    bytes_placed: int
    """Payload that the kernel wrote straight into heaps."""
    bytes_copied: int
    """Payload that was copied into heaps."""

    kernel_drops: int
    """Datagrams that a full socket buffer cost."""
    rejected_short: int
    """Datagrams shorter than a SPEAD header."""
    rejected_magic: int
    """Datagrams that are not SPEAD, or not of version 4."""
    rejected_widths: int
    """Packets whose item pointer and address widths make no flavour."""
    rejected_header: int
    """Packets with item pointers beyond the datagram."""
    rejected_missing: int
    """Packets without a heap counter, payload offset or payload length."""
    rejected_truncated: int
    """Packets with payload beyond the datagram."""
    rejected_heap_length: int
    """Packets with payload beyond the length of their heap."""
    rejected_size_mismatch: int
    """Datagrams with bytes after the packet."""
    rejected_oversize: int
    """Datagrams larger than the reader's max_size."""
    rejected_ip: int
    """Fragments, bad lengths and bad checksums met by a packet ring."""
    socket_errors: int
    """Errors that the socket reported."""

    refused_duplicate: int
    """Packets with payload that was already there."""
    refused_overlap: int
    """Packets that ran into payload that was already there."""
    refused_heap_length: int
    """Packets that contradicted the length of their heap."""
    refused_flavour: int
    """Packets of another flavour than their heap."""
    refused_memory: int
    """Packets for whose heap there was no memory, or that wanted more than it may have before
    more of it has arrived (64 MiB, or 8 times what has)."""

    heaps_dropped_incomplete: int
    """Incomplete heaps dropped because of contiguous_only."""
    heaps_dropped_memory: int
    """Heaps begun and dropped because memory ran out."""
    heaps_dropped_stop: int
    """Heaps lost to stop()."""
    ring_high_water: int
    """Most heaps in the ring at once."""


_FIELDS = [field.name for field in fields(StreamStats)]


def snapshot(counters: Any) -> StreamStats:
    """Return the fields of a C `spn_stream_stats`."""
    return StreamStats(*[getattr(counters, name) for name in _FIELDS])
