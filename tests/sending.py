# SPDX-License-Identifier: Apache-2.0
"""What the tests of senders share: a socket that receives, and heaps to send."""

from __future__ import annotations

import contextlib
import select
import socket
import weakref
from collections.abc import Iterator

import numpy as np
from patience import PATIENCE
from receiving import enlarge_buffer

from pyspin import Item
from pyspin.send import Heap, PacketGenerator


@contextlib.contextmanager
def receiver(host: str = "127.0.0.1") -> Iterator[socket.socket]:
    """Open a socket at an ephemeral port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        enlarge_buffer(sock)
        sock.bind((host, 0))
        sock.settimeout(PATIENCE)
        yield sock


def make_heap(size: int = 5000, seed: int = 0) -> Heap:
    """Return a heap with one item of random bytes."""
    value = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    heap = Heap()
    heap.add_item(Item(0x1000, "x", "", value.shape, value.dtype, value=value))
    return heap


def make_watched_heap() -> tuple[Heap, weakref.ref[np.ndarray]]:
    """Return a heap, and a reference that tells how long its value is held."""
    value = np.ones(5000, np.uint8)
    heap = Heap()
    heap.add_item(Item(0x1000, "x", "", value.shape, value.dtype, value=value))
    return heap, weakref.ref(value)


def packets_of(heap: Heap, cnt: int, max_packet_size: int = 1472) -> list[bytes]:
    return list(PacketGenerator(heap, cnt, max_packet_size))


def check_arrives(sock: socket.socket, heap: Heap, cnt: int, max_packet_size: int = 1472) -> None:
    """Check that the next packets are those of the heap."""
    for packet in packets_of(heap, cnt, max_packet_size):
        assert sock.recv(65536) == packet


def has_datagram(sock: socket.socket) -> bool:
    return bool(select.select([sock], [], [], 0)[0])
