# SPDX-License-Identifier: Apache-2.0
"""Who takes the next heap, among the coroutines of one event loop.

All that a loop needs is a descriptor, an attempt that does not wait, and a queue of those
who wait. This is everything but five operations that each loop has its own way of.

A waiter is only ever told that it is its turn; it takes its heap itself when it runs, with
nothing to wait for between taking and returning. So cancelling it, whenever that is, loses
no heap: it leaves the queue and the next one has the turn.

A heap that is ready is taken at once, but only for a slice of time: then the caller queues
and the loop goes round once, so that a stream that is never empty does not keep the loop
from its other work. This, too, comes before the heap is taken.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from threading import Lock
from time import monotonic
from typing import Any, Generic, TypeVar

from ..errors import Empty

T = TypeVar("T")
W = TypeVar("W", bound=Awaitable[Any])

# Seconds for which heaps may be taken in a row before the loop has its turn. A round of a
# loop costs some tens of microseconds, so it is cheap, and still short for other work.
_SLICE = 1e-3


class Turns(ABC, Generic[W]):
    """The queue of the waiters for one descriptor. For the thread of one loop only."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._queue: deque[W] = deque()
        self._watching = False
        self._slice_end = 0.0

    async def take(self, attempt: Callable[..., T], *arguments: Any) -> T:
        """Return what `attempt` returns as soon as it does not raise `Empty`.

        Callers are served in the order in which they came. What else `attempt` raises is
        raised.
        """
        in_slice = monotonic() < self._slice_end
        if in_slice and not self._queue:
            try:
                return attempt(*arguments)
            except Empty:
                pass
        return await self._take_in_turn(in_slice, attempt, *arguments)

    async def _take_in_turn(self, must_wait: bool, attempt: Callable[..., T], *arguments: Any) -> T:
        queue = self._queue
        waiter = self._new_waiter()
        queue.append(waiter)
        try:
            if len(queue) == 1:
                if must_wait:
                    self._set_watching(True)
                else:
                    self._call_soon(self.serve)
            while True:
                await waiter
                self._slice_end = monotonic() + _SLICE
                try:
                    return attempt(*arguments)
                except Empty:  # another consumer of the descriptor was first
                    waiter = queue[0] = self._new_waiter()
                    self._set_watching(True)
        finally:
            self._leave(waiter)

    def _leave(self, waiter: W) -> None:
        was_first = self._queue[0] is waiter
        self._queue.remove(waiter)
        if was_first:
            self._set_watching(False)
            if self._queue:
                self._call_soon(self.serve)

    def _set_watching(self, watching: bool) -> None:
        if watching != self._watching:
            self._watching = watching
            if watching:
                self._watch()
            else:
                self._unwatch()

    def serve(self, *_: Any) -> None:
        """Give the first in the queue its turn. The loop calls this when there is a heap."""
        self._set_watching(False)
        if self._queue:
            self._wake(self._queue[0])

    @abstractmethod
    def _new_waiter(self) -> W:
        """Return what a coroutine awaits until it is woken."""

    @abstractmethod
    def _wake(self, waiter: W) -> None:
        """Let the coroutine go on, unless it was woken or cancelled before."""

    @abstractmethod
    def _watch(self) -> None:
        """Have the loop call `serve` when the descriptor is readable."""

    @abstractmethod
    def _unwatch(self) -> None:
        """Undo `_watch`."""

    @abstractmethod
    def _call_soon(self, function: Callable[[], None]) -> None:
        """Have the loop call a function in its next round."""


class TurnsOfLoops:
    """The waiters of one descriptor in every loop of asyncio that has some.

    A loop can only wake its own, and one that was closed may have left waiters behind who
    would keep all others from their turn.
    """

    def __init__(self, fd: int, make: Callable[[int], Turns[Any]]) -> None:
        self._fd = fd
        self._make = make
        self._lock = Lock()
        self._turns: dict[asyncio.AbstractEventLoop, Turns[Any]] = {}

    def take(self, attempt: Callable[..., T], *arguments: Any) -> Coroutine[Any, Any, T]:
        """Do `Turns.take` in the loop that runs."""
        loop = asyncio.get_running_loop()
        turns = self._turns.get(loop)
        return (turns or self._add(loop)).take(attempt, *arguments)

    def _add(self, loop: asyncio.AbstractEventLoop) -> Turns[Any]:
        turns = self._make(self._fd)
        with self._lock:
            others = self._turns.items()
            self._turns = {other: its for other, its in others if not other.is_closed()}
            self._turns[loop] = turns
        return turns
