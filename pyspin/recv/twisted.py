# SPDX-License-Identifier: Apache-2.0
"""Receiving in Twisted, under every reactor that watches descriptors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer  # type: ignore[import-untyped]

from . import ring as blocking_ring
from . import stream as blocking_stream
from .awaited import AwaitedSource
from .source import AnyHeap
from .turns import Turns

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..threads import ThreadPool
    from .awaited import StreamOptions

__all__ = ["Ring", "Stream"]


@implementer(IReadDescriptor)
class _Watch:
    """What a reactor watches: a descriptor, and what to do when it is readable."""

    def __init__(self, fd: int, ready: Callable[[], None]) -> None:
        self._fd = fd
        self.doRead = ready

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "pyspin"

    def connectionLost(self, reason: Failure) -> None:
        """Do nothing: the reactor ends before the stream."""


class _TwistedTurns(Turns["Deferred[None]"]):
    def __init__(self, fd: int, reactor: Any) -> None:
        super().__init__(fd)
        if reactor is None:
            # Importing it installs it, so not before it is needed.
            from twisted.internet import reactor as default_reactor

            reactor = default_reactor
        self._reactor = reactor
        self._descriptor = _Watch(fd, self.serve)

    def _new_waiter(self) -> Deferred[None]:
        return Deferred()

    def _wake(self, waiter: Deferred[None]) -> None:
        if not waiter.called:
            waiter.callback(None)

    def _watch(self) -> None:
        self._reactor.addReader(self._descriptor)

    def _unwatch(self) -> None:
        self._reactor.removeReader(self._descriptor)

    def _call_soon(self, function: Callable[[], None]) -> None:
        self._reactor.callLater(0, function)


class _TwistedSource(AwaitedSource):
    _turns: _TwistedTurns

    def get(self) -> Deferred[AnyHeap]:  # type: ignore[override]
        """Take the next heap when there is one; concurrent calls are served in order.

        The Deferred fails with `Stopped` when there will be no more heaps. Cancelling it
        loses no heap.
        """
        return Deferred.fromCoroutine(self._turns.take(self.get_nowait))

    def get_many(self, max_count: int) -> Deferred[list[AnyHeap]]:  # type: ignore[override]
        """Take up to `max_count` heaps, at least one, when there are some.

        The Deferred fails with `Stopped` when there will be no more heaps.
        """
        return Deferred.fromCoroutine(self._turns.take(self.get_many_nowait, max_count))


class Ring(_TwistedSource, blocking_ring.Ring):
    """A `pyspin.recv.Ring` whose `get` and `get_many` return Deferreds. Reactor thread only."""

    def __init__(self, capacity: int = 4, *, reactor: Any = None) -> None:
        super().__init__(capacity)
        self._turns = _TwistedTurns(self.fd, reactor)


class Stream(_TwistedSource, blocking_stream.Stream):
    """A `pyspin.recv.Stream` whose `get` and `get_many` return Deferreds. Reactor thread only.

    Takes the same arguments; a shared `ring` must be a `Ring` of this module. `reactor` is
    by default the installed one. `async for` in a coroutine gives the heaps until the
    stream ends.
    """

    def __init__(
        self,
        thread_pool: ThreadPool,
        *args: Any,
        ring: Ring | None = None,
        reactor: Any = None,
        **kwargs: Unpack[StreamOptions],
    ) -> None:
        if not isinstance(ring, Ring | None):
            raise TypeError(f"ring must be a pyspin.recv.twisted.Ring, not {ring!r}")
        super().__init__(thread_pool, *args, ring=ring, **kwargs)
        self._turns = _TwistedTurns(self.fd, reactor) if ring is None else ring._turns
