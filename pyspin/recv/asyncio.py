# SPDX-License-Identifier: Apache-2.0
"""Receiving in asyncio, under every loop that has `add_reader`, uvloop too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import ring as blocking_ring
from . import stream as blocking_stream
from .awaited import AwaitedSource
from .source import AnyHeap
from .turns import Turns, TurnsOfLoops

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..threads import ThreadPool
    from .awaited import StreamOptions

__all__ = ["Ring", "Stream"]


class _AsyncioTurns(Turns["asyncio.Future[None]"]):
    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._loop = asyncio.get_running_loop()

    def _new_waiter(self) -> asyncio.Future[None]:
        return self._loop.create_future()

    def _wake(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    def _watch(self) -> None:
        self._loop.add_reader(self._fd, self.serve)

    def _unwatch(self) -> None:
        # The loop is closed when a coroutine that was never finished is collected.
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)

    def _call_soon(self, function: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon(function)


class Ring(AwaitedSource, blocking_ring.Ring):
    """A `pyspin.recv.Ring` whose `get` and `get_many` are coroutines, for any loop."""

    _turns: TurnsOfLoops

    def __init__(self, capacity: int = 4) -> None:
        super().__init__(capacity)
        self._turns = TurnsOfLoops(self.fd, _AsyncioTurns)


class Stream(AwaitedSource, blocking_stream.Stream):
    """A `pyspin.recv.Stream` whose `get` and `get_many` are coroutines, for any loop.

    Takes the same arguments; a shared `ring` must be a `Ring` of this module. `async for`
    gives the heaps until the stream ends. `loop`, here and in `get`, is accepted for old
    scripts: a coroutine can only run in the loop that runs it.
    """

    _turns: TurnsOfLoops

    def __init__(
        self,
        thread_pool: ThreadPool,
        *args: Any,
        loop: asyncio.AbstractEventLoop | None = None,
        ring: Ring | None = None,
        **kwargs: Unpack[StreamOptions],
    ) -> None:
        if not isinstance(ring, Ring | None):
            raise TypeError(f"ring must be a pyspin.recv.asyncio.Ring, not {ring!r}")
        super().__init__(thread_pool, *args, ring=ring, **kwargs)
        self._turns = TurnsOfLoops(self.fd, _AsyncioTurns) if ring is None else ring._turns

    async def get(  # type: ignore[override]
        self, loop: asyncio.AbstractEventLoop | None = None
    ) -> AnyHeap:
        """Take the next heap when there is one; concurrent calls are served in order.

        Cancelling it, by a timeout or otherwise, loses no heap.

        Raises `Stopped` when there will be no more heaps.
        """
        return await self._turns.take(self.get_nowait)
