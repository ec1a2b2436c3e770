# SPDX-License-Identifier: Apache-2.0
"""Messages to callbacks, on a few threads.

Each callback has a lane of its own, in which batches of messages wait. In order, one thread at
a time works in a lane and takes a whole batch; out of order, many may, and each takes a share.
A lane that is full holds up whoever puts messages in, so that memory stays bounded.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from operator import length_hint
from typing import Any

logger = logging.getLogger("pyspin.connections")

Callback = Callable[[Any], Any]
# Out of order, a batch is cut in so many shares for each thread.
_SHARES = 4


def is_worth_logging(count: int) -> bool:
    """Return whether the count is 1, 2, 4, 8, …: a fault that goes on must not flood the log."""
    return count & (count - 1) == 0


class Lane:
    """The messages that wait for one callback."""

    __slots__ = ("at_work", "batches", "callback", "is_ready", "length")

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.batches: deque[Sequence[Any]] = deque()
        self.at_work: list[Iterator[Any]] = []  # the batches that threads are busy with
        self.length = 0
        self.is_ready = False

    def take(self, share: int) -> Sequence[Any]:
        """Take the first batch, or one of its `share` parts."""
        batch = self.batches.popleft()
        if share > 1 and len(batch) > 1:
            size = -(-len(batch) // share)
            self.batches.appendleft(batch[size:])
            batch = batch[:size]
            if not self.batches[0]:
                self.batches.popleft()
        return batch

    def remaining(self) -> int:
        """Return how many messages the callback has not been called with, to the message."""
        return sum(map(len, self.batches)) + sum(map(length_hint, self.at_work))


class Delivery:
    """Threads that call callbacks. Everything below the lock belongs to it."""

    def __init__(self, n_threads: int, is_ordered: bool, max_backlog: int, name: str) -> None:
        self._is_ordered = is_ordered
        self._share = 1 if is_ordered else n_threads * _SHARES
        self._max_backlog = max_backlog
        self._is_abandoned = False
        self._lock = threading.Lock()
        self._has_work = threading.Condition(self._lock)  # for the threads
        self._has_room = threading.Condition(self._lock)  # for `put`
        self._lanes: list[Lane] = []
        self._ready: deque[Lane] = deque()
        self._is_finished = False
        self._n_errors = 0
        self._threads = [
            threading.Thread(target=self._work, name=f"{name} callbacks {index}", daemon=True)
            for index in range(n_threads)
        ]

    @property
    def n_errors(self) -> int:
        """How many exceptions callbacks have raised."""
        return self._n_errors

    @property
    def backlog(self) -> int:
        """How many messages wait in the fullest lane."""
        with self._lock:
            return max((lane.length for lane in self._lanes), default=0)

    @property
    def n_undelivered(self) -> int:
        """How many messages were dropped by `close`, in all lanes together."""
        with self._lock:
            return sum(lane.remaining() for lane in self._lanes) if self._is_abandoned else 0

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def has_current_thread(self) -> bool:
        """Return whether the caller is one of the threads, that is, inside a callback."""
        return threading.current_thread() in self._threads

    def add(self, callback: Callback) -> None:
        """Add a callback; it gets what is put in from now on."""
        with self._lock:
            # A new list: `put` may be walking the old one.
            self._lanes = [*self._lanes, Lane(callback)]

    def put(self, messages: Sequence[Any]) -> None:
        """Give messages to every callback, and wait until no lane is over its limit."""
        with self._lock:
            for lane in self._lanes:
                lane.batches.append(messages)
                lane.length += len(messages)
                self._make_ready(lane)
            while not self._is_abandoned and any(
                lane.length > self._max_backlog for lane in self._lanes
            ):
                self._has_room.wait()

    def _make_ready(self, lane: Lane) -> None:
        if lane.batches and not lane.is_ready:
            lane.is_ready = True
            self._ready.append(lane)
            self._has_work.notify()

    def _work(self) -> None:
        while (work := self._next()) is not None:
            lane, batch, count = work
            self._call(lane.callback, batch)
            self._done(lane, batch, count)

    def _next(self) -> tuple[Lane, Iterator[Any], int] | None:
        with self._lock:
            while not self._ready and not self._is_abandoned:
                if self._is_finished and not self._is_busy():
                    return None
                self._has_work.wait()
            if self._is_abandoned:
                return None
            lane = self._ready.popleft()
            messages = lane.take(self._share)
            batch = iter(messages)
            lane.at_work.append(batch)
            if not self._is_ordered:
                lane.is_ready = False
                self._make_ready(lane)
            return lane, batch, len(messages)

    def _is_busy(self) -> bool:
        return any(lane.batches for lane in self._lanes)

    def _done(self, lane: Lane, batch: Iterator[Any], count: int) -> None:
        with self._lock:
            if self._is_abandoned:
                return
            lane.at_work.remove(batch)
            was_over = lane.length > self._max_backlog
            lane.length -= count
            if self._is_ordered:
                lane.is_ready = False
                self._make_ready(lane)
            if was_over:
                self._has_room.notify()
            if self._is_finished and lane.length == 0:
                self._has_work.notify_all()

    def _call(self, callback: Callback, batch: Iterator[Any]) -> None:
        while True:
            try:
                for message in batch:
                    callback(message)
                    if self._is_abandoned:
                        return
                return
            except BaseException:  # SystemExit too: the thread is for other callbacks as well
                self._count_error(callback)

    def _count_error(self, callback: Callback) -> None:
        with self._lock:
            self._n_errors += 1
            count = self._n_errors
        if is_worth_logging(count):
            logger.exception("problem in listener callback %r (%d so far)", callback, count)

    def finish(self) -> None:
        """Say that nothing more will be put in: the threads end when the lanes are empty."""
        with self._lock:
            self._is_finished = True
            self._has_work.notify_all()

    def close(self, deadline: float) -> None:
        """Finish, wait until a deadline on the monotonic clock, and drop what then remains."""
        self.finish()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._is_abandoned = True
            self._has_work.notify_all()
            self._has_room.notify()
