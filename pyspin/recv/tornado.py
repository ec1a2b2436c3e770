# SPDX-License-Identifier: Apache-2.0
"""Receiving in Tornado."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tornado.ioloop import IOLoop
from tornado.util import TimeoutError

from ..arguments import seconds
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


class _TornadoTurns(Turns["asyncio.Future[None]"]):
    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._loop = IOLoop.current()

    def _new_waiter(self) -> asyncio.Future[None]:
        return asyncio.Future()

    def _wake(self, waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    def _watch(self) -> None:
        self._loop.add_handler(self._fd, self.serve, IOLoop.READ)

    def _unwatch(self) -> None:
        self._loop.remove_handler(self._fd)

    def _call_soon(self, function: Callable[[], None]) -> None:
        self._loop.add_callback(function)


class _TornadoSource(AwaitedSource):
    _turns: TurnsOfLoops

    async def get(  # type: ignore[override]
        self, timeout: float | datetime.timedelta | None = None
    ) -> AnyHeap:
        """Take the next heap when there is one; concurrent calls are served in order.

        `timeout` is as in `tornado.queues.Queue.get`: a timedelta, or a time on the clock of
        `IOLoop.time`. Use it in place of `tornado.gen.with_timeout`, which leaves its
        coroutine running, so that this takes a heap later which nobody gets.

        Raises `Stopped` when there will be no more heaps, `tornado.util.TimeoutError` when
        time runs out; no heap is lost then. `TypeError` or `ValueError` for a timeout that is
        none.
        """
        if timeout is None:
            return await self._turns.take(self.get_nowait)
        if isinstance(timeout, datetime.timedelta):
            left = timeout.total_seconds()
        else:
            left = seconds("timeout", timeout) - IOLoop.current().time()
        try:
            return await asyncio.wait_for(self._turns.take(self.get_nowait), left)
        except asyncio.TimeoutError:
            raise TimeoutError("no heap arrived in time") from None


class Ring(_TornadoSource, blocking_ring.Ring):
    """A `pyspin.recv.Ring` whose `get` and `get_many` are coroutines, for any loop."""

    def __init__(self, capacity: int = 4) -> None:
        super().__init__(capacity)
        self._turns = TurnsOfLoops(self.fd, _TornadoTurns)


class Stream(_TornadoSource, blocking_stream.Stream):
    """A `pyspin.recv.Stream` whose `get` and `get_many` are coroutines, for any loop.

    Takes the same arguments; a shared `ring` must be a `Ring` of this module. `async for`
    gives the heaps until the stream ends.
    """

    def __init__(
        self,
        thread_pool: ThreadPool,
        *args: Any,
        ring: Ring | None = None,
        **kwargs: Unpack[StreamOptions],
    ) -> None:
        if not isinstance(ring, Ring | None):
            raise TypeError(f"ring must be a pyspin.recv.tornado.Ring, not {ring!r}")
        super().__init__(thread_pool, *args, ring=ring, **kwargs)
        self._turns = TurnsOfLoops(self.fd, _TornadoTurns) if ring is None else ring._turns
