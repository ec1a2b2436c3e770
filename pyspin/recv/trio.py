# SPDX-License-Identifier: Apache-2.0
"""Receiving in trio.

Every `get` is a checkpoint, as trio's own operations are, and comes before the heap is
taken. A checkpoint is a round of the loop; where heaps are small, use `get_many`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from ..errors import Empty
from . import ring as blocking_ring
from . import stream as blocking_stream
from .awaited import AwaitedSource

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..threads import ThreadPool
    from .awaited import StreamOptions

__all__ = ["Ring", "Stream"]

T = TypeVar("T")


class _TrioTurns:
    """trio's locks are first come first served, and one task at a time may watch an fd."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lock = trio.Lock()

    async def take(self, attempt: Callable[..., T], *arguments: Any) -> T:
        async with self._lock:
            while True:
                try:
                    return attempt(*arguments)
                except Empty:
                    await trio.lowlevel.wait_readable(self._fd)


class Ring(AwaitedSource, blocking_ring.Ring):
    """A `pyspin.recv.Ring` whose `get` and `get_many` are coroutines, for one run of trio."""

    _turns: _TrioTurns

    def __init__(self, capacity: int = 4) -> None:
        super().__init__(capacity)
        self._turns = _TrioTurns(self.fd)


class Stream(AwaitedSource, blocking_stream.Stream):
    """A `pyspin.recv.Stream` whose `get` and `get_many` are coroutines, for one run of trio.

    Takes the same arguments; a shared `ring` must be a `Ring` of this module. `async for`
    gives the heaps until the stream ends.
    """

    _turns: _TrioTurns

    def __init__(
        self,
        thread_pool: ThreadPool,
        *args: Any,
        ring: Ring | None = None,
        **kwargs: Unpack[StreamOptions],
    ) -> None:
        if not isinstance(ring, Ring | None):
            raise TypeError(f"ring must be a pyspin.recv.trio.Ring, not {ring!r}")
        super().__init__(thread_pool, *args, ring=ring, **kwargs)
        self._turns = _TrioTurns(self.fd) if ring is None else ring._turns
