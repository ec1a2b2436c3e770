# SPDX-License-Identifier: Apache-2.0
"""What a sending stream has done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._ffi import ffi, lib

if TYPE_CHECKING:
    from .._core import spn_sender


@dataclass(frozen=True)
class SenderStats:
    """A consistent snapshot of a sending stream; totals since it was made."""

    heaps: int
    """Heaps sent."""
    bytes: int
    """Bytes given to the kernel, SPEAD headers included."""
    packets: int
    """Packets given to the kernel."""
    messages: int
    """Messages given to the kernel; with UDP_SEGMENT one carries several packets."""
    calls: int
    """Calls of sendmmsg that took something."""
    errors: int
    """Heaps given up because the socket reported an error."""
    refused: int
    """Heaps refused because max_heaps were in flight."""
    cancelled: int
    """Heaps given up because the stream was stopped."""
    socket_full: int
    """Waits for room in the socket's buffer."""
    gso_refused: int
    """Messages of several packets that the network device would not cut apart."""


def read_stats(sender: spn_sender) -> SenderStats:
    """Return the statistics of a C sender."""
    raw = ffi.new("spn_sender_stats *")
    lib.spn_sender_read_stats(sender, raw)
    return SenderStats(
        heaps=raw.heaps,
        bytes=raw.bytes,
        packets=raw.packets,
        messages=raw.messages,
        calls=raw.calls,
        errors=raw.errors,
        refused=raw.refused,
        cancelled=raw.cancelled,
        socket_full=raw.socket_full,
        gso_refused=raw.gso_refused,
    )
