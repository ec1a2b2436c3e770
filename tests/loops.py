# SPDX-License-Identifier: Apache-2.0
"""Every event loop that pyspin receives in, with one face, for the tests of what they share."""

from __future__ import annotations

import asyncio
import datetime
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar

import trio
import trio.testing
import uvloop
from patience import PATIENCE
from tornado.ioloop import IOLoop
from tornado.util import TimeoutError as TornadoTimeoutError
from twisted.internet import defer, epollreactor, pollreactor, selectreactor
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import pyspin.recv.asyncio
import pyspin.recv.tornado
import pyspin.recv.trio
import pyspin.recv.twisted

Main = Callable[[Any], Coroutine[Any, Any, None]]
Call = Callable[[], Awaitable[Any]]


class Loop(ABC):
    """One loop. `stream` and `ring` make those of its module."""

    module: Any
    cancelled: type[BaseException]  # what `result` raises after `cancel`
    timed_out: type[BaseException]  # what `get_within` raises

    def stream(self, *args: Any, **kwargs: Any) -> Any:
        return self.module.Stream(*args, **kwargs)

    def ring(self, *args: Any) -> Any:
        return self.module.Ring(*args)

    @abstractmethod
    def run(self, main: Main) -> None:
        """Run a coroutine function of this object in a new loop, with a deadline."""

    @abstractmethod
    def start(self, call: Call) -> Any:
        """Let what a call awaits go on beside the caller."""

    @abstractmethod
    def cancel(self, started: Any) -> None:
        """Cancel what was started."""

    @abstractmethod
    def is_done(self, started: Any) -> bool:
        """Return whether what was started has ended."""

    @abstractmethod
    async def result(self, started: Any) -> Any:
        """Wait for what was started: its result, or what it raised."""

    @abstractmethod
    async def get_within(self, seconds: float, stream: Any) -> Any:
        """Get a heap, waiting for so long at most."""

    @abstractmethod
    async def round(self) -> None:
        """Let the loop go round once."""

    @abstractmethod
    async def settle(self) -> None:
        """Let everything that is ready run."""


class Asyncio(Loop):
    """asyncio's own loop."""

    module = pyspin.recv.asyncio
    cancelled = asyncio.CancelledError
    timed_out = asyncio.TimeoutError
    new: ClassVar[Callable[[], asyncio.AbstractEventLoop]] = asyncio.new_event_loop

    def run(self, main: Main) -> None:
        loop = type(self).new()
        try:
            loop.run_until_complete(asyncio.wait_for(main(self), PATIENCE))
        finally:
            loop.close()

    def start(self, call: Call) -> Any:
        return asyncio.ensure_future(call())

    def cancel(self, started: Any) -> None:
        started.cancel()

    def is_done(self, started: Any) -> bool:
        return bool(started.done())

    async def result(self, started: Any) -> Any:
        return await started

    async def get_within(self, seconds: float, stream: Any) -> Any:
        return await asyncio.wait_for(stream.get(), seconds)

    async def round(self) -> None:
        await asyncio.sleep(0)

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


class Uvloop(Asyncio):
    """asyncio under uvloop."""

    new = uvloop.new_event_loop


class Tornado(Asyncio):
    """Tornado's loop, which has its own timeouts."""

    module = pyspin.recv.tornado
    timed_out = TornadoTimeoutError

    def run(self, main: Main) -> None:
        loop = IOLoop(make_current=False)
        try:
            loop.run_sync(lambda: main(self), timeout=PATIENCE)
        finally:
            loop.close()

    async def get_within(self, seconds: float, stream: Any) -> Any:
        return await stream.get(datetime.timedelta(seconds=seconds))


class _Started:
    """A task of trio's, and what became of it."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.scope = trio.CancelScope()
        self.done = trio.Event()
        self._result: Any = None
        self._error: BaseException | None = Trio.cancelled()

    async def run(self) -> None:
        with self.scope:
            try:
                self._result, self._error = await self._call(), None
            except Exception as error:
                self._error = error
        self.done.set()

    def outcome(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result


class _ScopeCancelled(Exception):
    pass


class Trio(Loop):
    """trio, with a nursery for what is started."""

    module = pyspin.recv.trio
    cancelled = _ScopeCancelled
    timed_out = trio.TooSlowError
    _nursery: trio.Nursery

    def run(self, main: Main) -> None:
        async def with_nursery() -> None:
            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as self._nursery:
                    await main(self)
                    self._nursery.cancel_scope.cancel()

        trio.run(with_nursery)

    def start(self, call: Call) -> _Started:
        started = _Started(call)
        self._nursery.start_soon(started.run)
        return started

    def cancel(self, started: _Started) -> None:
        started.scope.cancel()

    def is_done(self, started: _Started) -> bool:
        return started.done.is_set()

    async def result(self, started: _Started) -> Any:
        await started.done.wait()
        return started.outcome()

    async def get_within(self, seconds: float, stream: Any) -> Any:
        with trio.fail_after(seconds):
            return await stream.get()

    async def round(self) -> None:
        await trio.lowlevel.checkpoint()

    async def settle(self) -> None:
        await trio.testing.wait_all_tasks_blocked()


class Twisted(Loop):
    """Twisted under its reactor for epoll."""

    module = pyspin.recv.twisted
    cancelled = defer.CancelledError
    timed_out = defer.TimeoutError
    new: ClassVar[Callable[[], Any]] = epollreactor.EPollReactor
    reactor: Any

    def stream(self, *args: Any, **kwargs: Any) -> Any:
        return self.module.Stream(*args, reactor=self.reactor, **kwargs)

    def ring(self, *args: Any) -> Any:
        return self.module.Ring(*args, reactor=self.reactor)

    def run(self, main: Main) -> None:
        self.reactor = reactor = type(self).new()
        outcome: list[object] = []

        def begin() -> None:
            done = defer.Deferred.fromCoroutine(main(self))
            done.addTimeout(PATIENCE, reactor)
            done.addBoth(outcome.append)
            done.addBoth(lambda _: reactor.stop())

        reactor.callWhenRunning(begin)
        reactor.run(installSignalHandlers=False)
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()

    def start(self, call: Call) -> Any:
        return defer.ensureDeferred(call())  # type: ignore[arg-type]

    def cancel(self, started: Any) -> None:
        started.cancel()

    def is_done(self, started: Any) -> bool:
        return bool(started.called)

    async def result(self, started: Any) -> Any:
        return await started

    async def get_within(self, seconds: float, stream: Any) -> Any:
        return await stream.get().addTimeout(seconds, self.reactor)

    async def round(self) -> None:
        await deferLater(self.reactor, 0)

    async def settle(self) -> None:
        for _ in range(20):
            await deferLater(self.reactor, 0)


class TwistedPoll(Twisted):
    """Twisted under its reactor for poll."""

    new = pollreactor.PollReactor


class TwistedSelect(Twisted):
    """Twisted under its reactor for select."""

    new = selectreactor.SelectReactor


LOOPS = [Asyncio, Uvloop, Tornado, Trio, Twisted, TwistedPoll, TwistedSelect]
