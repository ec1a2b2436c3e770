# SPDX-License-Identifier: Apache-2.0
"""What heaps are taken from: the consuming half of `Stream` and `Ring`.

One call into the C library takes a heap. A signal handler may raise on the way back from
that call, when the heap has left the ring and no variable holds it yet; it is then given
back to the head of the ring, so that Ctrl-C neither loses nor leaks a heap.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from .._ffi import check, ffi, lib
from ..arguments import INT_MAX, integer, seconds
from ..errors import Empty, Stopped
from .heap import Heap, IncompleteHeap, own_heaps, wrap

AnyHeap = Heap | IncompleteHeap

_SLOT = ffi.typeof("spn_heap **")
_MANY = ffi.typeof("spn_heap *[]")
_INTERRUPTED = -errno.EINTR
_NOTHING = -errno.EAGAIN
_FOREVER = -1

_new: Callable[..., Any] = ffi.new  # of types looked up once, above
_gc: Callable[..., Any] = ffi.gc
_clear = lib.spn_heap_clear
_pop = lib.spn_ring_pop
_give_back = lib.spn_ring_give_back


def _milliseconds(left: float) -> int:
    return math.ceil(min(max(left * 1000, 0), INT_MAX))


def _deadline(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    return monotonic() + seconds("timeout", timeout)


class HeapSource:
    """A queue of received heaps. Any number of threads may take from it.

    In a forked child, whose parent's threads fill it, every call that takes raises
    `ForkedError`.
    """

    _ring: Any

    def get(self, *, timeout: float | None = None) -> AnyHeap:
        """Take the next heap, waiting for it.

        Other threads run meanwhile, and signal handlers; one that raises ends the wait and
        no heap is lost. `timeout` is in seconds, None for ever.

        Raises `Stopped` when there will be no more heaps, `Empty` when time runs out.
        """
        if timeout is None:
            heap = self._take(_FOREVER)
            assert heap is not None
            return heap
        deadline = _deadline(timeout)
        assert deadline is not None
        while (heap := self._take(_milliseconds(deadline - monotonic()))) is None:
            if monotonic() >= deadline:
                raise Empty("no heap arrived in time")
        return heap

    def get_nowait(self) -> AnyHeap:
        """Take the next heap if there is one.

        Raises `Empty` when there is none yet, `Stopped` when there never will be.
        """
        heap = self._take(0)
        if heap is None:
            raise Empty("no heap is waiting")
        return heap

    def get_many(self, max_count: int, *, timeout: float | None = None) -> list[AnyHeap]:
        """Take up to `max_count` heaps, waiting for the first; one call for small heaps.

        Raises what `get` raises, and `ValueError` for a count below 1. The list is never
        empty.
        """
        deadline = _deadline(timeout)
        while True:
            wait = _FOREVER if deadline is None else _milliseconds(deadline - monotonic())
            heaps = self._take_many(wait, max_count)
            if heaps is not None:
                return heaps
            if deadline is not None and monotonic() >= deadline:
                raise Empty("no heap arrived in time")

    def get_many_nowait(self, max_count: int) -> list[AnyHeap]:
        """Take up to `max_count` heaps that are there.

        Raises what `get_nowait` raises. The list is never empty.
        """
        heaps = self._take_many(0, max_count)
        if heaps is None:
            raise Empty("no heap is waiting")
        return heaps

    def _take(self, timeout_ms: int) -> AnyHeap | None:
        """Take a heap; None when time runs out or, unless waiting for ever, on a signal."""
        ring = self._ring
        # Whatever C puts there has an owner from the start.
        slot = _gc(_new(_SLOT), _clear)
        try:
            while True:
                count = _pop(ring, timeout_ms, slot, 1)
                if count == 1:
                    return wrap(slot[0], slot)
                if count == _NOTHING:
                    return None
                if count != _INTERRUPTED:
                    check(count)
                elif timeout_ms != _FOREVER:
                    return None
        except BaseException:
            _give_back(ring, slot, 1)
            raise

    def _take_many(self, timeout_ms: int, max_count: int) -> list[AnyHeap] | None:
        """Take heaps; None when time runs out or on a signal."""
        out = _new(_MANY, integer("max_count", max_count, 1))
        owned: list[Any] = []
        try:
            count = _pop(self._ring, timeout_ms, out, max_count)
            if count > 0:
                owned.extend(own_heaps(ffi.unpack(out, count)))
                return list(map(wrap, owned, owned))
        except BaseException:
            for heap in owned:
                lib.spn_heap_ref(heap)
            _give_back(self._ring, out, max_count)
            raise
        if count not in (_NOTHING, _INTERRUPTED):
            check(count)
        return None

    @property
    def fd(self) -> int:
        """A file descriptor that polls readable exactly while `get_nowait` would not raise
        `Empty`, and for ever after the end. Not to be read or closed. It is made when it is
        first asked for: `OSError` when there are no descriptors left.
        """
        return check(lib.spn_ring_fd(self._ring))

    def fileno(self) -> int:
        """Return `fd`, so that selectors take the object itself."""
        return self.fd

    @property
    def waiting(self) -> int:
        """Heaps that wait to be taken."""
        return int(lib.spn_ring_length(self._ring))

    def __iter__(self) -> Iterator[AnyHeap]:
        return self

    def __next__(self) -> AnyHeap:
        try:
            heap = self._take(_FOREVER)
        except Stopped:
            raise StopIteration from None
        assert heap is not None
        return heap
