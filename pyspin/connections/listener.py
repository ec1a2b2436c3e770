# SPDX-License-Identifier: Apache-2.0
"""A thread that listens to a connection and calls back with what it hears."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pyspin.arguments import integer, seconds

from .abstract import Listenable
from .delivery import Delivery, logger
from .source import MessageSource, open_source

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

# Messages that may wait for one callback, and bytes that may wait before that.
_MAX_BACKLOG = 1 << 18
_BUFFER_SIZE = 64 << 20
# For ever, to threads and selectors that take no more.
_MAX_TIMEOUT = threading.TIMEOUT_MAX / 2
# More would only wait for the interpreter.
_MAX_THREADS = 1024
# The C queue must take the largest datagram.
_MIN_BUFFER_SIZE = 1 << 17


class ConnectionListener(threading.Thread, Generic[T]):
    """A thread that receives from a connection and calls callbacks with its messages.

    `connection` is anything Listenable: one of pyspin's connections, SpiNNMan's, or your own.
    Callbacks run on `n_processes` threads. `timeout`, in seconds, bounds how long the thread
    waits before it looks whether it has been closed, and how long `close` takes.

    The thread does not start by itself: call `start`. As a context manager it is closed at the
    end, and not started at the beginning. It is a daemon: it does not keep the interpreter
    alive.

    Each callback gets the messages in the order in which they arrived, one at a time; with
    ``ordered=False`` it may run on several threads at once, for different messages. Different
    callbacks do not wait for one another, until `max_backlog` messages wait for one of them:
    then the listener takes no more until there is room. A connection of pyspin is emptied all
    the while into a buffer of `buffer_size` bytes; when that is full as well, the system drops
    datagrams and `n_kernel_drops` says how many.

    A message that cannot be read, and an exception in a callback, are logged (the first, the
    second, the fourth, the eighth, …) and counted, and the listener goes on. When the
    connection is closed it delivers what had arrived and ends, and `failure` is the
    ConnectionClosedError.

    >>> from pyspin.connections import ConnectionListener, UDPConnection
    >>> heard = threading.Event()
    >>> with UDPConnection("127.0.0.1") as here, ConnectionListener(here) as listener:
    ...     listener.add_callback(lambda data: heard.set())
    ...     listener.start()
    ...     here.send_to(b"hello", ("127.0.0.1", here.local_port))
    ...     heard.wait(10)
    True
    """

    def __init__(
        self,
        connection: Listenable[T],
        n_processes: int = 4,
        timeout: float = 1,
        *,
        ordered: bool = True,
        max_backlog: int = _MAX_BACKLOG,
        buffer_size: int = _BUFFER_SIZE,
    ) -> None:
        for method in "get_receive_method", "is_ready_to_receive":
            if not hasattr(connection, method):
                raise TypeError(f"connection must have {method}, not be {connection!r}")
        n_threads = integer("n_processes", n_processes, 1, _MAX_THREADS)
        max_backlog = integer("max_backlog", max_backlog, 1, sys.maxsize)
        name = f"listener of {connection}"
        super().__init__(name=name, daemon=True)
        self._connection = connection
        self._wait = min(seconds("timeout", timeout), _MAX_TIMEOUT)
        self._buffer_size = integer("buffer_size", buffer_size, _MIN_BUFFER_SIZE, sys.maxsize)
        self._delivery = Delivery(n_threads, ordered, max_backlog, name)
        self._n_messages = 0
        self._failure: Exception | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()  # the next two
        self._is_closing = False
        self._source: MessageSource | None = None

    def add_callback(self, callback: Callable[[T], Any]) -> None:
        """Add a callback, at any time; what it returns is ignored."""
        if not callable(callback):
            raise TypeError(f"callback must be callable, not {callback!r}")
        self._delivery.add(callback)

    def start(self) -> None:
        """Begin to listen. RuntimeError the second time."""
        self._open()
        super().start()

    def run(self) -> None:
        """Listen until closed. Called on the thread, by `start`."""
        try:
            if self._source is not None:
                self._delivery.start()
                self._listen(self._source)
        except Exception as error:
            self._fail(error)
        finally:
            self._delivery.finish()

    def _open(self) -> None:
        with self._lock:
            if self._is_closing or self._source is not None:
                return
            try:
                self._source = open_source(self._connection, self._buffer_size)
            except Exception as error:
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._is_closing:
            self._failure = error
            logger.warning("%s ends: %s", self.name, error)

    def _listen(self, source: MessageSource) -> None:
        try:
            while True:
                messages = source.take(self._wait)
                if messages:
                    self._n_messages += len(messages)
                    self._delivery.put(messages)
        finally:
            source.stop()

    def close(self) -> None:
        """Stop listening, deliver what has arrived, and return within the timeout.

        What callbacks have not taken by then is dropped and counted in `n_undelivered`. The
        connection stays open. May be called before `start`, which then does nothing, again,
        and from a callback, where it does not wait. In a forked child, which has none of the
        threads, it does nothing.
        """
        if self._process != os.getpid():
            return  # a thread that is not there may hold a lock
        deadline = time.monotonic() + self._wait
        with self._lock:
            self._is_closing = True
            source = self._source
        if source is None:
            return
        source.stop()
        if threading.current_thread() is self or self._delivery.has_current_thread():
            return
        self.join(self._wait)
        self._delivery.close(deadline)
        if self.is_alive():
            logger.warning("%s has not ended yet: it waits in its connection", self.name)
        if self.n_undelivered:
            logger.warning("%s dropped %d messages", self.name, self.n_undelivered)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def failure(self) -> Exception | None:
        """Why the listener ended by itself, None if it did not."""
        return self._failure

    @property
    def n_messages(self) -> int:
        """How many messages were received and handed to the callbacks."""
        return self._n_messages

    @property
    def n_malformed(self) -> int:
        """How many messages could not be read."""
        source = self._source
        return 0 if source is None else source.n_malformed

    @property
    def n_callback_errors(self) -> int:
        """How many exceptions callbacks have raised."""
        return self._delivery.n_errors

    @property
    def n_undelivered(self) -> int:
        """How many calls of callbacks `close` has dropped."""
        return self._delivery.n_undelivered

    @property
    def n_kernel_drops(self) -> int:
        """How many datagrams the system has dropped; 0 if the connection does not tell."""
        return int(getattr(self._connection, "kernel_drops", 0))

    @property
    def backlog(self) -> int:
        """How many messages wait for the callback that is furthest behind."""
        return self._delivery.backlog
