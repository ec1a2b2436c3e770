# SPDX-License-Identifier: Apache-2.0
"""Where a listener gets its messages from.

pyspin's own connections are emptied by a thread in C, so that a burst waits in memory and not
in the socket while the interpreter is busy. Any other object is asked by its two methods.
"""

from __future__ import annotations

import errno
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from pyspin._ffi import check_socket, ffi, lib, own
from pyspin.messages import ConnectionClosedError

from .abstract import Listenable
from .decoding import as_it_is, decoder_of
from .delivery import is_worth_logging, logger
from .udp import UDPConnection

# What one call takes at most.
_BATCH = 4096
_BATCH_BYTES = 1 << 20
# How many messages of a foreign connection are handed on together at most.
_FOREIGN_BATCH = 64
_MAX_TIMEOUT_MS = 2**31 - 1
_MIN_WAIT = 1.0


class MessageSource(ABC):
    """Gives batches of messages; those that cannot be read are counted."""

    def __init__(self) -> None:
        self.n_malformed = 0

    @abstractmethod
    def take(self, timeout: float) -> list[Any]:
        """Wait for messages; an empty list when time runs out. ConnectionClosedError."""

    @abstractmethod
    def stop(self) -> None:
        """Make `take` give what it has and then raise, soon. Any thread."""

    def count_malformed(self) -> None:
        """Count and log the exception that is being handled."""
        self.n_malformed += 1
        if is_worth_logging(self.n_malformed):
            logger.warning("malformed message (%d so far)", self.n_malformed, exc_info=True)


class InboxSource(MessageSource):
    """Datagrams of one of pyspin's connections, received by a thread in C."""

    def __init__(
        self, connection: UDPConnection, decode: Callable[[bytes], Any], buffer_size: int
    ) -> None:
        super().__init__()
        self._decode = decode
        descriptor = connection.fileno()
        if descriptor < 0:
            raise ConnectionClosedError
        threads = ffi.new("spn_threads **")
        check_socket(lib.spn_threads_new(1, ffi.NULL, 0, threads))
        self._threads = own(threads[0], lib.spn_threads_unref)
        inbox = ffi.new("spn_inbox **")
        check_socket(lib.spn_inbox_new(self._threads, descriptor, buffer_size, inbox))
        self._inbox = own(inbox[0], lib.spn_inbox_free)
        self._memory = ffi.new("uint8_t[]", _BATCH_BYTES)
        self._bytes = ffi.buffer(self._memory)
        self._lengths = ffi.new("uint32_t[]", _BATCH)

    def take(self, timeout: float) -> list[Any]:
        # `stop` wakes it, so there is no need to come back often.
        timeout_ms = math.ceil(min(max(timeout, _MIN_WAIT) * 1000, _MAX_TIMEOUT_MS))
        count = lib.spn_inbox_pop(
            self._inbox, timeout_ms, self._memory, _BATCH_BYTES, self._lengths, _BATCH
        )
        if count == -errno.EAGAIN:
            return []
        if count == lib.SPN_ESTOPPED:
            raise ConnectionClosedError
        datagrams = self._cut(check_socket(count))
        return datagrams if self._decode is as_it_is else self._decoded(datagrams)

    def _cut(self, count: int) -> list[bytes]:
        data, start, datagrams = self._bytes, 0, []
        for length in ffi.unpack(self._lengths, count):
            datagrams.append(data[start : start + length])
            start += length
        return datagrams

    def _decoded(self, datagrams: list[bytes]) -> list[Any]:
        decode, rest = self._decode, iter(datagrams)
        messages: list[Any] = []
        while True:
            try:
                messages.extend(map(decode, rest))
                return messages
            except Exception:
                self.count_malformed()

    def stop(self) -> None:
        lib.spn_inbox_stop(self._inbox)


class ForeignSource(MessageSource):
    """Messages of any object with the two methods of a Listenable."""

    def __init__(self, connection: Listenable[Any]) -> None:
        super().__init__()
        self._is_ready = connection.is_ready_to_receive
        self._receive = connection.get_receive_method()
        self._is_stopped = False
        self._end: ConnectionClosedError | None = None

    def take(self, timeout: float) -> list[Any]:
        if self._is_stopped:
            raise ConnectionClosedError
        if self._end is not None:
            raise self._end
        messages: list[Any] = []
        if self._is_ready(timeout=timeout):
            self._receive_into(messages)
        return messages

    def _receive_into(self, messages: list[Any]) -> None:
        for _ in range(_FOREIGN_BATCH):
            try:
                messages.append(self._receive())
            except Exception as error:
                if _is_end(error):
                    self._end = ConnectionClosedError(str(error) or "the connection is closed")
                    self._end.__cause__ = error
                    return
                self.count_malformed()
            if self._is_stopped or not self._is_ready(timeout=0):
                return

    def stop(self) -> None:
        self._is_stopped = True


def _is_end(error: Exception) -> bool:
    """Return whether an exception says that a connection was closed, SpiNNMan's as well."""
    return isinstance(error, EOFError) or any(
        kind.__name__ == "SpinnmanEOFException" for kind in type(error).__mro__
    )


def open_source(connection: Listenable[Any], buffer_size: int) -> MessageSource:
    """Return the source of a connection, in C if the connection allows it."""
    if isinstance(connection, UDPConnection):
        decode = decoder_of(connection.get_receive_method())
        if decode is not None:
            return InboxSource(connection, decode, buffer_size)
    return ForeignSource(connection)
