# SPDX-License-Identifier: Apache-2.0
"""A ring that several streams fill."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from .._ffi import check, ffi, lib, own
from ..arguments import integer
from .source import HeapSource

if TYPE_CHECKING:
    from typing_extensions import Self


class Ring(HeapSource):
    """A bounded queue of heaps for several streams, each on its own thread of a pool.

    Pass it to the streams as `ring`, and take the heaps from it; `Heap.tag` tells which
    stream a heap came through. It ends when its last stream has. While it is full the
    readers of its streams are suspended, and nothing is dropped.

    `capacity` is in heaps; `ValueError` unless it is 1 or more. Any number of threads may use
    it. In a forked child taking raises `ForkedError`.
    """

    def __init__(self, capacity: int = 4) -> None:
        out = ffi.new("spn_ring **")
        check(lib.spn_ring_new(integer("capacity", capacity, 1), out))
        self._ring = own(out[0], lib.spn_ring_unref)

    def stop(self) -> None:
        """End the ring: its streams are refused from now on, and every waiter wakes.

        Heaps that are in it can still be taken. Any thread, any number of times.
        """
        lib.spn_ring_stop(self._ring)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
