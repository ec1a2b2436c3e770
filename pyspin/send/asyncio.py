# SPDX-License-Identifier: Apache-2.0
"""Send heaps over UDP from asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .._ffi import check, check_socket, ffi, lib
from .heap import Heap
from .references import GroupMode, HeapReference, prepare
from .sender import Sender

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..threads import ThreadPool
    from .endpoints import Argument, Arguments

_BATCH = 64

_DIRECT = 65536
"""Bytes of the heaps that are sent at once, if nothing is in the way.

The kernel takes so much in some 10 to 20 microseconds, which is less than it costs to wake a
thread of the pool and be woken by it.
"""


class UdpStream(Sender):
    """Send heaps as UDP packets; the same forms as `pyspin.send.UdpStream`.

    `loop` is the event loop of futures when none is running and none is given. Unlike the
    socket work, which is done on the thread pool, the methods are for the thread of the loop.

    As an asynchronous context manager it waits for what is in flight and stops, or stops at
    once when the block has raised.
    """

    def __init__(
        self,
        thread_pool: ThreadPool,
        *args: Argument,
        loop: asyncio.AbstractEventLoop | None = None,
        gso: bool = True,
        **kwargs: Unpack[Arguments],
    ) -> None:
        super().__init__(thread_pool, args, kwargs, gso)
        self._loop = loop
        self._futures: dict[int, asyncio.Future[int]] = {}
        # A flush ends when the heap of this token has, as heaps end in order.
        self._flushes: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._pending: dict[asyncio.AbstractEventLoop, int] = {}
        self._reading: set[asyncio.AbstractEventLoop] = set()
        self._completions = ffi.new("spn_completion[]", _BATCH)
        # Made here: where there are no more descriptors, no heap must be in flight.
        self._fd = check_socket(lib.spn_sender_fd(self._sender))

    @property
    def fd(self) -> int:
        """A descriptor that is readable while there are results to be taken; do not read it."""
        return self._fd

    def async_send_heap(
        self,
        heap: Heap,
        cnt: int = -1,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        substream_index: int = 0,
    ) -> asyncio.Future[int]:
        """Queue a heap now, and return a future of the bytes sent, headers included.

        Not a coroutine: the order of the calls is the order of the heaps. A small heap for
        which there is nothing to wait is sent in the call. The future has the
        errors of `pyspin.send.UdpStream.send_heap`, those of a refused heap too; but a heap
        that cannot be cut into packets is a `ValueError`, and one after `stop` a `Stopped`, at
        once. Cancelling the future does not take the heap back.
        """
        loop = self._choose_loop(loop)
        future: asyncio.Future[int] = loop.create_future()
        try:
            token = self._submit(heap, cnt, substream_index)
        except OSError as error:
            future.set_exception(error)
            return future
        self._wait_for(token, future)
        return future

    def async_send_heaps(
        self,
        heaps: Iterable[HeapReference | Heap],
        mode: GroupMode = GroupMode.SERIAL,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.Future[int]:
        """Queue heaps that are sent together, and return a future of the bytes of all.

        As `async_send_heap` with what `pyspin.send.UdpStream.send_heaps` says of several:
        either all are queued or none, and the future has the first error that one met.
        """
        future: asyncio.Future[int] = self._choose_loop(loop).create_future()
        try:
            token = self._submit_group(heaps, mode)
        except OSError as error:
            future.set_exception(error)
            return future
        self._wait_for(token, future)
        return future

    async def async_flush(self) -> None:
        """Wait until all heaps handed over before this call are done with, well or not."""
        if self._futures:
            loop = asyncio.get_running_loop()
            last = next(reversed(self._futures))
            future = loop.create_future()
            self._flushes.append((last, future))
            self._expect(loop)
            self._watch(loop)
            await future

    # What has been queued is in flight unless it was refused, also when a signal handler raises.

    def _submit(self, heap: Heap, cnt: int, substream_index: int) -> int:
        """Queue a heap and return its token; raise if it is refused."""
        packets, cnt, substream_index = prepare(
            heap, cnt, substream_index, self._max_packet_size, self._num_substreams
        )
        token = next(self._tokens)
        self._in_flight[token] = heap
        code = lib.spn_sender_submit(self._sender, packets, cnt, substream_index, token, _DIRECT)
        if code < 0:
            del self._in_flight[token]
            self._refuse(code)
        return token

    def _submit_group(self, heaps: Iterable[HeapReference | Heap], mode: GroupMode) -> int:
        """Queue several, with one token for all."""
        held, rows = self._prepare_group(heaps, mode)
        references = ffi.new("spn_heap_reference[]", rows)
        token = next(self._tokens)
        self._in_flight[token] = held
        code = lib.spn_sender_submit_group(
            self._sender, references, len(rows), mode.value, token, _DIRECT
        )
        if code < 0:
            del self._in_flight[token]
            self._refuse(code)
        return token

    def _wait_for(self, token: int, future: asyncio.Future[int]) -> None:
        """Let the end of what has this token be the future's."""
        loop = future.get_loop()
        self._futures[token] = future
        self._expect(loop)
        self._on_ready(loop)
        self._watch(loop)

    def _choose_loop(self, loop: asyncio.AbstractEventLoop | None) -> asyncio.AbstractEventLoop:
        if loop is not None:
            return loop
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            if self._loop is None:
                raise
            return self._loop

    # One reader a loop that has futures pending. It holds the stream, so a stream with pending
    # futures is not collected.

    def _expect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pending[loop] = self._pending.get(loop, 0) + 1

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop in self._reading or loop not in self._pending:
            return
        for other in [other for other in self._pending if other.is_closed()]:
            del self._pending[other]
            self._reading.discard(other)
        loop.add_reader(self.fd, self._on_ready, loop)
        self._reading.add(loop)

    def _unexpect(self, loop: asyncio.AbstractEventLoop) -> None:
        self._pending[loop] -= 1
        if not self._pending[loop]:
            del self._pending[loop]
            if loop in self._reading:
                self._reading.remove(loop)
                loop.remove_reader(self.fd)

    def _on_ready(self, loop: asyncio.AbstractEventLoop) -> None:
        done = self._completions
        count = lib.spn_sender_try_pop(self._sender, done, _BATCH)
        if count == -errno.EAGAIN:
            return
        for i in range(check(count)):
            token, result = done[i].token, done[i].result
            future = self._futures.pop(token, None)
            self._in_flight.pop(token, None)
            if future is not None:  # a signal handler may have raised before there was one
                self._in_loop(loop, future, self._finish, future, result)
            while self._flushes and self._flushes[0][0] <= token:
                flush = self._flushes.popleft()[1]
                self._in_loop(loop, flush, self._finish_flush, flush)

    def _in_loop(
        self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], call: Any, *args: Any
    ) -> None:
        """Call where `future` belongs; a loop that has been closed needs no answer."""
        owner = future.get_loop()
        if owner is loop:
            call(*args)
        else:
            with contextlib.suppress(RuntimeError):
                owner.call_soon_threadsafe(call, *args)

    def _finish(self, future: asyncio.Future[int], result: int) -> None:
        self._unexpect(future.get_loop())
        if future.done():
            return
        try:
            future.set_result(check_socket(result))
        except Exception as error:
            future.set_exception(error)

    def _finish_flush(self, future: asyncio.Future[None]) -> None:
        self._unexpect(future.get_loop())
        if not future.done():
            future.set_result(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                await self.async_flush()
        finally:
            self.stop()
